"""A sealed value opens only for its column, keys can be rotated, and hashes have one purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.keyring import FIRST_KEY_ID, Keyring, SealBroken, WrappedKey

SECRET = "a secret of the tests that is long enough"
OTHER_SECRET = "another secret of the tests, as long as it"
COLUMN = "applicants.sealed_cnic"


def keyring_with(keyring: Keyring, *sealing: tuple[int, bytes]) -> Keyring:
    """Return a keyring with its first keys, and sealing keys of these ids and bytes."""
    first = keyring.first_keys()
    keys = [WrappedKey(FIRST_KEY_ID, "seal", keyring.wrap(first.pop("seal")), seals=True)]
    keys += [
        WrappedKey(id_, purpose, keyring.wrap(key), seals=False) for id_, (purpose, key) in enumerate(first.items(), 1)
    ]
    keys += [WrappedKey(id_, "seal", keyring.wrap(key), seals=True) for id_, key in sealing]
    keyring.load(keys)
    return keyring


OLD, NEW = (7, b"o" * 32), (8, b"n" * 32)
KEYRING = keyring_with(Keyring(SECRET), OLD)
OTHER = keyring_with(Keyring(OTHER_SECRET), (7, b"x" * 32))


@given(st.binary(), st.data())
def test_a_seal_that_was_altered_anywhere_is_broken(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(KEYRING.seal(COLUMN, plain))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        KEYRING.unseal(COLUMN, bytes(sealed))


@given(st.binary(max_size=40))
def test_what_was_never_sealed_cannot_be_unsealed(never_sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        KEYRING.unseal(COLUMN, never_sealed)


@given(st.binary())
def test_what_another_key_or_another_column_sealed_cannot_be_unsealed(plain: bytes) -> None:
    with pytest.raises(SealBroken):
        KEYRING.unseal(COLUMN, OTHER.seal(COLUMN, plain))
    with pytest.raises(SealBroken):
        KEYRING.unseal(COLUMN, KEYRING.seal("applicants.sealed_email", plain))


def test_without_a_key_nothing_is_sealed_unsealed_or_hashed_to_be_kept() -> None:
    empty = Keyring(SECRET)
    for attempt in (
        lambda: empty.seal(COLUMN, b"x"),
        lambda: empty.unseal(COLUMN, KEYRING.seal(COLUMN, b"x")),
        lambda: empty.keyed_hash("subject", "x"),
    ):
        with pytest.raises(SealBroken):
            attempt()


def test_keys_that_neither_secret_opens_are_refused() -> None:
    with pytest.raises(SealBroken):
        Keyring(SECRET, OTHER_SECRET).load([WrappedKey(1, "seal", Keyring("x" * 40).wrap(b"k" * 32), seals=True)])


@given(st.binary(), st.text())
def test_what_was_sealed_comes_back_and_no_two_seals_are_alike(plain: bytes, text: str) -> None:
    assert KEYRING.unseal(COLUMN, KEYRING.seal(COLUMN, plain)) == plain
    assert KEYRING.unseal_text(COLUMN, KEYRING.seal_text(COLUMN, text)) == text
    assert KEYRING.seal(COLUMN, plain) != KEYRING.seal(COLUMN, plain)


@given(st.binary())
def test_after_a_rotation_the_new_key_seals_and_the_old_one_still_unseals(plain: bytes) -> None:
    before = KEYRING.seal(COLUMN, plain)
    rotated = keyring_with(Keyring(SECRET), OLD, NEW)
    assert rotated.unseal(COLUMN, before) == plain
    assert rotated.seal(COLUMN, plain)[:4] == (8).to_bytes(4, "big")
    with pytest.raises(SealBroken):
        KEYRING.unseal(COLUMN, rotated.seal(COLUMN, plain))


def test_a_new_secret_opens_what_the_previous_one_wrapped_and_wraps_by_itself() -> None:
    old, both, new = Keyring(SECRET), Keyring(OTHER_SECRET, SECRET), Keyring(OTHER_SECRET)
    assert both.unwrap(old.wrap(b"k" * 32)) == b"k" * 32
    assert new.unwrap(both.wrap(b"k" * 32)) == b"k" * 32
    with pytest.raises(SealBroken):
        new.unwrap(old.wrap(b"k" * 32))


def test_a_keyed_hash_depends_on_the_secret_the_purpose_and_the_value() -> None:
    hashes = {
        KEYRING.keyed_hash("subject", "x"),
        KEYRING.keyed_hash("cursor", "x"),
        KEYRING.keyed_hash("client-secret", "x"),
        KEYRING.keyed_hash("subject", "y"),
        OTHER.keyed_hash("subject", "x"),
    }
    assert len(hashes) == 5
    assert KEYRING.keyed_hash("subject", "x") == keyring_with(Keyring(SECRET), NEW).keyed_hash("subject", "x")


def test_a_value_matches_its_own_hash_only() -> None:
    kept = KEYRING.keyed_hash("client-secret", "right")
    assert KEYRING.matches("client-secret", "right", kept)
    assert not KEYRING.matches("client-secret", "wrong", kept)
    assert not KEYRING.matches("subject", "right", kept)
    assert not KEYRING.matches("client-secret", "right", "")
