"""``Content-Encoding`` (RFC 9110, 8.4) of a request: a packed body is unpacked as it comes, and only so far."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from app.bulk_uploads.receiving.compression import zstd
from app.core.errors import EncodingMalformed, PayloadTooLarge, UnsupportedEncoding

PIECE_BYTES = 64 * 1024
LARGEST_RATIO = 100
# a body may unpack to so much whatever its ratio
ALWAYS_ALLOWED = 4 * 1024 * 1024
# RFC 9659: no more than 8 MiB of window
ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}


def most_unpacked(packed: int) -> int:
    """The bytes that so many packed ones may unpack to."""
    return max(ALWAYS_ALLOWED, LARGEST_RATIO * packed)


class _Member(Protocol):
    """One gzip member or zstd frame. Its input is kept until the output was taken, ``max_length`` bytes at a time."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _GzipMember:
    """zlib's decompressor with the manners of zstd's."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        piece = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = len(piece) < max_length
        return piece


def _zstd_frame() -> _Member:
    return zstd.ZstdDecompressor(options=ZSTD_OPTIONS)


MEMBERS: dict[str, Callable[[], _Member] | None] = {
    "identity": None,
    "gzip": _GzipMember,
    "x-gzip": _GzipMember,
    "zstd": _zstd_frame,
}


class Unpacker:
    """Unpacks one body to at most ``largest`` bytes and to ``LARGEST_RATIO`` times what came.

    Raises ``UnsupportedEncoding`` when the header names anything but one known encoding.
    """

    def __init__(self, encoding: str | None, largest: int) -> None:
        name = (encoding or "identity").strip().lower()
        if name not in MEMBERS:
            raise UnsupportedEncoding(f"A body comes as it is, or packed with {UnsupportedEncoding.accepted}.")
        self._begin = MEMBERS[name]
        self._member: _Member | None = None
        self._largest = largest
        self._came = 0
        self._gave = 0

    def unpack(self, chunk: bytes) -> Iterator[bytes]:
        """What the next bytes of the body unpack to, in pieces of at most 64 KiB.

        Raises ``PayloadTooLarge`` beyond a limit, and ``EncodingMalformed`` for what cannot be unpacked.
        """
        if self._begin is None:
            yield chunk
            return
        self._came += len(chunk)
        while chunk or self._member:  # members and frames may follow one another (RFC 1952, RFC 8878)
            self._member = self._member or self._begin()
            piece = self._decompressed(self._member, chunk)
            yield piece
            chunk = b""
            if self._member.eof:
                chunk, self._member = self._member.unused_data, None
            elif self._member.needs_input or not piece:
                return

    def end(self) -> None:
        """Raises ``EncodingMalformed`` when the body ended before what is packed in it did."""
        if self._member is not None:
            raise EncodingMalformed("The packed body was cut short.")

    def _decompressed(self, member: _Member, chunk: bytes) -> bytes:
        try:
            piece = member.decompress(chunk, PIECE_BYTES)
        except (zlib.error, zstd.ZstdError) as wrong:
            raise EncodingMalformed(f"The body cannot be unpacked: {wrong}.") from None
        self._gave += len(piece)
        if self._gave > self._largest:
            raise PayloadTooLarge(f"The body unpacks to more than the limit of {self._largest} bytes.")
        if self._gave > most_unpacked(self._came):
            raise PayloadTooLarge(f"The body unpacks to more than {LARGEST_RATIO} times its size.")
        return piece
