"""Every key of the service, derived from its one secret by HKDF (RFC 5869), one per purpose."""

import base64
import hmac
import os
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Purpose = Literal["client-secret", "subject", "cursor"]
NONCE_BYTES = 12


class SealBroken(Exception):
    """What should be sealed was not sealed with this key, or was altered."""


class Keyring:
    """Keyed hashes and authenticated encryption for what must not be readable at rest."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._seal = AESGCM(self._derive("seal"))
        self._hash_keys: dict[Purpose, bytes] = {
            "client-secret": self._derive("client-secret"),
            "subject": self._derive("subject"),
            "cursor": self._derive("cursor"),
        }

    def _derive(self, purpose: str) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(self._secret)

    def keyed_hash(self, purpose: Purpose, value: str) -> str:
        """HMAC-SHA256 of ``value`` under the purpose's key, as 64 hexadecimal digits."""
        return hmac.digest(self._hash_keys[purpose], value.encode(), "sha256").hex()

    def matches(self, purpose: Purpose, value: str, expected: str) -> bool:
        """Whether ``expected`` is the keyed hash of ``value``, compared in constant time."""
        return hmac.compare_digest(self.keyed_hash(purpose, value), expected)

    def seal(self, plain: bytes) -> bytes:
        """Encrypt and authenticate with AES-256-GCM; the random nonce goes in front."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._seal.encrypt(nonce, plain, None)

    def unseal(self, sealed: bytes) -> bytes:
        """What was sealed. Raises ``SealBroken``."""
        try:
            return self._seal.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as broken:
            raise SealBroken from broken

    def seal_text(self, plain: str) -> str:
        """``seal`` for a text column: base64 of the sealed UTF-8."""
        return base64.b64encode(self.seal(plain.encode())).decode()

    def unseal_text(self, sealed: str) -> str:
        """What ``seal_text`` was given. Raises ``SealBroken``."""
        return self.unseal(base64.b64decode(sealed)).decode()
