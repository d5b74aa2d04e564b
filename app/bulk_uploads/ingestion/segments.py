"""From bytes to sound rows: pure work on values, so that another process can do it beside the worker's SQL."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from app.bulk_uploads.ingestion.row_validation import forget_applicants, judged
from app.bulk_uploads.readers.parser import read_rows
from app.bulk_uploads.readers.rows import Row
from app.bulk_uploads.rules import SMALL_BYTES
from app.core.database.batches import column_text
from app.core.errors import FieldError
from app.core.process.subprocesses import SPAWNING, init_child_process
from app.operators.rules import PrefixTable
from app.registrations.errors import ReferenceDuplicate
from app.registrations.intake.batch import Batch
from app.registrations.rules import RegistrationRequest

# A stretch ends at so many bytes, however few its rows: what is read at once has a size of its own.
STRETCH_BYTES = 8 * 1024 * 1024
WORTH_A_PROCESS = SMALL_BYTES
NICENESS = 5


@dataclass(slots=True)
class Segment:
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

    ``applicants`` are all that is said of one (``applicant_cache.said_of``), and ``applicant_numbers`` for each sound
    row the position of its own among them. ``references`` are those of all rows, and ``lines`` those of the sound
    ones, as ``column_text``; ``bounds`` are where each of the sound ones begins and ends among the stretch's bytes, one
    after the other.
    """

    lines: str
    bounds: Sequence[int]
    references: str
    applicants: Sequence[str]
    applicant_numbers: Sequence[int]
    batch: Batch
    broken: Sequence[BrokenRow]


def stretches(rows: Iterable[Row], done: int, most_rows: int) -> list[Segment]:
    """A file cut into stretches; the first is the header with the ``done`` rows that are behind the checkpoint.

    The file is read to its end. Raises ``Invalid`` where it stops being what it should be.
    """
    found = [Segment(0, 0, 1, -1)]  # the header is no row
    wanted, next_line = done, 1
    for row in rows:
        last = found[-1]
        if last.rows >= wanted or (len(found) > 1 and row.end - last.begin > STRETCH_BYTES and last.rows):
            last = Segment(last.end, last.end, next_line, 0)
            found.append(last)
            wanted = most_rows
        last.end, last.rows, next_line = row.end, last.rows + 1, row.last_line + 1
    return found


def read_stretch(body: bytes, upload_format: str, line: int, columns: Sequence[str], atlas: PrefixTable) -> ReadRows:
    """The rows of a stretch that begins on ``line``, judged by the rules of the JSON API."""
    lines: list[str] = []
    bounds = array("L")
    end = 0
    sound: list[RegistrationRequest] = []
    broken: list[BrokenRow] = []
    said: dict[str, int] = {}
    applicants: list[int] = []
    seen: dict[str, int] = {}
    rows = list(read_rows([body], upload_format, line))
    for row, verdict in zip(rows, judged(rows, columns), strict=True):
        begin, end = end, row.end
        given, asked, reference, errors = verdict
        if reference is not None and (first := seen.setdefault(reference, row.line)) != row.line:
            errors = [*errors, repeated(reference, first)]
        if errors or given is None or asked is None:
            broken.append(BrokenRow(row.line, reference, row.cells, errors))
            continue
        lines.append(str(row.line))
        bounds.extend((begin, end))
        applicants.append(said.setdefault(given, len(said)))
        sound.append(asked)
    batch = Batch.of(sound, atlas)
    return ReadRows(column_text(lines), bounds, column_text(seen), list(said), applicants, batch, broken)


def repeated(reference: str, first: int) -> FieldError:
    """The error of a row whose reference stands on line ``first`` already."""
    return ReferenceDuplicate.at("/reference", f"The reference {reference!r} is on line {first} already.")


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
            forget_applicants()
        return
    executor = ProcessPoolExecutor(1, SPAWNING, init_child_process, (NICENESS,))
    executor.submit(os.getpid)  # so that it starts now
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
