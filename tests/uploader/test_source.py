"""A file is sent in pieces, the same each time, in the format that its name says."""

import gzip
from hashlib import sha256
from pathlib import Path

import pytest

from app.bulk_uploads.rules import UploadFormat
from app.uploader.source import PIECE_BYTES, Source, UnknownFormat


@pytest.mark.parametrize("name", ["register", "register.txt", "register.gz", "csv", "register.csv.bak"])
def test_a_name_that_says_no_format_is_refused_unless_the_format_is_given(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownFormat, match="--format"):
        Source.of(tmp_path / name, None, gzip=False)
    assert Source.of(tmp_path / name, UploadFormat.CSV, gzip=False).media_type == "text/csv"


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
def test_a_name_says_the_format_and_whether_it_is_packed(
    tmp_path: Path, name: str, media_type: str, encoding: str | None
) -> None:
    source = Source.of(tmp_path / name, None, gzip=False)
    assert (source.media_type, source.encoding) == (media_type, encoding)


@pytest.mark.parametrize("pack", [True, False])
def test_a_file_goes_in_pieces_that_are_the_same_each_time(tmp_path: Path, pack: bool) -> None:
    body = b"".join(sha256(str(i).encode()).digest() for i in range(30_000))
    (tmp_path / "register.csv").write_bytes(body)
    source = Source.of(tmp_path / "register.csv", None, gzip=pack)
    pieces = list(source.pieces())
    sent = b"".join(pieces)
    assert max(map(len, pieces)) <= 2 * PIECE_BYTES
    assert (gzip.decompress(sent) if pack else sent) == body
    assert source.measured()[0] == len(sent)
    assert sent == b"".join(source.pieces())


def test_a_file_that_is_packed_is_not_packed_again(tmp_path: Path) -> None:
    (tmp_path / "register.csv.gz").write_bytes(gzip.compress(b"a"))
    source = Source.of(tmp_path / "register.csv.gz", None, gzip=True)
    assert gzip.decompress(b"".join(source.pieces())) == b"a"
