"""Workbooks that nobody should open without care."""

import io
import zipfile
from collections.abc import Callable

import msoffcrypto.format.ooxml

from tests.support import uploads

SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def _with(name: str, pieces: Callable[[], list[bytes]]) -> bytes:
    """A sound workbook with one of its files replaced."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(uploads.xlsx_of([]))) as sound, zipfile.ZipFile(made, "w", 8) as out:
        for each in sound.namelist():
            if each != name:
                out.writestr(each, sound.read(each))
        with out.open(name, "w", force_zip64=True) as file:
            for piece in pieces():
                file.write(piece)
    return made.getvalue()


def far_corner() -> bytes:
    """Two cells, as far from each other as a sheet allows."""
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return _with(SHEET, lambda: [f"<worksheet {MAIN}><sheetData>{cells}</sheetData></worksheet>".encode()])


def long_text_repeated() -> bytes:
    """One text of a megabyte in a thousand cells."""
    cells = "".join(f'<row r="{i}"><c r="A{i}" t="inlineStr"><is><t>{"x" * 10**6}</t></is></c></row>' for i in (1, 2))
    head, tail = f"<worksheet {MAIN}><sheetData>".encode(), b"</sheetData></worksheet>"
    return _with(SHEET, lambda: [head, *([cells.encode()] * 500), tail])


def encrypted() -> bytes:
    """A sound workbook behind a password."""
    made = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(uploads.xlsx_of([uploads.row("A")]))).encrypt("secret", made)
    return made.getvalue()
