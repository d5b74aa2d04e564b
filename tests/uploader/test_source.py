"""A file is sent in chunks, the same each time, in the format that its name tells."""

import gzip
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from app.bulk_uploads.rules import UploadFormat
from app.uploader.source import CHUNK_BYTES, FileChanged, Source, UnknownFormat

BODY = b"".join(sha256(str(i).encode()).digest() for i in range(30_000))


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one more row\r\n")


def shrink(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(len(BODY) - 1)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(BODY)
    other.replace(path)


def write_within(path: Path) -> None:
    """Change a byte and hide that it was: sizes and times are as before."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(len(BODY) - 1)
        file.write(bytes([BODY[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("change", [grow, shrink, replace, write_within, Path.touch])
def test_a_file_that_changes_while_it_is_sent_is_cut_off_before_its_end(
    tmp_path: Path, change: Callable[[Path], None], compress: bool
) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes(BODY)
    source = Source.from_path(path, None, gzip=compress)
    reading = source.read()
    chunks = source.chunks_of(reading)
    sent = [next(chunks)]
    time.sleep(0.01)  # longer than the resolution of the times of files
    change(path)
    with pytest.raises(FileChanged, match=r"register\.csv changed .* Nothing was registered"):
        sent += chunks
    assert len(b"".join(sent)) < reading.size


def test_a_file_of_one_chunk_that_changed_before_it_was_sent_is_not_sent_at_all(tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes(b"a,b\n")
    source = Source.from_path(path, None, gzip=False)
    reading = source.read()
    path.write_bytes(b"")
    with pytest.raises(FileChanged):
        next(source.chunks_of(reading))


@pytest.mark.parametrize("name", ["register", "register.pdf", "register.gz", "csv", "register.csv.bak"])
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
        ("register.tsv", "text/csv", None),
        ("register.TXT.gz", "text/csv", "gzip"),
        ("register.xlsm", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", None),
        ("register.ods", "application/vnd.oasis.opendocument.spreadsheet", None),
        ("register.xls", "application/vnd.ms-excel", None),
        ("register.zip", "application/zip", None),
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
    reading = source.read()
    assert reading.size == len(sent)
    assert sent == b"".join(source.chunks_of(reading))


def test_a_compressed_file_is_not_compressed_again(tmp_path: Path) -> None:
    (tmp_path / "register.csv.gz").write_bytes(gzip.compress(b"a"))
    source = Source.from_path(tmp_path / "register.csv.gz", None, gzip=True)
    assert gzip.decompress(b"".join(source.chunks())) == b"a"
