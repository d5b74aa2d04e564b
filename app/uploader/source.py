"""What is to be uploaded: its bytes in pieces, packed on the way or not, never all at once."""

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.bulk_uploads.rules import FORMAT_OF_TYPE, UploadFormat

PIECE_BYTES = 256 * 1024
FORMAT_OF_SUFFIX = {
    ".csv": UploadFormat.CSV,
    ".ndjson": UploadFormat.NDJSON,
    ".jsonl": UploadFormat.NDJSON,
    ".xlsx": UploadFormat.XLSX,
}
ENCODING_OF_SUFFIX = {".gz": "gzip", ".zst": "zstd"}


class UnknownFormat(Exception):
    """The name of a file does not say what it is written in."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of registrations. ``encoding`` is how it is packed on the way; ``packs`` says that we do that."""

    name: str
    opened: Callable[[], BinaryIO]
    upload_format: UploadFormat
    encoding: str | None = None
    packs: bool = False

    @classmethod
    def of(cls, path: Path, upload_format: UploadFormat | None, *, gzip: bool) -> "Source":
        """The file at ``path``, its format by its name unless given. Raises ``UnknownFormat``."""
        suffixes = [suffix.lower() for suffix in path.suffixes]
        encoding = ENCODING_OF_SUFFIX.get(suffixes[-1]) if suffixes else None
        named = suffixes[:-1] if encoding else suffixes
        found = upload_format or (FORMAT_OF_SUFFIX.get(named[-1]) if named else None)
        if found is None:
            raise UnknownFormat(f"{path.name} ends in none of {', '.join(FORMAT_OF_SUFFIX)}: say --format.")
        packs = gzip and encoding is None
        return cls(path.name, lambda: path.open("rb"), found, "gzip" if packs else encoding, packs)

    @property
    def media_type(self) -> str:
        """The media type of its format."""
        return next(name for name, upload_format in FORMAT_OF_TYPE.items() if upload_format == self.upload_format)

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they go over the wire, the same each time."""
        with self.opened() as file:
            read = iter(lambda: file.read(PIECE_BYTES), b"")
            yield from _packed(read) if self.packs else read

    def measured(self) -> tuple[int, str]:
        """How many bytes go over the wire, and their ``Content-Digest``; reads the file once."""
        digest = hashlib.sha256()
        size = 0
        for piece in self.pieces():
            digest.update(piece)
            size += len(piece)
        return size, f"sha-256=:{b64encode(digest.digest()).decode()}:"


def _packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()
