"""Reader of CSV files (RFC 4180) with any separator, and with the mistakes that people make."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import dropwhile

from app.bulk_uploads.errors import CsvMalformed
from app.bulk_uploads.readers.columns import BLANKS, Columns
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.quotes import OpenQuotes
from app.bulk_uploads.readers.rows import MAX_RECORD_BYTES, Line, Lines, Position, Row, line_text
from app.bulk_uploads.readers.workbook_process.lines import column_letter
from app.core.errors import FieldError, InvalidValue

BLANK_QUOTE = ' "'
# The first line by which Excel is told the separator. It is no row of the spreadsheet.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"? *', re.IGNORECASE)


def read_csv(parts: Iterable[bytes], layout: Layout, start: Position | None = None) -> Iterator[Row]:
    """Yield the header and every row that is not blank; with ``start``, the parts begin there, with a later row.

    The parts are normalized (``TextNormalizer``). A row that cannot be read has errors, and the next ones are read.
    Raises ``CsvMalformed`` when the header of the layout is not in the file.
    """
    separator = layout.separator or ","
    columns = Columns(layout)
    is_direct, width, probe = columns.is_direct, columns.width, columns.probe
    rows = read_records(parts, separator, start, width)
    if start is None:
        yield _find_header(rows, layout)
    for row in rows:
        line, _, last_line, _, cells, errors = row
        if is_direct and len(cells) == width and cells[probe] and last_line == line and not errors:
            yield row
        else:
            yield columns.place(row, separator)


def read_records(
    parts: Iterable[bytes], separator: str, start: Position | None = None, width: int | None = None
) -> Iterator[Row]:
    """Yield every record that is not blank with all its cells, whether they have a column or not.

    A record in which a quotation mark is ambiguous has an error unless it has ``width`` cells.
    """
    position = start or Position(1, 1)
    lines = Lines(parts, position.line)
    shift = position.line - position.row
    if start is None and (first := lines.look_ahead()) and first[0] == 1 and SEPARATOR_LINE.fullmatch(line_text(first)):
        lines.take()
        shift = 1
    quotes = OpenQuotes(lines, separator)
    blanks = separator + BLANKS
    while line := lines.take():
        number, content, end = line
        if len(content) > MAX_RECORD_BYTES:
            yield Row(number, number - shift, number, end, (), [_too_long(number)])
            continue
        record = content.decode("utf-8", "surrogateescape")
        if '"' in record:
            row = _read_quoted(quotes, line, number - shift, width)
            shift += row.last_line - number
            if row.errors or any(cell.strip(BLANKS) for cell in row.cells):
                yield row
        elif record[0] not in blanks or record.strip(blanks):
            yield Row(number, number - shift, number, end, record.removesuffix("\r").split(separator))


def _find_header(rows: Iterator[Row], layout: Layout) -> Row:
    header_row = layout.tables[0].header_row
    found = next(dropwhile(lambda row: row.row < header_row, rows), None)
    if found is None or found.row > header_row:
        raise CsvMalformed(f"The header in row {header_row} cannot be read: look for quotation marks above it.")
    return found._replace(cells=layout.columns, errors=())


def _too_long(line: int) -> FieldError:
    return InvalidValue.at("", f"Line {line} is longer than {MAX_RECORD_BYTES} bytes, which no row needs.")


def _read_quoted(quotes: OpenQuotes, first: Line, row: int, width: int | None) -> Row:
    """Read a record with quotation marks. One that is not closed refuses its line alone: the next one is read again."""
    number, _, end = first
    text = line_text(first)
    if BLANK_QUOTE not in text:  # the module takes blanks before a quotation mark for text
        try:
            return Row(number, row, number, end, next(csv.reader((text,), delimiter=quotes.separator, strict=True)))
        except csv.Error:  # a quotation mark that is not closed on the line, or has text after it
            pass
    record, last = quotes.read_record(first)
    if last is None:
        error = _unclosed(f"{column_letter(record.opened)}{row}")
        # without the quotation mark, with which a spreadsheet would send the exported row back
        cells = [*record.cells, *text[record.begin :].split(quotes.separator)] if record.is_open else None
        return Row(number, row, number, end, cells or text.split(quotes.separator), [error])
    is_ambiguous = record.has_text_after_quote and width not in (None, len(record.cells))
    errors = _ambiguous(row) if is_ambiguous else ()
    return Row(number, row, last[0], last[2], record.cells, errors)


def _unclosed(cell: str) -> FieldError:
    detail = (
        f"The cell {cell} begins with a quotation mark that is not closed. Remove it; or close it at the end of the "
        "cell, and write those within the cell twice."
    )
    return InvalidValue.at("", detail)


def _ambiguous(row: int) -> list[FieldError]:
    detail = (
        f"Row {row} has text after a quotation mark that closes a cell, and another number of cells than the header. "
        "Remove the quotation marks; or begin and end the cell with one, and write those within twice."
    )
    return [InvalidValue.at("", detail)]
