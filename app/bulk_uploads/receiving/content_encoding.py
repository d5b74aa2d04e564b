"""Decompression of a request body by its ``Content-Encoding`` (RFC 9110, 8.4) as it arrives, within limits."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from app.bulk_uploads.receiving.compression import zstd
from app.core.errors import EncodingMalformed, PayloadTooLarge, UnsupportedEncoding

ACCEPTED = "gzip, zstd"
PIECE_BYTES = 64 * 1024
MAX_RATIO = 100
# allowed at any ratio
ALWAYS_ALLOWED_BYTES = 4 * 1024 * 1024
# RFC 9659: a window of at most 8 MiB
ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}


def max_decompressed(compressed: int) -> int:
    """Return the bytes to which a file of ``compressed`` bytes may be decompressed."""
    return max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * compressed)


class _Decompressor(Protocol):
    """Decompressor of one gzip member or zstd frame; it buffers its input and returns ``max_length`` bytes a call."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _GzipDecompressor:
    """zlib's decompressor with the interface of zstd's."""

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


def _zstd_decompressor() -> _Decompressor:
    return zstd.ZstdDecompressor(options=ZSTD_OPTIONS)


DECOMPRESSORS: dict[str, Callable[[], _Decompressor] | None] = {
    "identity": None,
    "gzip": _GzipDecompressor,
    "x-gzip": _GzipDecompressor,
    "zstd": _zstd_decompressor,
}


class BodyDecompressor:
    """Decompresses one body to at most ``max_bytes``, and to ``MAX_RATIO`` times what was received.

    Raises ``UnsupportedEncoding`` unless the header names one known encoding.
    """

    def __init__(self, encoding: str | None, max_bytes: int) -> None:
        name = (encoding or "identity").strip().lower()
        if name not in DECOMPRESSORS:
            raise UnsupportedEncoding(f"A body must be uncompressed or one of: {ACCEPTED}.", accepted=ACCEPTED)
        self._create = DECOMPRESSORS[name]
        self._current: _Decompressor | None = None
        self._max_bytes = max_bytes
        self._received = 0
        self._decompressed = 0

    def decompress(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the content of the next bytes of the body, in pieces of at most 64 KiB.

        Raises ``PayloadTooLarge`` beyond a limit, and ``EncodingMalformed`` when the body cannot be decompressed.
        """
        if self._create is None:
            yield chunk
            return
        self._received += len(chunk)
        while chunk or self._current:  # members and frames may follow one another (RFC 1952, RFC 8878)
            self._current = self._current or self._create()
            piece = self._next_piece(self._current, chunk)
            yield piece
            chunk = b""
            if self._current.eof:
                chunk, self._current = self._current.unused_data, None
            elif self._current.needs_input or not piece:
                return

    def finish(self) -> None:
        """Raise ``EncodingMalformed`` when the body ended within a member or frame."""
        if self._current is not None:
            raise EncodingMalformed("The compressed body is truncated.")

    def _next_piece(self, decompressor: _Decompressor, chunk: bytes) -> bytes:
        try:
            piece = decompressor.decompress(chunk, PIECE_BYTES)
        except (zlib.error, zstd.ZstdError) as error:
            raise EncodingMalformed(f"The body cannot be decompressed: {error}.") from None
        self._decompressed += len(piece)
        if self._decompressed > self._max_bytes:
            raise PayloadTooLarge(f"The decompressed body exceeds the limit of {self._max_bytes} bytes.")
        if self._decompressed > max_decompressed(self._received):
            raise PayloadTooLarge(f"The decompressed body exceeds {MAX_RATIO} times its size.")
        return piece
