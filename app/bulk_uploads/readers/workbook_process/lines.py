"""Lines of JSON that the process writes: the rows of each sheet, and what is known of the sheets.

A row is ``[sheet, row, [cells], [[position, sentence]], [[position, text]]]``, with the place of its sheet among the
visible ones, counted from 0. The fourth item has the cells that refuse the row, the fifth those inside a merged range
with the text of the range; the last items are left out when empty.
"""

import json
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

HEAD_ROWS = 10
HEAD_CHARACTERS = 200
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Limits(NamedTuple):
    """Limits of a row: the cells beyond ``cells`` are joined into one, and no line is longer than ``line_bytes``."""

    cells: int
    line_bytes: int


class Merge(NamedTuple):
    """A range of merged cells; rows are counted from 1, positions of columns from 0."""

    first_row: int
    last_row: int
    first: int
    last: int


class SheetLines:
    """Writer of the rows of one sheet that are not blank."""

    def __init__(self, out: IO[bytes], name: str, number: int, limits: Limits, merges: Sequence[Merge] = ()) -> None:
        self._out = out
        self._name = name
        self._number = number
        self._limits = limits
        self._merges = sorted(merges, reverse=True)  # the next one is the last
        self._open: list[tuple[Merge, str, str]] = []
        self._head: list[Any] = []
        self._filled: list[int] = [0] * limits.cells
        self._hidden_rows = 0
        self.last_row = 0

    def add(self, row: int, cells: list[str], faults: dict[int, str], is_hidden: bool = False) -> None:
        """Write a row; ``faults`` are ends of sentences by position.

        Cells that are much too long for a line are cut and refused.
        """
        if not faults and not any(cells):
            return
        sentences = {at: f"{column_letter(at)}{row} {fault}." for at, fault in faults.items()}
        if len(cells) > self._limits.cells:
            cells[self._limits.cells :] = [" ".join(filter(None, cells[self._limits.cells :]))]
        fills = self._fill(row, cells, sentences) if self._merges or self._open else {}
        self.last_row = row
        if len(self._head) < HEAD_ROWS:
            self._head.append([row, [cell[:HEAD_CHARACTERS] for cell in cells], is_hidden, list(fills)])
        else:
            self._hidden_rows += is_hidden
            for position in fills:
                self._filled[position] += 1
        self._write(row, cells, sentences, fills)

    def summary(self) -> dict[str, Any]:
        """Return what is known of the sheet; hidden rows and filled cells are counted after the head."""
        return {
            "name": self._name,
            "last_row": self.last_row,
            "hidden_rows": self._hidden_rows,
            "filled_cells": self._filled if any(self._filled) else [],
            "head": self._head,
        }

    def _write(self, row: int, cells: list[str], sentences: dict[int, str], fills: dict[int, str]) -> None:
        line = b""
        if sum(map(len, cells)) + sum(map(len, fills.values())) <= self._limits.line_bytes:
            line = _encode([self._number, row, cells, sentences, fills])
        if not line or len(line) > self._limits.line_bytes:
            most = self._limits.line_bytes // (32 * max(1, len(cells)))
            for at, cell in enumerate(cells):
                if len(cell) > most:
                    sentences[at] = f"{column_letter(at)}{row} has {len(cell):,} characters: the row is too long."
            short = {at: text[:most] for at, text in fills.items()}
            line = _encode([self._number, row, [cell[:most] for cell in cells], sentences, short])
        self._out.write(line)

    def _fill(self, row: int, cells: list[str], sentences: dict[int, str]) -> dict[int, str]:
        """Return the text of the merged range for each cell inside one, and set the sentences of these cells."""
        while self._merges and self._merges[-1].first_row <= row:
            merge = self._merges.pop()
            text = cells[merge.first] if merge.first < len(cells) else ""
            sentence = sentences.get(merge.first, "")
            if merge.first_row == row and (text or sentence):
                self._open.append((merge, text, sentence))
        self._open = [each for each in self._open if each[0].last_row >= row]
        fills = {}
        for merge, text, sentence in self._open:
            for at in range(merge.first, min(merge.last + 1, self._limits.cells)):
                if row != merge.first_row or at != merge.first:
                    fills[at] = text
                    if sentence:
                        sentences[at] = sentence
        return dict(sorted(fills.items()))


def column_letter(position: int) -> str:
    """Return the letter of the column at a position, counted from 0, as a spreadsheet writes it."""
    letters = ""
    number = position + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def write_summary(out: IO[bytes], file_format: str, sheets: Sequence[SheetLines], hidden_sheets: Sequence[str]) -> None:
    """Write the last line."""
    found = {"format": file_format, "sheets": [each.summary() for each in sheets], "hidden_sheets": hidden_sheets}
    out.write(ENCODER.encode(found).encode() + b"\n")


def _encode(line: list[Any]) -> bytes:
    """Encode a row; its last items, which are dictionaries, become lists and are left out when they are empty."""
    while not line[-1]:
        line.pop()
    return ENCODER.encode([list(each.items()) if isinstance(each, dict) else each for each in line]).encode() + b"\n"
