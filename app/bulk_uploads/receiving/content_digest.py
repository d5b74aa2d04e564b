"""``Content-Digest`` (RFC 9530): whether a body arrived as it was sent."""

import hashlib
from base64 import b64encode

import http_sf

from app.core.errors import Invalid, InvalidValue

POINTER = "/header/Content-Digest"
# the active algorithms of RFC 9530; a digest by any other is passed over
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class ContentDigest:
    """What the header says of a body, and the digests of what came: of the bytes on the wire, still packed.

    Raises ``Invalid`` when the header is no dictionary of byte sequences (RFC 9651).
    """

    def __init__(self, header: str | None) -> None:
        self._expected = _digests(header) if header else {}
        self._found = {name: make() for name, make in ALGORITHMS.items() if name in self._expected}

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the body into account."""
        for found in self._found.values():
            found.update(chunk)

    def check(self) -> None:
        """Raises ``Invalid`` when the body has another digest than the header says."""
        for name, found in self._found.items():
            if found.digest() != self._expected[name]:
                arrived = f"{name}=:{b64encode(found.digest()).decode()}:"
                said = f"The body that arrived has {arrived}: it was cut short or altered on the way."
                raise Invalid.of([InvalidValue.at(POINTER, said)])


def _digests(header: str) -> dict[str, bytes]:
    try:
        members = http_sf.parse(header.encode("latin-1"), tltype="dictionary")
    except http_sf.StructuredFieldError as wrong:
        raise _malformed(str(wrong)) from None
    assert isinstance(members, dict)
    digests: dict[str, bytes] = {}
    for name, member in members.items():
        value = member[0] if isinstance(member, tuple) else member
        if not isinstance(value, bytes):
            raise _malformed(f"{name} is not a byte sequence")
        digests[name] = value
    return digests


def _malformed(why: str) -> Invalid:
    said = f"Not a digest as RFC 9530 has it ({why}). Send it like sha-256=:BASE64:, or leave the header out."
    return Invalid.of([InvalidValue.at(POINTER, said)])
