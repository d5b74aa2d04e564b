"""Rows as every reader yields them, and readers of the lines of a text file."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, count
from typing import NamedTuple

from app.bulk_uploads.rules import COLUMNS
from app.core.errors import FieldError, Invalid

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Limits of one record: without them, an unclosed quote swallows the file, and a line of commas becomes millions of
# objects. A valid row is far below both; its largest cell has 2,000 characters.
MAX_RECORD_BYTES = 64 * 1024
MAX_CELLS = len(COLUMNS) + 8
# Bytes split into lines at once: a list of a million empty lines would need 8 MiB.
SPLIT_BYTES = 64 * 1024
# A line that is not empty: its number, its bytes without the line end, and the offset of its end.
Line = tuple[int, bytes, int]


def line_text(line: Line) -> str:
    """Return a line as text; undecodable bytes become surrogates (PEP 383)."""
    return line[1].decode("utf-8", "surrogateescape").removesuffix("\r")


class Position(NamedTuple):
    """A place between rows: the number of the next line of the file, and of the next row as a spreadsheet counts."""

    line: int
    row: int


class Row(NamedTuple):
    """A row: its first line, its number, its last line, the offset of its end, its cells as sent, and its errors.

    Lines and rows are counted from 1, and the offset is in bytes from the beginning of what is read. ``cells`` are in
    the order of ``Layout.columns``. ``errors`` are those of the reader, and point to a column.
    """

    line: int
    row: int
    last_line: int
    end: int
    cells: Sequence[str]
    errors: Sequence[FieldError] = ()

    @property
    def following(self) -> Position:
        """The position after this row, from which its file can be read on at the offset ``end``."""
        return Position(self.last_line + 1, self.row + 1)


class LineReader:
    """Iterates over the lines of a byte stream as text; undecodable bytes become surrogates (PEP 383).

    ``lines`` and ``bytes`` count what was read. ``line`` is the number of the first line, when the stream begins later
    in a file. Raises ``malformed`` for a line longer than ``MAX_RECORD_BYTES``.
    """

    def __init__(self, parts: Iterable[bytes], malformed: type[Invalid], line: int | None = None) -> None:
        self._parts = parts
        self._malformed = malformed
        self.bytes = 0
        self.lines = (line or 1) - 1

    def __iter__(self) -> Iterator[str]:
        for line in self._split():
            self.bytes += len(line)
            self.lines += 1
            yield line.decode("utf-8", "surrogateescape")

    def _split(self) -> Iterator[bytes]:
        rest = b""
        for part in self._parts:
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self._check(line)
                yield line + b"\n"
            self._check(rest)
        if rest:
            yield rest

    def _check(self, line: bytes) -> None:
        if len(line) > MAX_RECORD_BYTES:
            raise self._malformed(f"Line {self.lines + 1} is longer than {MAX_RECORD_BYTES} bytes.")


class Lines:
    """The lines of a byte stream that are not empty, one after the other; ``ahead`` are those that are not taken yet.

    ``first`` is the number of the first line. Empty lines are passed over at the speed of ``bytes.split``; the numbers
    count them. Of a line longer than ``MAX_RECORD_BYTES`` at least that many bytes and one more are kept, not all.
    """

    def __init__(self, parts: Iterable[bytes], first: int) -> None:
        self._source = _split(parts, first)
        self.ahead: deque[Line] = deque()

    def take(self) -> Line | None:
        """Return the next line, or None at the end."""
        return self.ahead.popleft() if self.ahead else next(self._source, None)

    def look_ahead(self) -> Line | None:
        """Return the line after those ``ahead``, and put it there; or None at the end."""
        line = next(self._source, None)
        if line:
            self.ahead.append(line)
        return line


def _split(parts: Iterable[bytes], number: int) -> Iterator[Line]:
    end = dropped = 0
    rest = b""
    for part in _small(parts):
        lines = (rest + part).split(b"\n")
        rest = lines.pop()
        if dropped and lines:
            end += len(lines[0]) + dropped + 1
            yield number, lines[0], end
            del lines[0]
            number, dropped = number + 1, 0
        before = number - 1
        for at, line in compress(zip(count(number), lines), lines):
            end += at - before + len(line)
            before = at
            yield at, line, end
        number += len(lines)
        end += number - 1 - before
        dropped += max(0, len(rest) - MAX_RECORD_BYTES - 1)
        rest = rest[: MAX_RECORD_BYTES + 1]
    if rest:
        yield number, rest, end + len(rest) + dropped


def _small(parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        for begin in range(0, len(part), SPLIT_BYTES):
            yield part[begin : begin + SPLIT_BYTES]
