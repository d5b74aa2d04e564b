"""Signing secrets, keys and signatures of Standard Webhooks: HMAC-SHA256 (``v1``) and Ed25519 (``v1a``)."""

import base64
import secrets
from collections.abc import Iterable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

KEY_BYTES = 32


def new_secret() -> str:
    """Return a random signing secret for ``v1``: ``whsec_`` and base64 of 32 bytes."""
    return _random("whsec_")


def new_private_key() -> str:
    """Return a random private key for ``v1a``: ``whsk_`` and base64 of 32 bytes (RFC 8032, section 5.1.5)."""
    return _random("whsk_")


def _random(prefix: str) -> str:
    return prefix + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def public_key_of(private_key: str) -> str:
    """Return the public key of a private key: ``whpk_`` and base64 of 32 bytes."""
    return "whpk_" + base64.b64encode(_ed25519(private_key).public_key().public_bytes_raw()).decode()


def _ed25519(private_key: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(private_key.removeprefix("whsk_")))


def headers(message_id: str, sent_at: datetime, body: str, *, whsec: Iterable[str], private_key: str) -> dict[str, str]:
    """Return the headers of one attempt: a ``v1`` signature by each secret, and one ``v1a``.

    ``message_id`` has no full stop, ``sent_at`` is in UTC, ``body`` is what is sent as UTF-8.
    """
    timestamp = str(int(sent_at.timestamp()))
    symmetric = [Webhook(secret).sign(message_id, sent_at, body) for secret in whsec]
    signed = _ed25519(private_key).sign(f"{message_id}.{timestamp}.{body}".encode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join([*symmetric, f"v1a,{base64.b64encode(signed).decode()}"]),
    }
