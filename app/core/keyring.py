"""The keyring: keys derived from SECRET_KEY, and data keys of the database that SECRET_KEY unwraps."""

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# Hashes of these purposes are stored for years, so their keys are data keys; others are derived from SECRET_KEY.
StoredPurpose = Literal["client-secret", "subject"]
Purpose = StoredPurpose | Literal["cursor", "remembered", "fingerprint", "transfer-code"]
KEY_BYTES = 32
NONCE_BYTES = 12
ID_BYTES = 4
# Of values sealed before keys had ids: by a key derived from SECRET_KEY, without associated data.
FIRST_KEY_ID = 0


class SealBroken(Exception):
    """A sealed value was altered, or its key is not in the keyring."""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key wrapped by SECRET_KEY; its purpose is ``seal`` or that of a hash, and ``seals`` is True while used."""

    id: int
    purpose: str
    wrapped: bytes
    seals: bool


class Keyring:
    """Keyed hashes, and authenticated encryption of columns by keys with ids, which can be rotated.

    ``previous`` is the former SECRET_KEY, while data keys are still wrapped by it.
    """

    def __init__(self, secret: str, previous: str | None = None) -> None:
        self._secret = secret.encode()
        self._wrapping = [AESGCM(_derive(each.encode(), "wrap")) for each in (secret, previous) if each]
        self._hash_keys: dict[str, bytes] = {
            name: _derive(self._secret, name) for name in ("cursor", "remembered", "fingerprint", "transfer-code")
        }
        self._seals: dict[int, AESGCM] = {}
        self.sealing_id: int | None = None

    def first_keys(self) -> dict[str, bytes]:
        """Return the keys once derived from SECRET_KEY, by purpose, to be the first data keys."""
        return {name: _derive(self._secret, name) for name in ("seal", *get_args(StoredPurpose))}

    def load(self, keys: Iterable[WrappedKey]) -> None:
        """Load the data keys. Raises ``SealBroken`` when neither secret unwraps one."""
        unwrapped = [(each, self.unwrap(each.wrapped)) for each in keys]
        self._seals = {each.id: AESGCM(key) for each, key in unwrapped if each.purpose == "seal"}
        self._hash_keys |= {each.purpose: key for each, key in unwrapped if each.purpose != "seal"}
        self.sealing_id = max((each.id for each, _ in unwrapped if each.seals), default=None)

    def wrap(self, key: bytes) -> bytes:
        """Wrap a key by SECRET_KEY."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping[0].encrypt(nonce, key, None)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Unwrap a key by this or the previous secret. Raises ``SealBroken``."""
        for wrapping in self._wrapping:
            try:
                return wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], None)
            except (InvalidTag, ValueError):
                continue
        raise SealBroken("SECRET_KEY does not unwrap the keys of this database")

    def keyed_hash(self, purpose: Purpose, value: str) -> str:
        """Return the HMAC-SHA256 of ``value`` by the key of the purpose, in hexadecimal. Raises ``SealBroken``."""
        if purpose not in self._hash_keys:
            raise SealBroken(f"there is no key for {purpose}")
        return hmac.digest(self._hash_keys[purpose], value.encode(), "sha256").hex()

    def matches(self, purpose: Purpose, value: str, expected: str) -> bool:
        """True when ``expected`` is the keyed hash of ``value``; compares in constant time."""
        return hmac.compare_digest(self.keyed_hash(purpose, value), expected)

    def seal(self, column: str, plain: bytes) -> bytes:
        """Encrypt with AES-256-GCM, with the column's name (``table.column``) as associated data.

        Returns key id, random nonce and ciphertext.
        """
        if self.sealing_id is None:
            raise SealBroken("there is no key to seal with")
        nonce = os.urandom(NONCE_BYTES)
        encrypted = self._seals[self.sealing_id].encrypt(nonce, plain, column.encode())
        return self.sealing_id.to_bytes(ID_BYTES, "big") + nonce + encrypted

    def unseal(self, column: str, sealed: bytes) -> bytes:
        """Decrypt a sealed value of a column. Raises ``SealBroken``."""
        key_id = int.from_bytes(sealed[:ID_BYTES], "big")
        nonce, encrypted = sealed[ID_BYTES : ID_BYTES + NONCE_BYTES], sealed[ID_BYTES + NONCE_BYTES :]
        try:
            return self._seals[key_id].decrypt(nonce, encrypted, None if key_id == FIRST_KEY_ID else column.encode())
        except (KeyError, InvalidTag, ValueError) as error:
            raise SealBroken(f"{column} was not sealed with a known key") from error

    def seal_text(self, column: str, plain: str) -> bytes:
        """Seal a text as UTF-8."""
        return self.seal(column, plain.encode())

    def unseal_text(self, column: str, sealed: bytes) -> str:
        """Unseal a text. Raises ``SealBroken``."""
        return self.unseal(column, sealed).decode()


def _derive(secret: bytes, purpose: str) -> bytes:
    """Derive a key for a purpose by HKDF (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(secret)
