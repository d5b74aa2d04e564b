"""Signatures: each algorithm, and both names of Ed25519."""

from typing import get_args

import pytest
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from app.core.auth import signatures
from app.core.settings import SigningAlgorithm

ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_another_key_signed_or_altered_is_refused(algorithm: SigningAlgorithm) -> None:
    key, other = (signatures.new_key(algorithm) for _ in range(2))
    signed = signatures.sign("x", b"payload", key)
    published = KeySet([signatures.public_half(key)])
    head, _, signature = signed.split(".")
    for wrong in (signatures.sign("x", b"payload", other), f"{head}.eA.{signature}", f"{head}.eA."):
        with pytest.raises((JoseError, ValueError)):
            signatures.verify(wrong, published)


def test_an_algorithm_of_another_type_of_key_and_one_that_is_not_ours_are_refused() -> None:
    key = signatures.new_key("Ed25519")
    published = KeySet([signatures.public_half(key)])
    secret = OctKey.import_key(str(key.get("x")), {"kid": str(key.kid), "alg": "HS256"})
    forged = jws.serialize_compact({"alg": "HS256", "kid": key.kid}, b"x", secret, algorithms=["HS256"])
    curve = signatures.new_key("ES256")
    confused = jws.serialize_compact({"alg": "ES256", "kid": key.kid}, b"x", curve, algorithms=["ES256"])
    for wrong in (forged, confused, f"eyJhbGciOiJub25lIn0.eA.{'A' * 86}"):
        with pytest.raises((JoseError, ValueError)):
            signatures.verify(wrong, published)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_header_names_the_algorithm_of_the_key_and_an_ed25519_key_is_published_without(
    algorithm: SigningAlgorithm,
) -> None:
    key = signatures.new_key(algorithm)
    published = KeySet([signatures.public_half(key)])
    found = signatures.verify(signatures.sign("list", b"payload", key), published)
    assert (found.headers(), found.payload) == ({"alg": algorithm, "kid": key.kid, "typ": "list"}, b"payload")
    (shown,) = published.as_dict(private=False)["keys"]
    assert "d" not in shown
    assert shown.get("alg") == (algorithm if algorithm == "ES256" else None)


def test_a_key_published_by_an_earlier_release_verifies_as_well() -> None:
    key = signatures.new_key("Ed25519")
    former = KeySet.import_key_set({"keys": [key.as_dict(private=False)]})
    assert former.as_dict(private=False)["keys"][0]["alg"] == "Ed25519"
    assert signatures.verify(signatures.sign("x", b"payload", key), former).payload == b"payload"
