"""Parsing of uploads in any format: the rows, and the named cells of a row."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from app.bulk_uploads import rules
from app.bulk_uploads.readers.csv import read_csv
from app.bulk_uploads.readers.header import repeats_header
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.ndjson import read_ndjson
from app.bulk_uploads.readers.rows import Position, Row
from app.bulk_uploads.readers.workbook_sheets import read_converted
from app.bulk_uploads.rules import UploadFormat
from app.core.errors import FieldError, InvalidValue

READERS: dict[str, Callable[[Iterable[bytes], Layout, Position | None], Iterator[Row]]] = {
    UploadFormat.CSV: read_csv,
    UploadFormat.NDJSON: read_ndjson,
    UploadFormat.XLSX: read_converted,
    UploadFormat.ODS: read_converted,
    UploadFormat.XLS: read_converted,
}
NOT_UTF_8 = "The cell is not valid UTF-8. In the spreadsheet: Save as CSV UTF-8; or say the encoding of the file."


def read_rows(
    parts: Iterable[bytes], upload_format: str, layout: Layout, start: Position | None = None
) -> Iterator[Row]:
    """Yield the header and every row that is not blank; with ``start``, the parts begin there, with a later row.

    The parts of a text file are normalized, those of a workbook are its conversion. Raises the malformed error of the
    format.
    """
    return READERS[upload_format](parts, layout, start)


def parse_cells(row: Row, columns: Sequence[str]) -> tuple[dict[str, str], list[FieldError]]:
    """Return a row's unescaped cells by column, and its errors: those of its reader, and those of encoding.

    A row that repeats the header has that error alone.
    """
    if not row.errors and repeats_header(columns, row.cells):
        return {}, [InvalidValue.at("", f"Row {row.row} repeats the header. Remove the row.")]
    cells = {name: rules.unescape_formula(cell) for name, cell in zip(columns, row.cells, strict=False)}
    undecodable = [name for name, cell in cells.items() if rules.has_surrogate(cell)]
    return cells, [*row.errors, *(InvalidValue.at(f"/{name}", NOT_UTF_8) for name in undecodable)]


def is_plain(row: Row) -> bool:
    """True when ``parse_cells`` would return a row's cells unchanged and without errors.

    A row that repeats the header is not looked for: it is no valid row.
    """
    whole = "".join(row.cells)
    return "'" not in whole and (whole.isascii() or not rules.has_surrogate(whole)) and not row.errors
