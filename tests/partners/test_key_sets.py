"""Validation of key sets, and the algorithms that each key may verify."""

import json
from typing import Any

import pytest
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from app.partners import key_sets
from app.partners.errors import KeyUnusable, PrivateKeySent
from tests.support.signing import KEY, KEYS, OTHER, public, signed

ED = KEY.as_dict(private=False)
RSA = KEYS["RS256"].as_dict(private=False)
WEAK = RSAKey.generate_key(2048, {"kid": "weak"}).as_dict(private=False)
pytestmark = pytest.mark.filterwarnings("ignore:Key size should be")


@pytest.mark.parametrize("key", [*KEYS.values(), OctKey.generate_key(256, {"kid": "secret"})], ids=lambda key: key.kid)
def test_private_and_symmetric_keys_are_refused_without_being_repeated(key: Any) -> None:
    private = key.as_dict(private=True)
    with pytest.raises(PrivateKeySent) as refused:
        key_sets.validate_key_set({"keys": [ED, private]})
    assert "Key 1" in refused.value.detail
    assert not any(str(private[name]) in refused.value.detail for name in ("d", "k") if name in private)
    assert key_sets.import_usable({"keys": [private]}) == {}


UNUSABLE: list[Any] = [
    None, "x", [], {}, {"kty": "OKP"}, {**ED, "kid": None}, {**ED, "kid": ""}, {**ED, "kid": "x" * 256},
    {**ED, "kid": "a\x00"}, {**ED, "kid": 1}, {**ED, "kty": "DSA"}, {**ED, "kty": ["OKP"]}, {**ED, "crv": "X25519"},
    {**ED, "x": "AAAA"}, {**ED, "x": None}, {**ED, "x": 5}, {**ED, "use": "enc"}, {**ED, "alg": "RS256"},
    {**ED, "alg": "none"}, {**RSA, "alg": "HS256"}, {**RSA, "alg": "RS512"}, {**RSA, "n": "AQAB"}, {**RSA, "e": "AQ"},
    {**RSA, "e": RSA["n"][:100]}, {**RSA, "n": "é"}, {name: ED[name] for name in ED if name != "kty"},
    ECKey.generate_key("P-384", {"kid": "384"}, private=False).as_dict(),
    OKPKey.generate_key("Ed448", {"kid": "448"}, private=False).as_dict(),
    WEAK,
]  # fmt: skip


@pytest.mark.parametrize("jwk", UNUSABLE, ids=range(len(UNUSABLE)))
def test_an_unusable_key_is_refused_when_registered_and_ignored_when_fetched(jwk: Any) -> None:
    with pytest.raises(KeyUnusable, match="Key 1 "):
        key_sets.validate_key_set({"keys": [ED, jwk]})
    assert list(key_sets.import_usable({"keys": [jwk, ED]})) == [KEY.kid]


def test_a_shorter_rsa_key_is_usable_only_where_its_issuer_is_configured_so() -> None:
    assert list(key_sets.import_usable({"keys": [WEAK]})) == []
    assert list(key_sets.import_usable({"keys": [WEAK]}, smallest_rsa=2048)) == ["weak"]


@pytest.mark.parametrize("jwks", [{}, {"keys": None}, {"keys": []}, {"keys": {}}, {"keys": [ED] * 11}])
def test_a_key_set_lists_one_to_ten_keys(jwks: dict[str, Any]) -> None:
    with pytest.raises(KeyUnusable):
        key_sets.validate_key_set(jwks)


def test_two_keys_of_one_id_are_refused() -> None:
    with pytest.raises(KeyUnusable, match="same kid"):
        key_sets.validate_key_set({"keys": [ED, {**OTHER.as_dict(private=False), "kid": ED["kid"]}]})


@pytest.mark.parametrize("document", [None, [], "x", 5, {"keys": 5}, {"keys": [[]]}, {"no": "keys"}])
def test_an_invalid_key_set_has_no_keys(document: Any) -> None:
    assert key_sets.import_usable(document) == {}


def test_only_the_public_members_are_kept() -> None:
    kept = key_sets.validate_key_set({"keys": [{**ED, "x5c": ["A" * 50_000], "ext": True, "use": "sig"}], "more": 1})
    assert kept == {"keys": [{**ED, "use": "sig"}]}
    assert "x5c" not in json.dumps(kept)


@pytest.mark.parametrize("alg", KEYS)
def test_a_key_verifies_signatures_of_each_algorithm_of_its_type(alg: str) -> None:
    key = key_sets.import_usable(public(KEYS[alg]))[str(KEYS[alg].kid)]
    assert key_sets.decode(signed({"sub": "x"}, KEYS[alg], alg), key).claims == {"sub": "x"}


def test_a_key_verifies_only_algorithms_of_its_type_and_only_its_alg_if_it_names_one() -> None:
    held = KEYS["PS256"]
    pinned = key_sets.import_usable({"keys": [{**held.as_dict(private=False), "alg": "PS256"}]})[str(held.kid)]
    assert key_sets.decode(signed({}, held, "PS256"), pinned).claims == {}
    octets = OctKey.import_key(json.dumps(ED), {"kid": str(KEY.kid)})
    for token, key in (
        (signed({}, held, "RS256"), pinned),
        (signed({}, held, "PS512"), pinned),
        (signed({}, octets, "HS256"), key_sets.import_usable(public(KEY))[str(KEY.kid)]),
    ):
        with pytest.raises(JoseError):
            key_sets.decode(token, key)


@pytest.mark.parametrize("named", ["Ed25519", "EdDSA"])
def test_a_key_of_either_name_of_ed25519_verifies_signatures_of_both(named: str) -> None:
    key = key_sets.import_usable({"keys": [{**ED, "alg": named}]})[str(KEY.kid)]
    for written in ("Ed25519", "EdDSA"):
        assert key_sets.decode(signed({"sub": "x"}, KEY, written), key).claims == {"sub": "x"}
