"""What every reader of uploads gives: rows, each with its place; and the lines of a file of text."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from app.bulk_uploads.rules import COLUMNS
from app.core.errors import FieldError, Invalid

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The bytes and cells of one record. Without a limit a quote that is never closed swallows the file, and a line of
# commas becomes millions of objects. A sound row is far below both: its largest cell has 2,000 characters.
LARGEST_RECORD = 64 * 1024
MOST_CELLS = len(COLUMNS) + 8


class Row(NamedTuple):
    """A row's cells as they came, its place in the file, and what its reader found wrong with it.

    A row of more than ``MOST_CELLS`` has one cell more, which holds the rest.
    """

    line: int
    last_line: int
    end: int
    cells: Sequence[str]
    errors: Sequence[FieldError] = ()


class Lines:
    """The lines of a stream of bytes as text; counts lines and bytes, keeps undecodable bytes as surrogates.

    ``line`` is the number of the first, when it is that of a later part of a file. Raises ``malformed`` for a line that
    is too long.
    """

    def __init__(self, parts: Iterable[bytes], malformed: type[Invalid], line: int | None = None) -> None:
        self._parts = parts
        self._malformed = malformed
        self.bytes = 0
        self.lines = (line or 1) - 1

    def __iter__(self) -> Iterator[str]:
        for line in self._raw():
            self.bytes += len(line)
            self.lines += 1
            yield line.removeprefix(BYTE_ORDER_MARK if self.lines == 1 else b"").decode("utf-8", "surrogateescape")

    def _raw(self) -> Iterator[bytes]:
        rest = b""
        for part in self._parts:
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                self._check(line)
                yield line + b"\n"
            self._check(rest)
        if rest:
            yield rest

    def _check(self, line: bytes) -> None:
        if len(line) > LARGEST_RECORD:
            raise self._malformed(f"Line {self.lines + 1} is longer than {LARGEST_RECORD} bytes.")
