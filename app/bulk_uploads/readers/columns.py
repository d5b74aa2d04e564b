"""Cells of a CSV record placed under the columns of its header."""

from collections.abc import Sequence

from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.rows import Row
from app.bulk_uploads.readers.workbook_process.lines import column_letter
from app.bulk_uploads.rules import REQUIRED_COLUMNS
from app.core.errors import FieldError, InvalidValue

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# Blanks and invisible characters: a cell of these alone is empty.
BLANKS = " \t\r\n\x0b\x0c\xa0\u2007\u202f\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u3000"
# Longest cell that an error repeats, and the number of digits from which it may be the number of a person.
MAX_REPEATED, PERSONAL_DIGITS = 40, 6


class Columns:
    """The columns of a layout with one table.

    ``is_direct`` says that a record of ``width`` cells has its columns in their order. ``probe`` is the position of a
    column that no valid row leaves blank.
    """

    def __init__(self, layout: Layout) -> None:
        table = layout.tables[0]
        self._table = table
        self.names = layout.columns
        self.width = len(table.names)
        self.is_direct = list(table.names) == self.names
        self._positions = [[i for i, name in enumerate(table.names) if name == each] for each in self.names]
        self._ignored = set(table.ignored)
        required = [table.names.index(name) for name in REQUIRED_COLUMNS if name in table.names]
        self.probe = min(required, default=0)
        self._has_required = bool(required)
        # a valid row has at least this many separators
        self._least_separators = max(required, default=self.width - 1)

    def place(self, row: Row, separator: str) -> Row:
        """Return the row with its cells in the order of the columns, and the errors of those that have none.

        Cells with text that have no column come last, so that the export of a refused row has them.
        """
        errors = row.errors or self._errors(row, separator)
        padded = [*row.cells[: self.width], *[""] * (self.width - len(row.cells))]
        cells = [
            padded[places[0]] if len(places) == 1 else " ".join(padded[i] for i in places if padded[i].strip(BLANKS))
            for places in self._positions
        ]
        if errors:
            cells += [cell for i, cell in enumerate(row.cells) if cell.strip(BLANKS) and not self._has_name(i)]
        return row._replace(cells=cells, errors=errors)

    def _errors(self, row: Row, separator: str) -> Sequence[FieldError]:
        if row.last_line > row.line and (swallowed := self._swallowing_cell(row, separator)):
            return [swallowed]
        written = [i for i, cell in enumerate(row.cells) if cell.strip(BLANKS)]
        if len(written) == 1 and self._has_required:
            return [self._only_cell(row, written[0])]
        nameless = [i for i in written if not self._has_name(i)]
        if not nameless:
            return ()
        if row.last_line > row.line and nameless[0] >= self.width:
            return [self._swallowed(row, next(i for i, cell in enumerate(row.cells) if "\n" in cell))]
        more = f" So it is with {len(nameless) - 1} more cells of the row." if len(nameless) > 1 else ""
        return [self._at(nameless[0], f"{_cell_without_name(row, nameless[0])}{more}")]

    def _has_name(self, position: int) -> bool:
        return position < self.width and bool(self._table.names[position] or position in self._ignored)

    def _swallowing_cell(self, row: Row, separator: str) -> FieldError | None:
        """Return the error of the first cell that holds a row, or the end of one and the beginning of another."""
        for i, cell in enumerate(row.cells):
            if "\n" not in cell:
                continue
            first, *whole, last = (line.count(separator) for line in cell.split("\n"))
            if max(first + last, *whole, 0) >= self._least_separators:
                return self._swallowed(row, i)
        return None

    def _swallowed(self, row: Row, position: int) -> FieldError:
        cell = f"{column_letter(position)}{row.row}"
        detail = (
            f"Lines {row.line} to {row.last_line} are read as one row, since the cell {cell} "
            "begins with a quotation mark that is closed in a later row. Remove both quotation marks. No row of these "
            "lines was taken."
        )
        return self._at(position, detail)

    def _only_cell(self, row: Row, position: int) -> FieldError:
        cell = row.cells[position]
        name = f"{column_letter(position)}{row.row}"
        others = [words for each, words in SEPARATORS.items() if cell.count(each) >= self._least_separators]
        if others:
            return self._at(position, f"The whole row is in the cell {name}: its values are separated by {others[0]}.")
        detail = f"Only the cell {name} of the row has text. Remove the row if it is a note; else fill in its columns."
        return self._at(position, detail)

    def _at(self, position: int, detail: str) -> FieldError:
        name = self._table.names[position] if position < self.width else ""
        return InvalidValue.at(f"/{name}" if name else "", detail)


def _cell_without_name(row: Row, position: int) -> str:
    text = row.cells[position].strip(BLANKS)
    is_personal = "@" in text or sum(map(str.isdigit, text)) >= PERSONAL_DIGITS
    letter = column_letter(position)
    has = "has text" if is_personal or len(text) > MAX_REPEATED else f"has {text!r}"
    return f"{letter}{row.row} {has}, but column {letter} has no name: move the text, or remove it."
