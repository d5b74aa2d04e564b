"""Files to upload: read in chunks, compressed on the way if asked, never whole in memory."""

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from app.bulk_uploads.rules import FORMAT_OF_TYPE, UploadFormat

CHUNK_BYTES = 256 * 1024
FORMAT_OF_SUFFIX = {
    ".csv": UploadFormat.CSV,
    ".tsv": UploadFormat.CSV,
    ".txt": UploadFormat.CSV,
    ".ndjson": UploadFormat.NDJSON,
    ".jsonl": UploadFormat.NDJSON,
    ".xlsx": UploadFormat.XLSX,
    ".xlsm": UploadFormat.XLSX,
    ".ods": UploadFormat.ODS,
    ".xls": UploadFormat.XLS,
    ".zip": UploadFormat.ZIP,
}
ENCODING_OF_SUFFIX = {".gz": "gzip", ".zst": "zstd"}


class UnknownFormat(Exception):
    """The name of a file does not tell its format."""


class FileChanged(Exception):
    """A file is not what it was when it was first read: it grew, shrank, was replaced or written to."""


class Reading(NamedTuple):
    """A request body as it was first read: its size, its SHA-256, and the state of the file."""

    size: int
    digest: bytes
    state: tuple[int, ...]

    @property
    def content_digest(self) -> str:
        """The ``Content-Digest`` of the body (RFC 9530)."""
        return f"sha-256=:{b64encode(self.digest).decode()}:"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of registrations. ``encoding`` is its content encoding; with ``compress``, the source applies gzip.

    ``state`` returns what differs once another file has the name, or the file was written to.
    """

    name: str
    open: Callable[[], BinaryIO]
    upload_format: UploadFormat
    encoding: str | None = None
    compress: bool = False
    state: Callable[[], tuple[int, ...]] = tuple

    @classmethod
    def from_path(cls, path: Path, upload_format: UploadFormat | None, *, gzip: bool) -> "Source":
        """Create the source of a file; its name tells the format unless one is given. Raises ``UnknownFormat``."""
        suffixes = [suffix.lower() for suffix in path.suffixes]
        encoding = ENCODING_OF_SUFFIX.get(suffixes[-1]) if suffixes else None
        rest = suffixes[:-1] if encoding else suffixes
        found = upload_format or (FORMAT_OF_SUFFIX.get(rest[-1]) if rest else None)
        if found is None:
            raise UnknownFormat(f"{path.name} ends in none of {', '.join(FORMAT_OF_SUFFIX)}: give --format.")
        compress = gzip and encoding is None
        encoding = "gzip" if compress else encoding
        return cls(path.name, lambda: path.open("rb"), found, encoding, compress, partial(_state, path))

    @property
    def media_type(self) -> str:
        """Media type of the format."""
        return next(name for name, upload_format in FORMAT_OF_TYPE.items() if upload_format == self.upload_format)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the request body, the same each time unless the file changes."""
        with self.open() as file:
            content = iter(lambda: file.read(CHUNK_BYTES), b"")
            yield from _gzip(content) if self.compress else content

    def read(self) -> Reading:
        """Read the file once. Raises ``FileChanged`` when it changes meanwhile."""
        state, size, digest = self.state(), 0, hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
            size += len(chunk)
        if self.state() != state:
            raise self._changed()
        return Reading(size, digest.digest(), state)

    def chunks_of(self, reading: Reading) -> Iterator[bytes]:
        """Yield the bytes of the request body as they were at ``reading``.

        Raises ``FileChanged`` before the last of them when the file has changed since, so that the body is never
        complete: the service keeps nothing of a body that was cut off.
        """
        digest = hashlib.sha256()
        held, size = b"", 0
        for chunk in self.chunks():
            if held:
                yield held
            held, size = chunk, size + len(chunk)
            digest.update(chunk)
            if size > reading.size:
                raise self._changed()
        if digest.digest() != reading.digest or self.state() != reading.state:
            raise self._changed()
        if held:
            yield held

    def _changed(self) -> FileChanged:
        return FileChanged(
            f"{self.name} changed while it was read or sent: a program still writes to it, or it was saved again. "
            "Nothing was registered. Wait until the file is complete, then send it again."
        )


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()
