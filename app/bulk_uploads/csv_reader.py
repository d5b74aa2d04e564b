"""UTF-8 CSV (RFC 4180) becomes rows, each with the line where it begins."""

import csv
from collections.abc import Iterable, Iterator

from app.bulk_uploads.errors import CsvMalformed
from app.bulk_uploads.rows import LARGEST_RECORD, Lines, Row

csv.field_size_limit(LARGEST_RECORD)


class _Records(Lines):
    """Lines that know where the record began to which they belong."""

    def __init__(self, parts: Iterable[bytes], line: int | None) -> None:
        super().__init__(parts, CsvMalformed, line)
        self._record_began = 0

    def begin_record(self) -> int:
        """Count a record from here on; gives the line on which it begins."""
        self._record_began = self.bytes
        return self.lines + 1

    def __iter__(self) -> Iterator[str]:
        for text in super().__iter__():
            if self.bytes - self._record_began > LARGEST_RECORD:
                raise csv.Error(f"it is longer than {LARGEST_RECORD} bytes")
            yield text


def csv_rows(parts: Iterable[bytes], line: int | None = None) -> Iterator[Row]:
    """The header first, then every row that is not blank; of a file's later part, its rows from ``line`` on.

    Raises ``CsvMalformed`` with the line.
    """
    lines = _Records(parts, line)
    reader = csv.reader(lines, strict=True)
    while True:
        began = lines.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as wrong:
            raise CsvMalformed(f"The row that begins on line {began} cannot be read: {wrong}.") from None
        if cells:
            yield Row(began, lines.lines, lines.bytes, cells)
