"""Values and sizes of the status list, the end of a certificate, and the digest of its networks. Pure functions."""

import hashlib
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import IntEnum

BITS = 2  # of one status
PER_BYTE = 8 // BITS
BLOCK = 65_536  # statuses by which the list grows
# of a certificate of a case that is listed past its expiry, in its period of grace or while its successor is decided
DAY_BY_DAY = timedelta(days=1)
MAX_QR_BYTES = 2_000  # a denser code is hard to read from paper


class CertificateStatus(IntEnum):
    """The Status Type of a certificate (Token Status List, section 7)."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2


def list_size(draws: int) -> int:
    """Return the number of statuses of the list after so many indexes were drawn: whole blocks, half empty."""
    return BLOCK * (1 + 2 * draws // BLOCK)


def size_with(largest: int) -> int:
    """Return the number of statuses of a list with ``largest`` as its largest index, -1 for none: whole blocks."""
    return BLOCK * (max(largest, 0) // BLOCK + 1)


def pack_statuses(size: int, statuses: Iterable[tuple[int, int]]) -> bytes:
    """Return ``size`` statuses of ``BITS`` bits each, from the least significant bit of each byte.

    ``statuses`` are indexes with their values; all others are valid (Token Status List, section 4.1).
    """
    packed = bytearray(size // PER_BYTE)
    for index, value in statuses:
        packed[index // PER_BYTE] |= value << index % PER_BYTE * BITS
    return bytes(packed)


def encode_statuses(packed: bytes) -> str:
    """Return packed statuses as the claim ``lst``: compressed by ZLIB, in base64url (Token Status List, 4.2)."""
    return urlsafe_b64encode(zlib.compress(packed, 9)).rstrip(b"=").decode()


def valid_until(expires_at: datetime | None, now: datetime) -> datetime:
    """Return the end of a certificate that is issued now for a case in force: of the approval, or a day at a time."""
    return expires_at if expires_at and expires_at > now else now + DAY_BY_DAY


def networks_digest(networks: Sequence[str]) -> str:
    """Return SHA-256 in hex of the networks, sorted as texts, one a line with its line feed."""
    return hashlib.sha256("".join(f"{each}\n" for each in sorted(networks)).encode()).hexdigest()
