"""A file is sent in chunks, the same each time, in the format that its name tells."""

import gzip
from hashlib import sha256
from pathlib import Path

import pytest

from app.bulk_uploads.rules import UploadFormat
from app.uploader.source import CHUNK_BYTES, Source, UnknownFormat


@pytest.mark.parametrize("name", ["register", "register.txt", "register.gz", "csv", "register.csv.bak"])
def test_a_name_of_no_format_is_refused_unless_the_format_is_given(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownFormat, match="--format"):
        Source.from_path(tmp_path / name, None, gzip=False)
    assert Source.from_path(tmp_path / name, UploadFormat.CSV, gzip=False).media_type == "text/csv"


@pytest.mark.parametrize(
    ("name", "media_type", "encoding"),
    [
        ("register.csv", "text/csv", None),
        ("2026.11.CSV", "text/csv", None),
        ("register.csv.gz", "text/csv", "gzip"),
        ("register.jsonl.zst", "application/x-ndjson", "zstd"),
        ("register.ndjson", "application/x-ndjson", None),
        ("register.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", None),
    ],
)
def test_a_name_tells_the_format_and_the_encoding(
    tmp_path: Path, name: str, media_type: str, encoding: str | None
) -> None:
    source = Source.from_path(tmp_path / name, None, gzip=False)
    assert (source.media_type, source.encoding) == (media_type, encoding)


@pytest.mark.parametrize("compress", [True, False])
def test_a_file_has_the_same_chunks_each_time(tmp_path: Path, compress: bool) -> None:
    body = b"".join(sha256(str(i).encode()).digest() for i in range(30_000))
    (tmp_path / "register.csv").write_bytes(body)
    source = Source.from_path(tmp_path / "register.csv", None, gzip=compress)
    chunks = list(source.chunks())
    sent = b"".join(chunks)
    assert max(map(len, chunks)) <= 2 * CHUNK_BYTES
    assert (gzip.decompress(sent) if compress else sent) == body
    assert source.size_and_digest()[0] == len(sent)
    assert sent == b"".join(source.chunks())


def test_a_compressed_file_is_not_compressed_again(tmp_path: Path) -> None:
    (tmp_path / "register.csv.gz").write_bytes(gzip.compress(b"a"))
    source = Source.from_path(tmp_path / "register.csv.gz", None, gzip=True)
    assert gzip.decompress(b"".join(source.chunks())) == b"a"
