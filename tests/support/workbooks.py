"""Workbooks that exhaust a reader or cannot be read."""

import io
import zipfile

import msoffcrypto.format.ooxml

from tests.support import uploads

SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def _workbook(**replaced: str) -> bytes:
    """Return a valid workbook with its ``sheet`` or its ``strings`` replaced."""
    files = {SHEET: replaced.get("sheet"), STRINGS: replaced.get("strings")}
    body = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(uploads.xlsx_of([]))) as valid,
        zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for each in valid.namelist():
            out.writestr(each, files.get(each) or valid.read(each))
    return body.getvalue()


def _sheet(rows: str) -> str:
    return f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>"


def far_corner() -> bytes:
    """Return a workbook with two cells, as far apart as a sheet allows."""
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return _workbook(sheet=_sheet(rows))


def long_text_repeated() -> bytes:
    """Return a workbook with the same text of a megabyte in four thousand cells."""
    rows = "".join(f'<row r="{i}"><c r="A{i}" t="s"><v>0</v></c></row>' for i in range(1, 4_001))
    return _workbook(sheet=_sheet(rows), strings=f"<sst {MAIN}><si><t>{'x' * 2**20}</t></si></sst>")


def encrypted() -> bytes:
    """Return a valid workbook that is encrypted with a password."""
    body = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(uploads.xlsx_of([uploads.row("A")]))).encrypt("secret", body)
    return body.getvalue()
