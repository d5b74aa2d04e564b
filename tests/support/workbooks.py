"""Workbooks that spreadsheets write in ways of their own, that exhaust a reader, or that cannot be read; archives."""

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import msoffcrypto.format.ooxml
import xlsxwriter

SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
STYLES = "xl/styles.xml"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def of_sheets(*sheets: tuple[str, Callable[[Any, Any], None]]) -> bytes:
    """Write a workbook of named sheets, each filled in by its function of the sheet and the workbook."""
    body = io.BytesIO()
    workbook = xlsxwriter.Workbook(body)
    for name, fill in sheets:
        fill(workbook.add_worksheet(name), workbook)
    workbook.close()
    return body.getvalue()


def of_table(*rows: list[Any]) -> bytes:
    """Write a workbook of one sheet with rows of texts and numbers."""

    def fill(sheet: Any, _: Any) -> None:
        for number, cells in enumerate(rows):
            sheet.write_row(number, 0, cells)

    return of_sheets(("Sheet1", fill))


def patched(body: bytes, parts: Mapping[str, str | bytes]) -> bytes:
    """Return an archive with some of its files replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as given, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for name in given.namelist():
            if name not in parts:
                written.writestr(name, given.read(name))
        for name, content in parts.items():
            written.writestr(name, content)
    return out.getvalue()


def part(body: bytes, name: str) -> str:
    """Return a file of an archive as text."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return archive.read(name).decode()


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """Write a ZIP archive; a name that ends with a slash is a folder."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return body.getvalue()


def of_xml(rows: str, *, after: str = "", strings: str = "", styles: str = "") -> bytes:
    """Return a workbook of one sheet from the XML of its rows, of what stands after them, and of its other parts."""
    parts = {SHEET: f"<worksheet {MAIN}><sheetData>{rows}</sheetData>{after}</worksheet>"}
    if strings:
        parts[STRINGS] = f"<sst {MAIN}>{strings}</sst>"
    if styles:
        parts[STYLES] = f"<styleSheet {MAIN}>{styles}</styleSheet>"
    return patched(of_table(["a"]), parts)


def cells_xml(*cells: str) -> str:
    """Return the XML of a first row of inline texts ``a``, ``b``, ... and of a second row of the given cells."""
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(cells)]
    names = "".join(f'<c t="inlineStr"><is><t>{each}</t></is></c>' for each in letters)
    return f'<row r="1">{names}</row><row r="2">{"".join(cells)}</row>'


def far_corner() -> bytes:
    """Return a workbook with two cells, as far apart as a sheet allows."""
    return of_xml('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')


def long_text_repeated() -> bytes:
    """Return a workbook with the same text of a megabyte in four thousand cells."""
    rows = "".join(f'<row r="{i}"><c r="A{i}" t="s"><v>0</v></c></row>' for i in range(1, 4_001))
    return of_xml(rows, strings=f"<si><t>{'x' * 2**20}</t></si>")


def many_texts() -> bytes:
    """Return a workbook whose shared texts need more than the memory limit."""
    return of_xml('<row r="1"><c t="s"><v>0</v></c></row>', strings="<si><t>abcdefgh</t></si>" * 8_000_000)


def one_text_without_end() -> bytes:
    """Return a workbook with one text of 600 MB, which is 600 KB in the archive."""
    return of_xml('<row r="1"><c t="s"><v>0</v></c></row>', strings=f"<si><t>{'x' * 600_000_000}</t></si>")


def deep() -> bytes:
    """Return a workbook whose XML has ten million elements inside each other."""
    return of_xml("<a>" * 10_000_000)


def entities() -> bytes:
    """Return a workbook whose XML repeats a text a billion times by entities."""
    declared = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x"}">' for i in range(10))
    row = '<row r="1"><c t="inlineStr"><is><t>&e9;</t></is></c></row>'
    sheet = f"<!DOCTYPE w [{declared}]><worksheet {MAIN}><sheetData>{row}</sheetData></worksheet>"
    return patched(of_table(["a"]), {SHEET: sheet})


def encrypted() -> bytes:
    """Return a valid workbook that is encrypted with a password."""
    body = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(of_table(["a"]))).encrypt("secret", body)
    return body.getvalue()
