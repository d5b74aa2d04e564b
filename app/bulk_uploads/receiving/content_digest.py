"""Verification of a body against its ``Content-Digest`` header (RFC 9530)."""

import hashlib
from base64 import b64encode

import http_sf

from app.core.errors import Invalid, InvalidValue

POINTER = "/header/Content-Digest"
# The active algorithms of RFC 9530; digests of other algorithms are ignored.
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class ContentDigest:
    """Expected digests from the header, compared with those of the received body, before decompression.

    Raises ``Invalid`` when the header is not a dictionary of byte sequences (RFC 9651).
    """

    def __init__(self, header: str | None) -> None:
        self._expected = _parse(header) if header else {}
        self._actual = {name: make() for name, make in ALGORITHMS.items() if name in self._expected}

    def update(self, chunk: bytes) -> None:
        """Add the next bytes of the body."""
        for digest in self._actual.values():
            digest.update(chunk)

    def check(self) -> None:
        """Raise ``Invalid`` when a digest of the body differs from the header."""
        for name, digest in self._actual.items():
            if digest.digest() != self._expected[name]:
                actual = f"{name}=:{b64encode(digest.digest()).decode()}:"
                detail = f"The received body has the digest {actual}: it was truncated or altered in transit."
                raise Invalid.of([InvalidValue.at(POINTER, detail)])


def _parse(header: str) -> dict[str, bytes]:
    try:
        members = http_sf.parse(header.encode("latin-1"), tltype="dictionary")
    except http_sf.StructuredFieldError as error:
        raise _malformed(str(error)) from None
    assert isinstance(members, dict)
    digests: dict[str, bytes] = {}
    for name, member in members.items():
        value = member[0] if isinstance(member, tuple) else member
        if not isinstance(value, bytes):
            raise _malformed(f"{name} is not a byte sequence")
        digests[name] = value
    return digests


def _malformed(reason: str) -> Invalid:
    detail = f"Not a digest as RFC 9530 defines it ({reason}). Send sha-256=:BASE64: or omit the header."
    return Invalid.of([InvalidValue.at(POINTER, detail)])
