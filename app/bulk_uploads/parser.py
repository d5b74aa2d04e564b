"""A stream of bytes becomes rows: UTF-8 CSV (RFC 4180), each row with the line where it begins."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.bulk_uploads import rules
from app.bulk_uploads.errors import CsvMalformed
from app.core.errors import FieldError, InvalidValue

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# One record may not be larger: a quote that is never closed would swallow the file.
LARGEST_RECORD = 8 * 1024 * 1024
csv.field_size_limit(LARGEST_RECORD)


@dataclass(frozen=True, slots=True)
class Row:
    """A row's cells as they came, and its place in the file."""

    line: int
    end: int
    cells: Sequence[str]


class _Lines:
    """The lines of a stream of bytes as text; counts lines and bytes, keeps undecodable bytes as surrogates."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts
        self.bytes = 0
        self.lines = 0
        self._record_began = 0

    def begin_record(self) -> int:
        """Count a record from here on; gives the line on which it begins."""
        self._record_began = self.bytes
        return self.lines + 1

    def __iter__(self) -> Iterator[str]:
        for line in self._raw():
            self.bytes += len(line)
            self.lines += 1
            if self.bytes - self._record_began > LARGEST_RECORD:
                raise csv.Error(f"it is longer than {LARGEST_RECORD} bytes")
            yield line.removeprefix(BYTE_ORDER_MARK if self.lines == 1 else b"").decode("utf-8", "surrogateescape")

    def _raw(self) -> Iterator[bytes]:
        rest = b""
        for part in self._parts:
            *whole, rest = (rest + part).split(b"\n")
            if len(rest) > LARGEST_RECORD:
                raise CsvMalformed(f"Line {self.lines + 1} is longer than {LARGEST_RECORD} bytes.")
            yield from (line + b"\n" for line in whole)
        if rest:
            yield rest


def read_rows(parts: Iterable[bytes]) -> Iterator[Row]:
    """The header first, then every row that is not blank.

    Raises ``CsvMalformed`` where the stream stops being CSV, with the line.
    """
    lines = _Lines(parts)
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
            yield Row(began, lines.bytes, cells)


def read_header(parts: Iterable[bytes]) -> Sequence[str]:
    """The checked names of the columns. Raises ``CsvMalformed``, or ``Invalid`` for columns that are wrong."""
    first = next(read_rows(parts), None)
    if first is None:
        raise CsvMalformed("The file is empty: it needs a header row.")
    header = [name.strip() for name in first.cells]
    rules.check_header(header)
    return header


def cells_of(row: Row, columns: Sequence[str]) -> tuple[dict[str, str], list[FieldError]]:
    """A row's cells by column, and what is wrong with them as text."""
    if len(row.cells) != len(columns):
        said = f"The row has {len(row.cells)} cells, the header {len(columns)}."
        at = columns[len(row.cells)] if len(row.cells) < len(columns) else columns[-1]
        return {}, [InvalidValue.at(f"/{at}", said)]
    cells = {name: rules.unguarded(cell) for name, cell in zip(columns, row.cells, strict=True)}
    broken = [name for name, cell in cells.items() if not cell.isascii() and _has_surrogate(cell)]
    return cells, [InvalidValue.at(f"/{name}", "The cell is not valid UTF-8.") for name in broken]


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
