"""Layout of a file: its encoding and separator, and its tables with the columns at each position."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.bulk_uploads.readers.workbook_process.lines import column_letter
from app.bulk_uploads.rules import COLUMNS


class Table(NamedTuple):
    """The rows under one header: those of a text file, or of one sheet of a workbook.

    ``sheet`` is the name of the sheet, empty for a text file. Rows are numbered as a spreadsheet counts them, and
    ``offset`` added to a row of a sheet gives its line, which is unique in the upload. ``names`` has the column at each
    position, empty for unnamed and ignored ones; ``ignored`` has the positions of the ignored ones. ``number`` is the
    place of the sheet among the visible ones.
    """

    sheet: str
    offset: int
    header_row: int
    names: Sequence[str]
    ignored: Sequence[int] = ()
    number: int = 0

    def letter(self, column: str) -> str:
        """Return the letter of a column, such as ``H``, or an empty text."""
        return column_letter(self.names.index(column)) if column in self.names else ""


class Layout(NamedTuple):
    """What a reader has to know of a file; ``encoding`` and ``separator`` are None for a workbook."""

    encoding: str | None
    separator: str | None
    tables: Sequence[Table]
    ignored_columns: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """The columns of all tables, each once, in the order of their first table."""
        return list(dict.fromkeys(name for table in self.tables for name in table.names if name))

    def table_of(self, line: int) -> Table:
        """Return the table that has a line."""
        return next((each for each in reversed(self.tables) if each.offset < line), self.tables[0])

    def to_json(self) -> dict[str, Any]:
        """Return the layout as it is stored."""
        return {**self._asdict(), "tables": [each._asdict() for each in self.tables]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Layout":
        """Return a stored layout."""
        return cls(**{**stored, "tables": [Table(**each) for each in stored["tables"]]})


NDJSON_LAYOUT = Layout("utf-8", None, [Table("", 0, 0, COLUMNS)])
