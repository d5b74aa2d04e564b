"""Cells are named in every format, and rows are read on from any position."""

import json

import pytest

from app.bulk_uploads.readers.layout import NDJSON_LAYOUT
from app.bulk_uploads.readers.parser import is_plain, parse_cells, read_rows
from app.bulk_uploads.readers.rows import Row
from app.bulk_uploads.rules import UploadFormat
from app.core.errors import InvalidValue
from tests.support.text_files import file, line, read

PAIR = ["track", "purpose"]


def row(*cells: str) -> Row:
    return Row(2, 2, 2, 9, cells)


def test_every_cell_that_is_not_utf8_is_an_error_that_says_what_to_do() -> None:
    found = row("a\udcff", "\udced\udca0\udc80")
    _, errors = parse_cells(found, PAIR)
    assert [error.pointer for error in errors] == ["/track", "/purpose"]
    assert all("Save as CSV UTF-8" in error.detail for error in errors)
    assert not is_plain(found)


def test_a_row_that_repeats_the_header_has_that_error_alone() -> None:
    _, errors = parse_cells(row("Track*", "PURPOSE"), PAIR)
    assert [(error.pointer, error.detail) for error in errors] == [("", "Row 2 repeats the header. Remove the row.")]


def test_errors_of_the_reader_are_kept() -> None:
    error = InvalidValue.at("/track", "wrong")
    found = row("a", "b")._replace(errors=[error])
    assert parse_cells(found, PAIR) == ({"track": "a", "purpose": "b"}, [error])
    assert not is_plain(found)


@pytest.mark.parametrize(("cell", "parsed"), [("'+92", "+92"), ("'=1", "=1"), ("'Abdullah", "'Abdullah"), ("x", "x")])
def test_an_escaped_formula_is_undone(cell: str, parsed: str) -> None:
    found = row(cell, "")
    assert parse_cells(found, PAIR) == ({"track": parsed, "purpose": ""}, [])
    assert is_plain(found) == (cell == "x")


def test_later_parts_of_a_file_have_the_rows_of_the_whole_file() -> None:
    written = read(file(*[line(f"R{i}", description='"two\nlines"' if i % 2 else "") for i in range(6)]))
    objects = b"".join(json.dumps(cells).encode() + b"\n" for cells in written.cells)
    for upload_format, body, layout in (
        (UploadFormat.CSV, written.text, written.layout),
        (UploadFormat.NDJSON, objects, NDJSON_LAYOUT),
    ):
        whole = list(read_rows([body], upload_format, layout))
        assert len(whole) == 7
        for i, before in enumerate(whole[:-1]):
            later = list(read_rows([body[before.end :]], upload_format, layout, before.following))
            assert [each._replace(end=each.end + before.end) for each in later] == whole[i + 1 :]
