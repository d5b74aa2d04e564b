"""Reading of CSV records with quotation marks (RFC 4180), line by line, with the mistakes that people make."""

import re
from enum import Enum, auto
from functools import cache

from app.bulk_uploads.readers.rows import MAX_RECORD_BYTES, Line, Lines, line_text
from app.bulk_uploads.rules import MAX_COLUMNS

# Text within quotation marks: two of them stand for one. Possessive, so that a line is read once.
WITHIN = re.compile(r'((?:[^"]++|"")*+)("?)')


@cache
def after_blanks(separator: str) -> re.Pattern[str]:
    """Return the pattern of a cell within quotation marks, on one line, that has blanks before them."""
    return re.compile(rf' ++"((?:[^"]++|"")*+)" *+(?={re.escape(separator)}|\Z)')


class QuoteUnclosed(Exception):
    """A cell begins with a quotation mark that is not closed where a cell may end."""


class QuotedRecord:
    """A record that is given line by line until it is complete.

    A quotation mark within a cell is text. So is one at the beginning of a cell whose closing one is followed by other
    text on the same line, as in ``"Khan" Textiles``; ``has_text_after_quote`` says that there is such a cell.
    ``opened`` is the position of the cell that began last with a quotation mark, and ``begin`` that of its text in the
    line. A quoted cell may have blanks before and after its quotation marks. The first line may be the continuation
    of a quoted cell: ``is_within``.
    """

    def __init__(self, separator: str, *, is_within: bool = False) -> None:
        self.cells: list[str] = []
        self.opened = self.begin = 0
        self.has_text_after_quote = False
        self._separator = separator
        self._after_blanks = after_blanks(separator)
        self._after_quote = re.compile(rf" *+(?={re.escape(separator)}|\Z)")
        self._open: list[str] | None = [] if is_within else None  # the pieces of a cell that is not closed yet

    @property
    def is_open(self) -> bool:
        """True while the cell that began last with a quotation mark is not closed."""
        return self._open is not None

    def read(self, text: str, line_breaks: int = 0) -> bool:
        """Read a line that follows the last one after ``line_breaks``; return True when the record is complete.

        Raises ``QuoteUnclosed``; also for a line of more than ``MAX_COLUMNS`` cells.
        """
        position: int | None = 0
        limit = len(self.cells) + MAX_COLUMNS
        if self._open is not None:
            self._open.append("\n" * line_breaks)
            position = self._read_within(text, 0, None)
        while position is not None and position <= len(text):
            if len(self.cells) >= limit:
                raise QuoteUnclosed
            if text.startswith('"', position):
                self._open, self.opened, self.begin = [], len(self.cells), position + 1
                position = self._read_within(text, position + 1, position)
            elif quoted := self._after_blanks.match(text, position):
                self.cells.append(quoted[1].replace('""', '"'))
                position = quoted.end() + 1
            else:
                end = self._end_of_cell(text, position)
                self.cells.append(text[position:end])
                position = end + 1
        return position is not None

    def _read_within(self, text: str, position: int, begin: int | None) -> int | None:
        """Read on within quotation marks, opened at ``begin`` or on an earlier line.

        Return the beginning of the next cell, or None when they are not closed on this line.
        """
        found = WITHIN.match(text, position)
        assert found
        assert self._open is not None
        self._open.append(found[1].replace('""', '"'))
        if not found[2]:
            return None
        if after := self._after_quote.match(text, found.end()):
            end = after.end()
            self.cells.append("".join(self._open))
        elif begin is not None:
            end = self._end_of_cell(text, found.end())
            self.cells.append(text[begin:end])
            self.has_text_after_quote = True
        else:
            raise QuoteUnclosed
        self._open = None
        return end + 1

    def _end_of_cell(self, text: str, position: int) -> int:
        end = text.find(self._separator, position)
        return len(text) if end < 0 else end


class _Ahead(Enum):
    """End of a quoted cell that continues over the lines ahead."""

    NOT_SEEN = auto()
    CLOSED = auto()  # on the last line ahead, which also ends its record
    NEVER = auto()


class OpenQuotes:
    """Reads records whose quoted cells continue on the lines ahead.

    A quoted cell that is open at the end of a line continues in the same way wherever it began. So each line ahead is
    looked at once for all the lines before it, and a file of open quotation marks takes no more work than another.
    """

    def __init__(self, lines: Lines, separator: str) -> None:
        self.separator = separator
        self._lines = lines
        self._ahead = _Ahead.NOT_SEEN

    def read_record(self, first: Line) -> tuple[QuotedRecord, Line | None]:
        """Read the record that begins on the line taken last.

        Return it with its last line. When it is not closed within ``MAX_RECORD_BYTES`` or the file, the last line is
        None and no more lines are taken.
        """
        record = QuotedRecord(self.separator)
        ahead = self._lines.ahead
        try:
            if record.read(line_text(first)):
                return record, first
        except QuoteUnclosed:
            return record, None
        if not self._is_closed(first[2] - len(first[1]) + MAX_RECORD_BYTES):
            return record, None
        last = first
        while ahead:
            before, last = last, ahead.popleft()
            record.read(line_text(last), last[0] - before[0])
        return record, last

    def _is_closed(self, limit: int) -> bool:
        """True when a quoted cell that is open before the lines ahead ends with its record before the offset ``limit``.

        Its record then ends with the last line ahead.
        """
        ahead = self._lines.ahead
        if not ahead:
            self._ahead = _Ahead.NOT_SEEN
        while self._ahead is _Ahead.NOT_SEEN:
            if ahead and ahead[-1][2] > limit:
                return False
            self._ahead = self._look_at(self._lines.look_ahead())
        return self._ahead is _Ahead.CLOSED and ahead[-1][2] <= limit

    def _look_at(self, line: Line | None) -> _Ahead:
        """Return what a line is to a quoted cell that is open before it."""
        if line is None or len(line[1]) > MAX_RECORD_BYTES:
            return _Ahead.NEVER
        if b'"' not in line[1]:
            return _Ahead.NOT_SEEN
        try:
            is_complete = QuotedRecord(self.separator, is_within=True).read(line_text(line))
        except QuoteUnclosed:
            return _Ahead.NEVER
        return _Ahead.CLOSED if is_complete else _Ahead.NOT_SEEN
