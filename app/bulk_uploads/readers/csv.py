"""UTF-8 CSV (RFC 4180) becomes rows, each with the line where it begins."""

import csv
from collections.abc import Iterable, Iterator

from app.bulk_uploads.errors import CsvMalformed
from app.bulk_uploads.readers.rows import LARGEST_RECORD, MOST_CELLS, Lines, Row

TOO_LONG = f"it does not end within {LARGEST_RECORD} bytes, so a quote is not closed"


def csv_rows(parts: Iterable[bytes], line: int | None = None) -> Iterator[Row]:
    """The header first, then every row that is not blank; of a file's later part, its rows from ``line`` on.

    Raises ``CsvMalformed`` with the line.
    """
    lines = Lines(parts, CsvMalformed, line)
    texts = iter(lines)
    most = None if line is None else MOST_CELLS  # the header's cells are counted by its own rules
    end = 0
    for text in texts:
        began = lines.lines
        plain = text.removesuffix("\n").removesuffix("\r")
        is_quoted = '"' in plain or "\r" in plain
        cells = _record(text, texts, lines, end + LARGEST_RECORD) if is_quoted else plain.split(",", most or -1)
        end = lines.bytes
        if plain and cells:
            yield Row(began, lines.lines, end, cells if most is None else _bounded(cells))
            most = MOST_CELLS


def _bounded(cells: list[str]) -> list[str]:
    """The cells of a row, those beyond ``MOST_CELLS`` as one."""
    return cells if len(cells) <= MOST_CELLS else [*cells[:MOST_CELLS], ",".join(cells[MOST_CELLS:])]


def _record(first: str, texts: Iterator[str], lines: Lines, most: int) -> list[str]:
    """The cells of a record whose ``first`` line has just been read, by the rules of quotes.

    It ends before the file's byte ``most``.
    """
    began = lines.lines
    try:
        return next(csv.reader(_lines_of_record(first, texts, lines, most), strict=True))
    except csv.Error as wrong:
        raise CsvMalformed(f"The row that begins on line {began} cannot be read: {wrong}.") from None
    except CsvMalformed:  # a line of it is too long
        raise CsvMalformed(f"The row that begins on line {began} cannot be read: {TOO_LONG}.") from None


def _lines_of_record(first: str, texts: Iterator[str], lines: Lines, most: int) -> Iterator[str]:
    yield first
    for text in texts:
        if lines.bytes > most:
            raise csv.Error(TOO_LONG)
        yield text
