"""Reader of UTF-8 CSV files (RFC 4180)."""

import csv
from collections.abc import Iterable, Iterator

from app.bulk_uploads.errors import CsvMalformed
from app.bulk_uploads.readers.rows import MAX_CELLS, MAX_RECORD_BYTES, LineReader, Row

TOO_LONG = f"it is longer than {MAX_RECORD_BYTES} bytes; a quote is probably not closed"


def read_csv(parts: Iterable[bytes], line: int | None = None) -> Iterator[Row]:
    """Yield the header and every row that is not blank; with ``line``, the parts begin at a later row on that line.

    Raises ``CsvMalformed`` with the line.
    """
    lines = LineReader(parts, CsvMalformed, line)
    texts = iter(lines)
    limit = None if line is None else MAX_CELLS  # a header has a limit of its own, ``check_header``
    end = 0
    for text in texts:
        first_line = lines.lines
        record = text.removesuffix("\n").removesuffix("\r")
        is_quoted = '"' in record or "\r" in record
        cells = (
            _parse_quoted(text, texts, lines, end + MAX_RECORD_BYTES) if is_quoted else record.split(",", limit or -1)
        )
        end = lines.bytes
        if record and cells:
            yield Row(first_line, lines.lines, end, cells if limit is None else _join_excess(cells))
            limit = MAX_CELLS


def _join_excess(cells: list[str]) -> list[str]:
    """Join the cells beyond ``MAX_CELLS`` into one."""
    return cells if len(cells) <= MAX_CELLS else [*cells[:MAX_CELLS], ",".join(cells[MAX_CELLS:])]


def _parse_quoted(text: str, texts: Iterator[str], lines: LineReader, limit: int) -> list[str]:
    """Parse a record with quotes that begins with the line ``text``; it must end before the offset ``limit``."""
    first_line = lines.lines
    try:
        return next(csv.reader(_record_lines(text, texts, lines, limit), strict=True))
    except csv.Error as error:
        raise CsvMalformed(f"The row that begins on line {first_line} cannot be read: {error}.") from None
    except CsvMalformed:  # one of its lines is too long
        raise CsvMalformed(f"The row that begins on line {first_line} cannot be read: {TOO_LONG}.") from None


def _record_lines(text: str, texts: Iterator[str], lines: LineReader, limit: int) -> Iterator[str]:
    yield text
    for following in texts:
        if lines.bytes > limit:
            raise csv.Error(TOO_LONG)
        yield following
