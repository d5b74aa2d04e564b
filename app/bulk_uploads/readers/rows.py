"""Rows as every reader yields them, and a reader of the lines of a text file."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from app.bulk_uploads.rules import COLUMNS
from app.core.errors import FieldError, Invalid

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Limits of one record: without them, an unclosed quote swallows the file, and a line of commas becomes millions of
# objects. A valid row is far below both; its largest cell has 2,000 characters.
MAX_RECORD_BYTES = 64 * 1024
MAX_CELLS = len(COLUMNS) + 8


class Row(NamedTuple):
    """The cells of a row as sent, its first and last line, the offset of its end, and the errors of its reader.

    Cells beyond ``MAX_CELLS`` are joined into one more cell.
    """

    line: int
    last_line: int
    end: int
    cells: Sequence[str]
    errors: Sequence[FieldError] = ()


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
            yield line.removeprefix(BYTE_ORDER_MARK if self.lines == 1 else b"").decode("utf-8", "surrogateescape")

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
