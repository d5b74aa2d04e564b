"""Reading of one record with quotation marks (RFC 4180), line by line, with the mistakes that people make."""

import re

from app.bulk_uploads.rules import MAX_COLUMNS

# Text within quotation marks: two of them stand for one. Possessive, so that a line is read once.
WITHIN = re.compile(r'((?:[^"]++|"")*+)("?)')


class QuoteUnclosed(Exception):
    """A cell begins with a quotation mark that is not closed where a cell may end."""


class QuotedRecord:
    """A record that is given line by line until it is complete.

    A quotation mark within a cell is text. So is one at the beginning of a cell whose closing one is followed by other
    text on the same line, as in ``"Khan" Textiles``; ``has_text_after_quote`` says that there is such a cell.
    """

    def __init__(self, separator: str) -> None:
        self.cells: list[str] = []
        self.opened = 0  # position of the cell that began last with a quotation mark
        self.has_text_after_quote = False
        self._separator = separator
        self._after_quote = re.compile(rf" *+(?={re.escape(separator)}|\Z)")
        self._open: list[str] | None = None  # the pieces of a cell that is not closed yet

    def read(self, text: str, line_breaks: int = 0) -> bool:
        """Read a line that follows the last one after ``line_breaks``; return True when the record is complete.

        Raises ``QuoteUnclosed``: also for more than ``MAX_COLUMNS`` cells, so that a line is not read again and again.
        """
        position: int | None = 0
        if self._open is not None:
            self._open.append("\n" * line_breaks)
            position = self._read_within(text, 0, None)
        while position is not None and position <= len(text):
            if text.startswith('"', position):
                self._open, self.opened = [], len(self.cells)
                position = self._read_within(text, position + 1, position)
            else:
                end = self._end_of_cell(text, position)
                self.cells.append(text[position:end])
                position = end + 1
        if position is None and len(self.cells) >= MAX_COLUMNS:
            raise QuoteUnclosed
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
