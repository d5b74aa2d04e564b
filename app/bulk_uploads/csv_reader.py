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
    reader = csv.reader(lines, strict=True)
    while True:
        began = lines.lines + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as wrong:
            raise CsvMalformed(f"The row that begins on line {began} cannot be read: {wrong}.") from None
        if cells:
            yield Row(began, lines.bytes, cells)
