"""Rows of one sheet of an XLSX workbook, in one pass over its XML (ECMA-376, 18.3.1)."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import IO, NamedTuple

from app.bulk_uploads.readers.workbook_process.cells import (
    UNREADABLE,
    UNSAVED,
    Cell,
    date_cell,
    error_cell,
    number_cell,
)
from app.bulk_uploads.readers.workbook_process.exits import Exit, Stopped
from app.bulk_uploads.readers.workbook_process.lines import Merge, SheetLines
from app.bulk_uploads.readers.workbook_process.number_formats import NumberFormat
from app.bulk_uploads.readers.workbook_process.xml_parts import PIECE_BYTES, ElementReader, XmlReader

MAX_ROW, MAX_COLUMN = 1_048_576, 16_384
DIGITS = "0123456789"
RANGE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})(?::\$?([A-Z]{1,3})\$?(\d{1,7}))?", re.IGNORECASE)
ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
TRUE = frozenset({"1", "true"})


class Workbook(NamedTuple):
    """Parts of a workbook that its sheets refer to, and the day 0 of its dates.

    ``is_unsaved``: the formulas are to be worked out when the workbook is opened, and a saved 0 says nothing; programs
    that write workbooks do so, spreadsheets do not.
    """

    strings: Sequence[str]
    formats: Mapping[str, NumberFormat]
    epoch: date
    is_unsaved: bool


class _Positions(dict[str, int]):
    """Positions of columns by letters, counted from 0."""

    def __missing__(self, letters: str) -> int:
        position = 0
        for letter in letters.upper():
            if not "A" <= letter <= "Z":
                raise Stopped(Exit.UNREADABLE)
            position = position * 26 + ord(letter) - ord("A") + 1
        if not 0 < position <= MAX_COLUMN:
            raise Stopped(Exit.UNREADABLE)
        self[letters] = position - 1
        return position - 1


POSITIONS = _Positions()


def unescape(text: str) -> str:
    """Undo ``_xHHHH_`` (ECMA-376, 22.9.2.19), and end lines with LF."""
    if "_x" not in text:
        return text
    units = ESCAPE.sub(lambda found: chr(int(found[1], 16)), text).encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace").replace("\r\n", "\n").replace("\r", "\n")


def read_merges(open_part: Callable[[], IO[bytes]]) -> list[Merge]:
    """Return the merged ranges of a sheet, which stand after its rows; most sheets have none and are not parsed."""
    with open_part() as part:
        if not _has_merges(part):
            return []
    merges: list[Merge] = []

    def take(name: str, attributes: Mapping[str, str]) -> None:
        if name == "mergeCell" and (found := RANGE.fullmatch(attributes.get("ref", ""))) and found[3]:
            merges.append(Merge(int(found[2]), int(found[4]), POSITIONS[found[1]], POSITIONS[found[3]]))

    with open_part() as part:
        ElementReader(take).read(part)
    return merges


def _has_merges(part: IO[bytes]) -> bool:
    """True when a part names a merged range, or has an encoding that is not like ASCII."""
    tail = b""
    while piece := part.read(PIECE_BYTES):
        if not tail and b"\0" in piece[:4] + piece[-4:]:
            return True
        if b"mergeCell" in tail + piece:
            return True
        tail = piece[-16:]
    return False


class SheetReader(XmlReader):
    """Parser of a sheet that writes its rows."""

    def __init__(self, workbook: Workbook, lines: SheetLines, max_cells: int) -> None:
        super().__init__()
        self._workbook = workbook
        self._lines = lines
        self._max_cells = max_cells
        self._row = 0
        self._is_hidden = False
        self._cells: list[str] = []
        self._beyond: list[str] = []
        self._faults: dict[int, str] = {}
        self._position = -1
        self._cell: Mapping[str, str] | None = None
        self._is_formula = False
        self._is_phonetic = False
        self._pieces: list[str] = []
        self._takes_text = False

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin a row, a cell, or a text of a cell."""
        tag = self.local_names[name]
        if tag == "c":
            reference = attributes.get("r")
            self._position = POSITIONS[reference.rstrip(DIGITS)] if reference else self._position + 1
            self._cell = attributes
            self._is_formula = False
            self._pieces.clear()
        elif self._cell is not None:
            if tag in ("v", "t"):
                self._takes_text = not self._is_phonetic and (tag == "t") == (self._cell.get("t") == "inlineStr")
            elif tag == "f":
                self._is_formula = True
            elif tag == "rPh":
                self._is_phonetic = True
        elif tag == "row":
            self._begin_row(attributes)

    def end_element(self, name: str) -> None:
        """End a row, a cell, or a text of a cell."""
        tag = self.local_names[name]
        if tag == "c":
            if self._cell is not None and (self._pieces or self._is_formula):
                self._end_cell("".join(self._pieces), self._cell)
            self._cell = None
        elif tag in ("v", "t"):
            self._takes_text = False
        elif tag == "rPh":
            self._is_phonetic = False
        elif tag == "row" and (self._cells or self._faults or self._beyond):
            self._end_row()

    def characters(self, content: str) -> None:
        """Take a piece of text of a cell."""
        if self._takes_text:
            self._pieces.append(content)

    def _begin_row(self, attributes: Mapping[str, str]) -> None:
        written = attributes.get("r", "")
        row = int(written) if written.isdecimal() else self._row + 1
        if not self._row < row <= MAX_ROW:
            raise Stopped(Exit.UNREADABLE)
        self._row = row
        self._is_hidden = attributes.get("hidden") in TRUE
        self._cells, self._beyond, self._faults = [], [], {}
        self._position = -1

    def _end_row(self) -> None:
        if self._beyond:
            self._cells += [""] * (self._max_cells - len(self._cells))
            self._cells.append(" ".join(self._beyond))
        self._lines.add(self._row, self._cells, self._faults, self._is_hidden)
        self._cells, self._beyond, self._faults = [], [], {}

    def _end_cell(self, written: str, cell: Mapping[str, str]) -> None:
        kind = cell.get("t", "n")
        if kind == "s":
            text, fault = self._shared(written)
        else:
            text, fault = self._other(kind, written, cell)
        position, cells = self._position, self._cells
        if fault:
            if position < self._max_cells:
                self._faults[position] = fault
        elif text and not text.isspace():
            if position == len(cells):
                cells.append(text)
            elif position >= self._max_cells:
                self._beyond.append(text)
            else:
                cells += [""] * (position + 1 - len(cells))
                cells[position] = text

    def _shared(self, written: str) -> Cell:
        try:
            index = int(written)
            return Cell(self._workbook.strings[index]) if index >= 0 else UNREADABLE
        except (ValueError, IndexError):
            return UNREADABLE

    def _other(self, kind: str, written: str, cell: Mapping[str, str]) -> Cell:
        """Return a cell that is not a shared string."""
        if kind in ("inlineStr", "str"):
            return Cell(unescape(written))
        value = written.strip()
        if not value or (self._is_formula and self._workbook.is_unsaved and value == "0"):
            return UNSAVED if self._is_formula else Cell("")
        if kind == "b":
            return Cell("TRUE" if value in TRUE else "FALSE")
        if kind == "e":
            return error_cell(value)
        if kind == "d":
            return date_cell(value[:10])
        number_format = self._workbook.formats.get(cell.get("s", ""))
        return number_cell(value, number_format, self._workbook.epoch)
