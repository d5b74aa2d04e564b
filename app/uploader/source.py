"""Files to upload: read in chunks, compressed on the way if asked, never whole in memory."""

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.bulk_uploads.rules import FORMAT_OF_TYPE, UploadFormat

CHUNK_BYTES = 256 * 1024
FORMAT_OF_SUFFIX = {
    ".csv": UploadFormat.CSV,
    ".ndjson": UploadFormat.NDJSON,
    ".jsonl": UploadFormat.NDJSON,
    ".xlsx": UploadFormat.XLSX,
}
ENCODING_OF_SUFFIX = {".gz": "gzip", ".zst": "zstd"}


class UnknownFormat(Exception):
    """The name of a file does not tell its format."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of registrations. ``encoding`` is its content encoding; with ``compress``, the source applies gzip."""

    name: str
    open: Callable[[], BinaryIO]
    upload_format: UploadFormat
    encoding: str | None = None
    compress: bool = False

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
        return cls(path.name, lambda: path.open("rb"), found, "gzip" if compress else encoding, compress)

    @property
    def media_type(self) -> str:
        """Media type of the format."""
        return next(name for name, upload_format in FORMAT_OF_TYPE.items() if upload_format == self.upload_format)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the request body, the same each time."""
        with self.open() as file:
            content = iter(lambda: file.read(CHUNK_BYTES), b"")
            yield from _gzip(content) if self.compress else content

    def size_and_digest(self) -> tuple[int, str]:
        """Return the size of the request body and its ``Content-Digest``; reads the file once."""
        digest = hashlib.sha256()
        size = 0
        for chunk in self.chunks():
            digest.update(chunk)
            size += len(chunk)
        return size, f"sha-256=:{b64encode(digest.digest()).decode()}:"


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    for chunk in chunks:
        if compressed := compressor.compress(chunk):
            yield compressed
    yield compressor.flush()
