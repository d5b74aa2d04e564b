"""Workbooks that spreadsheets write in ways of their own, that exhaust a reader, or that cannot be read; archives."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import msoffcrypto.format.ooxml
import xlsxwriter

from app.bulk_uploads.readers.workbook import Converted, convert

SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
STYLES = "xl/styles.xml"
LIBREOFFICE_FILES = Path(__file__).parents[1] / "bulk_uploads/readers/files"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


class Opened(NamedTuple):
    """A workbook or archive as the process apart gives it: what it found, and the lines of rows or the text file."""

    converted: Converted
    lines: bytes

    @property
    def rows(self) -> list[Any]:
        """The lines of rows, decoded."""
        return [json.loads(line) for line in self.lines.splitlines()]


def opened(body: bytes) -> Opened:
    """Convert a workbook or archive."""
    with TemporaryFile() as workbook, TemporaryFile() as lines:
        workbook.write(body)
        workbook.seek(0)
        converted = convert(workbook, lines)
        lines.seek(0)
        return Opened(converted, lines.read())


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
    """Return a workbook with a million shared texts, which need 65 MiB."""
    return of_xml('<row r="1"><c t="s"><v>0</v></c></row>', strings="<si><t>abcdefgh</t></si>" * 1_000_000)


def one_text_without_end() -> bytes:
    """Return a workbook with one text of 100 MB, which is 100 KB in the archive."""
    return of_xml('<row r="1"><c t="s"><v>0</v></c></row>', strings=f"<si><t>{'x' * 100_000_000}</t></si>")


def deep() -> bytes:
    """Return a workbook whose XML has two million elements inside each other."""
    return of_xml("<a>" * 2_000_000)


def entities() -> bytes:
    """Return a workbook whose XML repeats a text a billion times by entities."""
    declared = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x"}">' for i in range(10))
    row = '<row r="1"><c t="inlineStr"><is><t>&e9;</t></is></c></row>'
    sheet = f"<!DOCTYPE w [{declared}]><worksheet {MAIN}><sheetData>{row}</sheetData></worksheet>"
    return patched(of_table(["a"]), {SHEET: sheet})


def blanks() -> bytes:
    """Return a workbook with a million blank cells that have a style."""
    blank = '<c s="0"/>'
    rows = "".join(f'<row r="{i}">{blank * 100}</row>' for i in range(2, 10_002))
    return of_xml(f'<row r="1"><c t="inlineStr"><is><t>a</t></is></c></row>{rows}')


def encrypted() -> bytes:
    """Return a valid workbook that is encrypted with a password."""
    body = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(of_table(["a"]))).encrypt("secret", body)
    return body.getvalue()


def without(body: bytes, name: str) -> bytes:
    """Return an archive without one of its files."""
    with zipfile.ZipFile(io.BytesIO(body)) as given:
        return archive_of({each: given.read(each) for each in given.namelist() if each != name})


def of_main_part(name: str) -> bytes:
    """Return an Office file whose main part has a name, such as ``word/document.xml``."""
    relations = f'<Relationships><Relationship Type="a/officeDocument" Target="{name}" Id="a"/></Relationships>'
    return archive_of({"[Content_Types].xml": b"", "_rels/.rels": relations.encode(), name: b"<document/>"})


def ods_of_xml(rows: str) -> bytes:
    """Return an ODS workbook of one sheet from the XML of its rows."""
    names = " ".join(
        f'xmlns:{each}="urn:oasis:names:tc:opendocument:xmlns:{each}:1.0"' for each in ("office", "table", "text")
    )
    table = f'<table:table table:name="Sheet1">{rows}</table:table>'
    body = f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>"
    content = f"<office:document-content {names}>{body}</office:document-content>"
    mimetype = b"application/vnd.oasis.opendocument.spreadsheet"
    manifest = '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    return archive_of(
        {"mimetype": mimetype, "content.xml": content.encode(), "META-INF/manifest.xml": manifest.encode()}
    )


def libreoffice_file(name: str) -> bytes:
    """Return a file that LibreOffice wrote."""
    return (LIBREOFFICE_FILES / name).read_bytes()
