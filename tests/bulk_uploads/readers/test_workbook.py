"""A workbook is read as a spreadsheet shows it, and its conversion is limited in memory, time and output."""

import io
import resource
from collections.abc import Callable
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Any

import pytest
import xlsxwriter

from app.bulk_uploads.errors import XlsxMalformed, XlsxTooLarge
from app.bulk_uploads.readers import workbook as reading
from app.bulk_uploads.readers.rows import MAX_CELLS, Row
from app.bulk_uploads.readers.workbook import convert, read_converted
from app.bulk_uploads.receiving import content_encoding
from tests.support import uploads, workbooks


def workbook_of(*sheets: tuple[str, Callable[[Any, Any], None]]) -> bytes:
    """Write a workbook of named sheets, each filled in by its function."""
    body = io.BytesIO()
    workbook = xlsxwriter.Workbook(body)
    for name, fill in sheets:
        fill(workbook.add_worksheet(name), workbook)
    workbook.close()
    return body.getvalue()


def read(body: bytes) -> list[Row]:
    with TemporaryFile() as workbook, TemporaryFile() as lines:
        workbook.write(body)
        workbook.seek(0)
        convert(workbook, lines)
        lines.seek(0)
        return list(read_converted([lines.read()]))


@pytest.mark.parametrize("bomb", [workbooks.far_corner, workbooks.long_text_repeated])
def test_a_bomb_is_refused_and_takes_no_memory_of_the_reader(bomb: Callable[[], bytes]) -> None:
    body = bomb()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(XlsxTooLarge):
        read(body)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB


@pytest.mark.parametrize(("limit", "least"), [("CPU_SECONDS", 0), ("WALL_SECONDS", 0.001), ("OUTPUT_BYTES", 4096)])
def test_time_and_output_are_limited_too(monkeypatch: pytest.MonkeyPatch, limit: str, least: float) -> None:
    monkeypatch.setattr(reading, limit, least)
    with pytest.raises(XlsxTooLarge):
        read(uploads.xlsx_of([uploads.row(f"R{i}") for i in range(200)]))


def test_a_row_over_64_kib_is_refused_with_its_number_in_the_sheet() -> None:
    def fill(sheet: Any, _: Any) -> None:
        sheet.write_row(0, 0, ["a", "b", "c"])
        sheet.write_row(1, 0, ["دفتر" * 2_000, "1", "2"])
        sheet.write_row(4, 0, ["x" * 30_000] * 3)
        sheet.write_row(5, 0, ["1", "2", "3"])

    with pytest.raises(XlsxMalformed, match="Row 5 of the sheet has more than 65536 bytes"):
        read(workbook_of(("Sheet1", fill)))


def test_excess_cells_of_a_row_are_joined() -> None:
    def fill(sheet: Any, _: Any) -> None:
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_row(1, 0, ["1"] * 1_000)

    _, row = read(workbook_of(("Sheet1", fill)))
    assert row.cells == ["1"] * MAX_CELLS + [" ".join(["1"] * (1_000 - MAX_CELLS))]


def test_the_output_of_a_workbook_is_limited_like_a_compressed_body(monkeypatch: pytest.MonkeyPatch) -> None:
    body = uploads.xlsx_of([uploads.row(f"R{i}", description="x" * 2_000) for i in range(2_000)])
    assert read(body)
    monkeypatch.setattr(content_encoding, "MAX_RATIO", 1)
    monkeypatch.setattr(content_encoding, "ALWAYS_ALLOWED_BYTES", 100_000)
    with pytest.raises(XlsxTooLarge):
        read(body)


def test_a_workbook_behind_a_password_is_refused_and_says_so() -> None:
    with pytest.raises(XlsxMalformed, match="password"):
        read(workbooks.encrypted())


@pytest.mark.parametrize("cut", [4, 100, 2_000, -10])
def test_a_workbook_that_is_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(XlsxMalformed):
        read(uploads.xlsx_of([uploads.row("A")])[:cut])


@pytest.mark.parametrize(
    "body", [b"reference,track\n", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)]
)
def test_a_file_that_is_not_a_workbook_is_refused(body: bytes) -> None:
    with pytest.raises(XlsxMalformed):
        read(body)


def test_cells_are_read_as_they_are_seen() -> None:
    def fill(sheet: Any, workbook: Any) -> None:
        day, minute = (workbook.add_format({"num_format": each}) for each in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm"))
        sheet.write_row(0, 0, ["header"] * 8)
        sheet.write_number(1, 0, 1234567)
        sheet.write_string(1, 1, "0012345-6")
        sheet.write_number(1, 2, 9000112345671)
        sheet.write_number(1, 3, 0.1)
        sheet.write_boolean(1, 4, True)
        sheet.write_datetime(1, 5, datetime(2026, 1, 31, tzinfo=UTC).replace(tzinfo=None), day)
        sheet.write_datetime(1, 6, datetime(2026, 1, 31, 9, 30, tzinfo=UTC).replace(tzinfo=None), minute)
        sheet.write_formula(1, 7, '="nay"&"atel"', None, "nayatel")

    _, row = read(workbook_of(("Sheet1", fill)))
    assert row.cells == [
        "1234567", "0012345-6", "9000112345671", "0.1", "TRUE", "2026-01-31", "2026-01-31 09:30:00", "nayatel",
    ]  # fmt: skip


def test_rows_have_the_numbers_of_the_sheet_and_the_width_of_the_header() -> None:
    def fill(sheet: Any, _: Any) -> None:
        sheet.write_row(2, 1, ["a", "b", "c"])
        sheet.write_row(3, 1, ["1"])
        sheet.write_row(5, 1, ["1", "2", "3", " "])
        sheet.write_row(9, 1, ["1", "2", "3", "4"])
        sheet.write_row(11, 1, [" ", ""])

    rows = read(workbook_of(("Sheet1", fill)))
    assert [(row.line, row.cells) for row in rows] == [
        (3, ["a", "b", "c"]),
        (4, ["1", "", ""]),
        (6, ["1", "2", "3"]),
        (10, ["1", "2", "3", "4"]),
    ]


def test_the_sheet_of_registrations_is_read_or_else_the_first() -> None:
    def named(text: str) -> Callable[[Any, Any], None]:
        return lambda sheet, _: sheet.write_string(0, 0, text)

    assert read(workbook_of(("Cover", named("cover")), ("Registrations", named("right"))))[0].cells == ["right"]
    assert read(workbook_of(("Cover", named("cover")), ("More", named("more"))))[0].cells == ["cover"]
