"""Parsing of uploads in any format: the header, the rows, and the named cells of a row."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from app.bulk_uploads import rules
from app.bulk_uploads.errors import CsvMalformed, NdjsonMalformed, XlsxMalformed
from app.bulk_uploads.readers.csv import read_csv
from app.bulk_uploads.readers.ndjson import read_ndjson
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK, MAX_CELLS, Row
from app.bulk_uploads.readers.workbook import SIGNATURES, read_converted
from app.bulk_uploads.rules import UploadFormat
from app.core.errors import FieldError, Invalid, InvalidValue

READERS: dict[str, Callable[[Iterable[bytes], int | None], Iterator[Row]]] = {
    UploadFormat.CSV: read_csv,
    UploadFormat.NDJSON: read_ndjson,
    UploadFormat.XLSX: read_converted,
}
MALFORMED: dict[str, type[Invalid]] = {
    UploadFormat.CSV: CsvMalformed,
    UploadFormat.NDJSON: NdjsonMalformed,
    UploadFormat.XLSX: XlsxMalformed,
}


def read_rows(parts: Iterable[bytes], upload_format: str, line: int | None = None) -> Iterator[Row]:
    """Yield the header and every row that is not blank; with ``line``, the parts begin at a later row on that line.

    The parts of a workbook are those of its conversion. Raises the malformed error of the format, with the line.
    """
    return READERS[upload_format](parts, line)


def read_header(parts: Iterable[bytes], upload_format: str) -> Sequence[str]:
    """Return the names of the columns. Raises the malformed error of the format, and ``Invalid`` for wrong columns."""
    first = next(read_rows(parts, upload_format), None)
    if first is None:
        raise MALFORMED[upload_format]("The file is empty: it needs a header row.")
    header = [name.strip() for name in first.cells]
    rules.check_header(header)
    return header


def peek_header(first_part: bytes, upload_format: str) -> Sequence[str]:
    """Return the names of the columns from the first part of a file; raises like ``read_header``.

    Of a workbook only the signature is checked, since the worker alone opens it, and no names are returned.
    """
    content = first_part.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not content:
        raise MALFORMED[upload_format]("The file is empty.")
    if upload_format == UploadFormat.XLSX:
        if not first_part.startswith(SIGNATURES):
            raise XlsxMalformed
        return ()
    if upload_format == UploadFormat.NDJSON and not content.startswith(b"{"):
        raise NdjsonMalformed("The file does not begin with a JSON object.")
    return read_header([first_part], upload_format)


def parse_cells(row: Row, columns: Sequence[str]) -> tuple[dict[str, str], list[FieldError]]:
    """Return a row's unescaped cells by column, and its errors: those of its reader, of width and of encoding."""
    if len(row.cells) != len(columns):
        count = str(len(row.cells)) if len(row.cells) <= MAX_CELLS else f"more than {MAX_CELLS}"
        detail = f"The row has {count} cells; the header has {len(columns)}."
        column = columns[len(row.cells)] if len(row.cells) < len(columns) else columns[-1]
        return {}, [InvalidValue.at(f"/{column}", detail)]
    cells = {name: rules.unescape_formula(cell) for name, cell in zip(columns, row.cells, strict=True)}
    undecodable = [name for name, cell in cells.items() if rules.has_surrogate(cell)]
    return cells, [*row.errors, *(InvalidValue.at(f"/{name}", "The cell is not valid UTF-8.") for name in undecodable)]


def is_plain(row: Row, columns: Sequence[str]) -> bool:
    """True when ``parse_cells`` would return a row's cells unchanged and without errors."""
    whole = "".join(row.cells)
    is_text = "'" not in whole and (whole.isascii() or not rules.has_surrogate(whole))
    return is_text and len(row.cells) == len(columns) and not row.errors
