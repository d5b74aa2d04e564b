"""An upload's bytes become rows, whatever its format: the header first, then row by row."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from app.bulk_uploads import rules
from app.bulk_uploads.errors import CsvMalformed, NdjsonMalformed, XlsxMalformed
from app.bulk_uploads.readers.csv import csv_rows
from app.bulk_uploads.readers.ndjson import ndjson_rows
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK, MOST_CELLS, Row
from app.bulk_uploads.readers.xlsx import BEGINNINGS, sheet_rows
from app.bulk_uploads.rules import UploadFormat
from app.core.errors import FieldError, Invalid, InvalidValue

READERS: dict[str, Callable[[Iterable[bytes], int | None], Iterator[Row]]] = {
    UploadFormat.CSV: csv_rows,
    UploadFormat.NDJSON: ndjson_rows,
    UploadFormat.XLSX: sheet_rows,
}
MALFORMED: dict[str, type[Invalid]] = {
    UploadFormat.CSV: CsvMalformed,
    UploadFormat.NDJSON: NdjsonMalformed,
    UploadFormat.XLSX: XlsxMalformed,
}


def read_rows(parts: Iterable[bytes], upload_format: str, line: int | None = None) -> Iterator[Row]:
    """The header first, then every row that is not blank; of a file's later part, its rows from ``line`` on.

    A workbook was unfolded before. Raises the format's error where the stream stops being what it should be, with the
    line.
    """
    return READERS[upload_format](parts, line)


def read_header(parts: Iterable[bytes], upload_format: str) -> Sequence[str]:
    """The checked names of the columns. Raises the format's error, or ``Invalid`` for columns that are wrong."""
    first = next(read_rows(parts, upload_format), None)
    if first is None:
        raise MALFORMED[upload_format]("The file is empty: it needs a header row.")
    header = [name.strip() for name in first.cells]
    rules.check_header(header)
    return header


def glance(first: bytes, upload_format: str) -> Sequence[str]:
    """The names of the columns as far as the first bytes of an upload tell; raises as ``read_header``.

    A workbook has none yet: it is opened by the worker alone.
    """
    said = first.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not said:
        raise MALFORMED[upload_format]("The file is empty.")
    if upload_format == UploadFormat.XLSX:
        if not first.startswith(BEGINNINGS):
            raise XlsxMalformed
        return ()
    if upload_format == UploadFormat.NDJSON and not said.startswith(b"{"):
        raise NdjsonMalformed("The file does not begin with a JSON object.")
    return read_header([first], upload_format)


def cells_of(row: Row, columns: Sequence[str]) -> tuple[dict[str, str], list[FieldError]]:
    """A row's cells by column, and what is wrong with them as text."""
    if len(row.cells) != len(columns):
        has = str(len(row.cells)) if len(row.cells) <= MOST_CELLS else f"more than {MOST_CELLS}"
        said = f"The row has {has} cells, the header {len(columns)}."
        at = columns[len(row.cells)] if len(row.cells) < len(columns) else columns[-1]
        return {}, [InvalidValue.at(f"/{at}", said)]
    cells = {name: rules.unescape_formula(cell) for name, cell in zip(columns, row.cells, strict=True)}
    broken = [name for name, cell in cells.items() if rules.has_surrogate(cell)]
    return cells, [*row.errors, *(InvalidValue.at(f"/{name}", "The cell is not valid UTF-8.") for name in broken)]


def is_plain(row: Row, columns: Sequence[str]) -> bool:
    """Whether ``cells_of`` would give a row's cells as they are, with nothing wrong."""
    whole = "".join(row.cells)
    is_text = "'" not in whole and (whole.isascii() or not rules.has_surrogate(whole))
    return is_text and len(row.cells) == len(columns) and not row.errors
