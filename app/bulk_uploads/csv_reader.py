"""UTF-8 CSV (RFC 4180) becomes rows, each with the line where it begins."""

import csv
from collections.abc import Iterable, Iterator

from app.bulk_uploads.errors import CsvMalformed
from app.bulk_uploads.rows import LARGEST_RECORD, Lines, Row

csv.field_size_limit(LARGEST_RECORD)


def csv_rows(parts: Iterable[bytes], line: int | None = None) -> Iterator[Row]:
    """The header first, then every row that is not blank; of a file's later part, its rows from ``line`` on.

    Raises ``CsvMalformed`` with the line.
    """
    lines = Lines(parts, CsvMalformed, line)
    texts = iter(lines)
    for text in texts:
        began = lines.lines
        plain = text.removesuffix("\n").removesuffix("\r")
        cells = _record(text, texts, lines) if '"' in plain or "\r" in plain else plain.split(",")
        if plain and cells:
            yield Row(began, lines.lines, lines.bytes, cells)


def _record(first: str, texts: Iterator[str], lines: Lines) -> list[str]:
    """The cells of a record whose ``first`` line has just been read, by the rules of quotes."""
    began = lines.lines
    try:
        return next(csv.reader(_lines_of_record(first, texts, lines), strict=True))
    except csv.Error as wrong:
        raise CsvMalformed(f"The row that begins on line {began} cannot be read: {wrong}.") from None


def _lines_of_record(first: str, texts: Iterator[str], lines: Lines) -> Iterator[str]:
    before = lines.bytes
    yield first
    for text in texts:
        if lines.bytes - before > LARGEST_RECORD:
            raise csv.Error(f"it is longer than {LARGEST_RECORD} bytes")
        yield text
