"""Columns are checked and cells are named in every format."""

from itertools import pairwise
from pathlib import Path

import pytest

from app.bulk_uploads.errors import CsvMalformed, NdjsonMalformed, XlsxMalformed
from app.bulk_uploads.readers.parser import parse_cells, peek_header, read_rows
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK, Row
from app.bulk_uploads.readers.workbook import convert
from app.bulk_uploads.rules import COLUMNS, REQUIRED_COLUMNS, UploadFormat
from app.core.errors import Invalid
from tests.support import uploads


@pytest.mark.parametrize("body", [b"", b"\r\n", BYTE_ORDER_MARK], ids=["empty", "blank", "only a mark"])
@pytest.mark.parametrize(
    ("upload_format", "malformed"),
    [("csv", CsvMalformed), ("ndjson", NdjsonMalformed), ("xlsx", XlsxMalformed)],
)
def test_an_empty_file_is_refused_whatever_its_format(
    body: bytes, upload_format: str, malformed: type[Invalid]
) -> None:
    with pytest.raises(malformed, match="empty"):
        peek_header(body, upload_format)


def test_a_file_with_the_wrong_signature_is_refused_at_once() -> None:
    with pytest.raises(NdjsonMalformed):
        peek_header(b"reference,track\n", UploadFormat.NDJSON)
    for body in (b"reference,track\n", b'[2, ["made to look converted"]]\n'):
        with pytest.raises(XlsxMalformed):
            peek_header(body, UploadFormat.XLSX)


def test_a_header_of_too_many_columns_has_one_error() -> None:
    with pytest.raises(Invalid) as refused:
        peek_header(b"track," * 10_000, "csv")
    assert [(error.pointer, error.code) for error in refused.value.errors] == [("/columns", "invalid_value")]
    assert "10001 columns" in refused.value.detail


@pytest.mark.parametrize("body", [b"", b"\r\n\r\n", BYTE_ORDER_MARK], ids=["no bytes", "blank lines", "only a mark"])
def test_a_file_without_a_header_is_refused_as_empty(body: bytes) -> None:
    with pytest.raises(CsvMalformed, match="empty"):
        peek_header(body, "csv")


def test_unknown_duplicate_and_missing_columns_are_reported_together() -> None:
    with pytest.raises(Invalid) as refused:
        peek_header(b"reference,colour,track,track,applicant_kind,legal_name,email,Operator\n", "csv")
    assert {(error.pointer, error.code) for error in refused.value.errors} == {
        ("/columns/1", "invalid_value"),
        ("/columns/3", "invalid_value"),
        ("/columns/7", "invalid_value"),
        ("/columns/purpose", "missing_field"),
        ("/columns/operator", "missing_field"),
        ("/columns/networks", "missing_field"),
    }


def test_a_header_that_is_not_utf8_is_refused_with_a_detail_that_json_can_hold() -> None:
    with pytest.raises(Invalid) as refused:
        peek_header(b"tr\xffack,applicant_kind\n", "csv")
    assert refused.value.errors[0].detail.encode()


def test_columns_come_in_any_order_after_a_byte_order_mark_and_between_spaces() -> None:
    backwards = list(reversed(COLUMNS))
    assert peek_header(BYTE_ORDER_MARK + ", ".join(backwards).encode(), "csv") == backwards
    assert peek_header(",".join(REQUIRED_COLUMNS).encode(), "csv") == list(REQUIRED_COLUMNS)


def test_later_parts_of_a_file_have_the_rows_of_the_whole_file(tmp_path: Path) -> None:
    rows = [uploads.row(f"R{i}", description="two\nlines" if i % 2 else "") for i in range(6)]
    (tmp_path / "workbook").write_bytes(uploads.xlsx_of(rows))
    with (tmp_path / "workbook").open("rb") as workbook, (tmp_path / "lines").open("wb") as lines:
        convert(workbook, lines)
    bodies = {"csv": uploads.csv_of(rows), "ndjson": uploads.ndjson_of(rows), "xlsx": (tmp_path / "lines").read_bytes()}
    for upload_format, body in bodies.items():
        header, *whole = read_rows([body], upload_format)
        assert len(whole) == 6
        for before, later in pairwise([header, *whole]):
            (again, *_) = read_rows([body[before.end :]], upload_format, later.line)
            assert (again.line, again.cells) == (later.line, later.cells)


@pytest.mark.parametrize(("cells", "column"), [(["1"], "purpose"), (["1", "2", "3"], "purpose"), ([""], "purpose")])
def test_a_row_with_another_number_of_cells_is_refused_at_the_first_column_in_doubt(
    cells: list[str], column: str
) -> None:
    _, errors = parse_cells(Row(2, 2, 9, cells), ["track", "purpose"])
    assert [(error.pointer, error.code) for error in errors] == [(f"/{column}", "invalid_value")]


def test_every_cell_that_is_not_utf8_is_an_error() -> None:
    rows = list(read_rows([b"a,\xff,b,\xed\xa0\x80,c\r\n"], "csv"))
    _, errors = parse_cells(rows[0], ["a", "b", "c", "d", "e"])
    assert [error.pointer for error in errors] == ["/b", "/d"]
