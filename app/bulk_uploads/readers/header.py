"""Search for the header among the first rows of a text file or a sheet, and the check of its columns."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from app.bulk_uploads.normalization import mask
from app.bulk_uploads.readers.layout import Table
from app.bulk_uploads.readers.workbook_process.lines import column_letter
from app.bulk_uploads.rules import COLUMNS, MAX_COLUMNS, REQUIRED_COLUMNS
from app.core.errors import FieldError, InvalidValue, MissingField

MAX_HEADER_ROWS = 10
MIN_KNOWN_NAMES = 2
# The last column of refused.csv, which comes back when the mended rows are sent.
WHY = "why"
# A remark after the name of a column, as forms have it.
REMARK = re.compile(r"\((?:required|mandatory|compulsory|needed|optional|if any)\)\s*$", re.IGNORECASE)
NETWORKS = "networks"
# Categories of Unicode: blanks, line breaks, invisible characters (also byte-order marks), dashes and underscores.
UNWRITTEN = {"Cc", "Cf", "Zs", "Zl", "Zp", "Pd", "Pc"}


class Header(NamedTuple):
    """The header of a text file or sheet.

    ``row`` is its number, ``names`` the column at each position, empty for unnamed and ignored ones. ``ignored`` are
    the positions of ignored columns and ``ignored_columns`` their names as written. ``errors`` are the columns'.
    """

    row: int
    names: Sequence[str]
    ignored: Sequence[int]
    ignored_columns: Sequence[str]
    errors: Sequence[FieldError]

    @property
    def is_whole(self) -> bool:
        """True when all required columns are there."""
        return set(self.names).issuperset(REQUIRED_COLUMNS)

    @property
    def known(self) -> int:
        """The number of different columns that are known."""
        return len({name for name in self.names if name in COLUMNS})

    def table(self, sheet: str = "", number: int = 0, offset: int = 0) -> Table:
        """Return the table under this header."""
        return Table(sheet, offset, self.row, self.names, self.ignored, number)


def fold(name: str) -> str:
    """Return a column's name without case, blanks, ``_``, ``-``, ``*``, invisible characters and a ``REMARK``."""
    folded = name.casefold()
    if folded.isalnum():
        return folded
    folded = REMARK.sub("", folded)
    return "".join(each for each in folded if each != "*" and unicodedata.category(each) not in UNWRITTEN)


def fold_ignored(name: str) -> str:
    """Return the name of a column to ignore as ``fold`` does, and without points: ``S.No`` ignores ``S. No.``."""
    return fold(name).replace(".", "")


COLUMN_OF_FOLDED = {fold(name): name for name in COLUMNS}


def find_header(
    rows: Iterable[tuple[int, Sequence[str]]], ignore_columns: Sequence[str], sheet: str = ""
) -> Header | None:
    """Return the first of the numbered rows that has all required columns, or else the one with most known names.

    The first ``MAX_HEADER_ROWS`` rows that are not blank are looked at. A row with fewer than ``MIN_KNOWN_NAMES`` is no
    header: the result is None when there is no other. ``sheet`` is named in the errors.
    """
    ignored = {WHY, *map(fold_ignored, ignore_columns)} - {""}
    written = ((number, cells) for number, cells in rows if any(map(fold, cells)))
    best: Header | None = None
    for number, cells in islice(written, MAX_HEADER_ROWS):
        header = _read_header(number, cells, ignored, sheet)
        if header.is_whole:
            return header
        if header.known >= max(MIN_KNOWN_NAMES, best.known + 1 if best else 0):
            best = header
    return best


def missing_header(sheet: str = "") -> FieldError:
    """Return the error of a file or sheet without a header."""
    detail = (
        f"{_of(sheet)}None of the first {MAX_HEADER_ROWS} rows is a header. Put the names of the columns in one row "
        f"above the registrations. Needed: {', '.join(REQUIRED_COLUMNS)}. Allowed: {', '.join(COLUMNS)}."
    )
    return InvalidValue.at("/columns", detail)


def repeats_header(columns: Sequence[str], cells: Sequence[str]) -> bool:
    """True when the cells of a row are the names of their columns, as in files that were joined."""
    pairs = ((name, fold(cell)) for name, cell in zip(columns, cells, strict=True) if name != NETWORKS)
    return all(COLUMN_OF_FOLDED.get(cell) == name for name, cell in pairs if cell or name in REQUIRED_COLUMNS)


def _read_header(number: int, cells: Sequence[str], ignore: set[str], sheet: str) -> Header:
    written = list(cells)
    folded = [fold(cell) for cell in written]
    last_named = max((i for i, name in enumerate(folded) if name), default=-1)
    del folded[max(MAX_COLUMNS, last_named + 1) :]
    ignored = [i for i, name in enumerate(folded) if name.replace(".", "") in ignore]
    names = [COLUMN_OF_FOLDED.get(name, "") for name in folded]
    for i in ignored:
        names[i] = ""
    errors = list(_errors(names, last_named + 1, [*zip(written, folded, strict=False)], set(ignored), sheet))
    return Header(number, names, ignored, [written[i].strip() for i in ignored], errors)


def _errors(
    names: Sequence[str], count: int, written: Sequence[tuple[str, str]], ignored: set[int], sheet: str
) -> Iterator[FieldError]:
    """Yield the error of each unknown, duplicate and missing column; a single one for more than ``MAX_COLUMNS``.

    ``count`` is the number of columns without the unnamed ones at the end.
    """
    if count > MAX_COLUMNS:
        detail = f"{_of(sheet)}The header has {count} columns. Allowed: {', '.join(COLUMNS)}."
        yield InvalidValue.at("/columns", detail)
        return
    for i, (name, (text, folded)) in enumerate(zip(names, written, strict=False)):
        if folded and not name and i not in ignored:
            shown = mask("", text.strip())
            detail = (
                f"{_of(sheet)}Column {column_letter(i)} {shown!r} is unknown: rename it, remove it, or "
                f"name it in ignore_columns. Known columns: {', '.join(COLUMNS)}."
            )
            yield InvalidValue.at(f"/columns/{i}", detail)
    counts = Counter(names)
    for i, name in enumerate(names):
        if name and name != NETWORKS and counts[name] > 1 and name in names[:i]:
            first = column_letter(names.index(name))
            detail = f"{_of(sheet)}Columns {first} and {column_letter(i)} are both {name!r}: remove or rename one."
            yield InvalidValue.at(f"/columns/{i}", detail)
    for name in REQUIRED_COLUMNS:
        if name not in counts:
            yield MissingField.at(f"/columns/{name}", f"{_of(sheet)}Missing column {name!r}.")


def _of(sheet: str) -> str:
    return f"Sheet {sheet[:60]!r}: " if sheet else ""
