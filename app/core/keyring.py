"""The keys at hand: what SECRET_KEY gives by itself, and the keys of the database that it opens."""

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# What is hashed to be found or checked again years later is keyed from the database; the rest by SECRET_KEY itself.
KeptPurpose = Literal["client-secret", "subject"]
Purpose = KeptPurpose | Literal["cursor", "remembered", "fingerprint"]
KEY_BYTES = 32
NONCE_BYTES = 12
ID_BYTES = 4
# What was sealed before keys had ids: by a key derived from SECRET_KEY, and bound to no column.
FIRST_KEY_ID = 0


class SealBroken(Exception):
    """What should be sealed was not sealed with a key at hand, or was altered, or there is no key at hand."""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key of the database: its id, what it is for (``seal`` or a purpose), and itself, sealed by SECRET_KEY."""

    id: int
    purpose: str
    wrapped: bytes
    seals: bool


class Keyring:
    """Keyed hashes, and authenticated encryption of columns under keys with ids, so that they can be rotated.

    ``previous`` is the SECRET_KEY before this one, while the database's keys are still wrapped by it.
    """

    def __init__(self, secret: str, previous: str | None = None) -> None:
        self._secret = secret.encode()
        self._wrapping = [AESGCM(_derived(each.encode(), "wrap")) for each in (secret, previous) if each]
        self._hash_keys: dict[str, bytes] = {
            name: _derived(self._secret, name) for name in ("cursor", "remembered", "fingerprint")
        }
        self._seals: dict[int, AESGCM] = {}
        self.sealing_id: int | None = None

    def first_keys(self) -> dict[str, bytes]:
        """The keys that SECRET_KEY alone stood for, by purpose; a database's first keys, so that its hashes stay."""
        return {name: _derived(self._secret, name) for name in ("seal", *get_args(KeptPurpose))}

    def learn(self, keys: Iterable[WrappedKey]) -> None:
        """Take the database's keys in. Raises ``SealBroken`` when neither secret opens one."""
        opened = [(each, self.unwrap(each.wrapped)) for each in keys]
        self._seals = {each.id: AESGCM(key) for each, key in opened if each.purpose == "seal"}
        self._hash_keys |= {each.purpose: key for each, key in opened if each.purpose != "seal"}
        self.sealing_id = max((each.id for each, _ in opened if each.seals), default=None)

    def wrap(self, key: bytes) -> bytes:
        """A key, sealed to be kept in the database."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping[0].encrypt(nonce, key, None)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key that was wrapped by this or the previous secret. Raises ``SealBroken``."""
        for wrapping in self._wrapping:
            try:
                return wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], None)
            except (InvalidTag, ValueError):
                continue
        raise SealBroken("SECRET_KEY does not open this database's keys")

    def keyed_hash(self, purpose: Purpose, value: str) -> str:
        """HMAC-SHA256 of ``value`` under the purpose's key, as 64 hexadecimal digits. Raises ``SealBroken``."""
        if purpose not in self._hash_keys:
            raise SealBroken(f"there is no key for {purpose}")
        return hmac.digest(self._hash_keys[purpose], value.encode(), "sha256").hex()

    def matches(self, purpose: Purpose, value: str, expected: str) -> bool:
        """Whether ``expected`` is the keyed hash of ``value``, compared in constant time."""
        return hmac.compare_digest(self.keyed_hash(purpose, value), expected)

    def seal(self, column: str, plain: bytes) -> bytes:
        """Encrypt and authenticate with AES-256-GCM for one column (``table.column``).

        Gives key id, random nonce and ciphertext; in another column it cannot be unsealed.
        """
        if self.sealing_id is None:
            raise SealBroken("there is no key to seal with")
        nonce = os.urandom(NONCE_BYTES)
        encrypted = self._seals[self.sealing_id].encrypt(nonce, plain, column.encode())
        return self.sealing_id.to_bytes(ID_BYTES, "big") + nonce + encrypted

    def unseal(self, column: str, sealed: bytes) -> bytes:
        """What was sealed for the column. Raises ``SealBroken``."""
        key_id = int.from_bytes(sealed[:ID_BYTES], "big")
        nonce, encrypted = sealed[ID_BYTES : ID_BYTES + NONCE_BYTES], sealed[ID_BYTES + NONCE_BYTES :]
        try:
            return self._seals[key_id].decrypt(nonce, encrypted, None if key_id == FIRST_KEY_ID else column.encode())
        except (KeyError, InvalidTag, ValueError) as broken:
            raise SealBroken(f"{column} was not sealed with a key at hand") from broken

    def seal_text(self, column: str, plain: str) -> bytes:
        """``seal`` of text, as UTF-8."""
        return self.seal(column, plain.encode())

    def unseal_text(self, column: str, sealed: bytes) -> str:
        """What ``seal_text`` was given. Raises ``SealBroken``."""
        return self.unseal(column, sealed).decode()


def _derived(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose by HKDF (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(secret)
