"""From bytes to sound rows: pure work on values, so that another process can do it beside the worker's SQL."""

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from app.applicants.schemas import ApplicantDetails
from app.bulk_uploads import rules
from app.bulk_uploads.acquaintance import said_of
from app.bulk_uploads.parser import cells_of, is_plain, read_rows
from app.bulk_uploads.rows import Row
from app.core.columnwise import Columnwise
from app.core.companion import SPAWNING, stay_behind
from app.core.errors import FieldError, Invalid
from app.core.orm import column_text
from app.core.schemas import Line100, validated
from app.operators.rules import Atlas
from app.registrations.batch import Batch
from app.registrations.errors import ReferenceDuplicate
from app.registrations.rules import Asked
from app.registrations.schemas import RegistrationDetails

UNKNOWN_APPLICANT = UUID(int=0)
# A stretch ends at so many bytes, however few its rows: what is read at once has a size of its own.
STRETCH_BYTES = 8 * 1024 * 1024
WORTH_A_PROCESS = 6 * 1024 * 1024
NICENESS = 5
# An applicant has many rows: what was found of the last ones is remembered.
REMEMBERED = 50_000
REFERENCE: TypeAdapter[str] = TypeAdapter(Line100)
ASKED = [name for name in Asked._fields if name in rules.REGISTRATION_COLUMNS]
REGISTRATIONS = Columnwise(RegistrationDetails, {"networks": rules.networks_of})

# What a row says of its applicant, what it asks for, its reference, and what is wrong with it.
Judged = tuple[str | None, Asked | None, str | None, Sequence[FieldError]]


@dataclass(slots=True)
class Stretch:
    """Rows of a file that are taken in together: from which byte to which, and where they begin."""

    begin: int
    end: int
    line: int
    rows: int


class BrokenRow(NamedTuple):
    """A row that cannot be acted on: its cells as they came, and what is wrong with them."""

    line: int
    reference: str | None
    cells: Sequence[str]
    errors: Sequence[FieldError]


class ReadRows(NamedTuple):
    """The rows of a stretch: of the sound ones line, applicant and registration, in order, and the broken ones.

    ``applicants`` are all that is said of one (``acquaintance.said_of``), by the numbers that ``batch`` has for them.
    ``references`` are those of all rows, and ``lines`` those of the sound ones, as ``orm.column_text``; ``bounds`` are
    where each of the sound ones begins and ends among the stretch's bytes, one after the other.
    """

    lines: str
    bounds: Sequence[int]
    references: str
    applicants: Sequence[str]
    batch: Batch
    broken: Sequence[BrokenRow]


def stretches(rows: Iterable[Row], done: int, most_rows: int) -> list[Stretch]:
    """A file cut into stretches; the first is the header with the ``done`` rows that are behind the checkpoint.

    The file is read to its end. Raises ``Invalid`` where it stops being what it should be.
    """
    found = [Stretch(0, 0, 1, -1)]  # the header is no row
    wanted, next_line = done, 1
    for row in rows:
        last = found[-1]
        if last.rows >= wanted or (len(found) > 1 and row.end - last.begin > STRETCH_BYTES and last.rows):
            last = Stretch(last.end, last.end, next_line, 0)
            found.append(last)
            wanted = most_rows
        last.end, last.rows, next_line = row.end, last.rows + 1, row.last_line + 1
    return found


def read_stretch(body: bytes, upload_format: str, line: int, columns: Sequence[str], atlas: Atlas) -> ReadRows:
    """The rows of a stretch that begins on ``line``, judged by the rules of the JSON API."""
    lines: list[str] = []
    bounds = array("L")
    end = 0
    sound: list[Asked] = []
    broken: list[BrokenRow] = []
    said: dict[str, int] = {}
    applicants: list[int] = []
    seen: dict[str, int] = {}
    rows = list(read_rows([body], upload_format, line))
    for row, judged in zip(rows, _judged_together(rows, columns), strict=True):
        begin, end = end, row.end
        given, asked, reference, errors = judged or _judged(row, columns)
        if reference is not None and (first := seen.setdefault(reference, row.line)) != row.line:
            errors = [*errors, repeated(reference, first)]
        if errors or given is None or asked is None:
            broken.append(BrokenRow(row.line, reference, row.cells, errors))
            continue
        lines.append(str(row.line))
        bounds.extend((begin, end))
        applicants.append(said.setdefault(given, len(said)))
        sound.append(asked)
    batch = Batch.of(sound, applicants, atlas)
    return ReadRows(column_text(lines), bounds, column_text(seen), list(said), batch, broken)


def _judged_together(rows: Sequence[Row], columns: Sequence[str]) -> list[Judged | None]:
    """Of each row that is plain and sound what ``_judged`` would give; None for the others."""
    found: list[Judged | None] = [None] * len(rows)
    plain = [i for i, row in enumerate(rows) if is_plain(row, columns)]
    cells = dict(zip(columns, zip(*(rows[i].cells for i in plain), strict=True), strict=False))
    absent = [""] * len(plain)
    applicants = zip(*(cells.get(name, absent) for name in rules.APPLICANT_COLUMNS), strict=True)
    fields = {name: cells.get(name, absent) for name in ASKED}
    registrations = REGISTRATIONS.sound(fields, {"applicant_id": UNKNOWN_APPLICANT})
    for i, given, values in zip(plain, map(_applicant, applicants), registrations, strict=True):
        if values and isinstance(given, str):
            asked = Asked(UNKNOWN_APPLICANT, *values)
            found[i] = given, asked, asked.reference, ()
    return found


def repeated(reference: str, first: int) -> FieldError:
    """The error of a row whose reference stands on line ``first`` already."""
    return ReferenceDuplicate.at("/reference", f"The reference {reference!r} is on line {first} already.")


def _judged(row: Row, columns: Sequence[str]) -> Judged:
    cells, errors = cells_of(row, columns)
    if errors:
        return None, None, None, errors
    given = _applicant(tuple(map(cells.get, rules.APPLICANT_COLUMNS, repeat(""))))
    asked: Asked | None = None
    try:
        fields = {"applicant_id": UNKNOWN_APPLICANT, **rules.registration_fields(cells)}
        asked = validated(RegistrationDetails, fields).asked
    except Invalid as wrong:
        errors = [*wrong.errors]
    reference = asked.reference if asked else _reference(cells)
    if isinstance(given, str):
        return given, asked, reference, errors
    return None, asked, reference, [*given, *errors]


@lru_cache(maxsize=REMEMBERED)
def _applicant(cells: tuple[str, ...]) -> str | tuple[FieldError, ...]:
    fields = rules.applicant_fields(dict(zip(rules.APPLICANT_COLUMNS, cells, strict=True)))
    try:
        return said_of(validated(ApplicantDetails, fields).particulars)
    except Invalid as wrong:
        return wrong.errors  # without what the error holds on to


def _reference(cells: Mapping[str, str]) -> str | None:
    try:
        return REFERENCE.validate_python(cells.get("reference", "")) or None
    except ValidationError:
        return None


def cells_as_sent(row: bytes, upload_format: str, line: int) -> Sequence[str]:
    """The cells, as they came, of a row that begins on ``line``."""
    return next(read_rows([row], upload_format, line)).cells


@contextmanager
def reading_beside(size: int) -> Iterator[Executor | None]:
    """What reads a file of ``size`` bytes beside the worker's SQL: a process of its own, or for a small file a thread.

    The process ends with the block, or with its parent.
    """
    if size < WORTH_A_PROCESS:
        try:
            yield None
        finally:
            _applicant.cache_clear()
        return
    executor = ProcessPoolExecutor(1, SPAWNING, stay_behind, (NICENESS,))
    executor.submit(os.getpid)  # so that it starts now
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
