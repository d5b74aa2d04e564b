"""Keys that are derived from one secret: seals hold and hashes of one purpose say nothing in another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.keyring import Keyring, SealBroken

KEYRING = Keyring("a secret of the tests that is long enough")
OTHER = Keyring("another secret of the tests, as long as it")


@given(st.binary(), st.data())
def test_a_seal_that_was_altered_anywhere_is_broken(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(KEYRING.seal(plain))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        KEYRING.unseal(bytes(sealed))


@given(st.binary(max_size=40))
def test_what_was_never_sealed_cannot_be_unsealed(never_sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        KEYRING.unseal(never_sealed)


@given(st.binary())
def test_what_another_key_sealed_cannot_be_unsealed(plain: bytes) -> None:
    with pytest.raises(SealBroken):
        KEYRING.unseal(OTHER.seal(plain))


@given(st.binary(), st.text())
def test_what_was_sealed_comes_back_and_no_two_seals_are_alike(plain: bytes, text: str) -> None:
    assert KEYRING.unseal(KEYRING.seal(plain)) == plain
    assert KEYRING.unseal_text(KEYRING.seal_text(text)) == text
    assert KEYRING.seal(plain) != KEYRING.seal(plain)
    assert KEYRING.seal_text(text) != KEYRING.seal_text(text)


def test_a_keyed_hash_depends_on_the_secret_the_purpose_and_the_value() -> None:
    hashes = {
        KEYRING.keyed_hash("subject", "x"),
        KEYRING.keyed_hash("cursor", "x"),
        KEYRING.keyed_hash("client-secret", "x"),
        KEYRING.keyed_hash("subject", "y"),
        OTHER.keyed_hash("subject", "x"),
    }
    assert len(hashes) == 5
    assert KEYRING.keyed_hash("subject", "x") == Keyring("a secret of the tests that is long enough").keyed_hash(
        "subject", "x"
    )


def test_a_value_matches_its_own_hash_only() -> None:
    kept = KEYRING.keyed_hash("client-secret", "right")
    assert KEYRING.matches("client-secret", "right", kept)
    assert not KEYRING.matches("client-secret", "wrong", kept)
    assert not KEYRING.matches("subject", "right", kept)
    assert not KEYRING.matches("client-secret", "right", "")
