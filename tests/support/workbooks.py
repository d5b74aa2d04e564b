"""Workbooks that nobody should open without care."""

import io
import zipfile

import msoffcrypto.format.ooxml

from tests.support import uploads

SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def _with(**changed: str) -> bytes:
    """A sound workbook with its ``sheet`` or its ``strings`` replaced."""
    names = {SHEET: changed.get("sheet"), STRINGS: changed.get("strings")}
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(uploads.xlsx_of([]))) as sound,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for each in sound.namelist():
            out.writestr(each, names.get(each) or sound.read(each))
    return made.getvalue()


def _sheet(rows: str) -> str:
    return f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>"


def far_corner() -> bytes:
    """Two cells, as far from each other as a sheet allows."""
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return _with(sheet=_sheet(rows))


def long_text_repeated() -> bytes:
    """One text of a megabyte in four thousand cells."""
    rows = "".join(f'<row r="{i}"><c r="A{i}" t="s"><v>0</v></c></row>' for i in range(1, 4_001))
    return _with(sheet=_sheet(rows), strings=f"<sst {MAIN}><si><t>{'x' * 2**20}</t></si></sst>")


def encrypted() -> bytes:
    """A sound workbook behind a password."""
    made = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(uploads.xlsx_of([uploads.row("A")]))).encrypt("secret", made)
    return made.getvalue()
