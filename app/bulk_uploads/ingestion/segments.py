"""Segments of a file: splitting it, and parsing and validating each in a thread or a subprocess of the worker."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from app.bulk_uploads.ingestion.row_validation import clear_applicant_cache, validate_rows
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

# A segment ends at this size even when it has few rows, since its bytes are in memory at once.
MAX_SEGMENT_BYTES = 8 * 1024 * 1024
MIN_SUBPROCESS_BYTES = SMALL_BYTES
NICENESS = 5


@dataclass(slots=True)
class Segment:
    """Consecutive rows of a file that are registered in one transaction: offsets in bytes, first line, and number."""

    begin: int
    end: int
    line: int
    rows: int


class RefusedRow(NamedTuple):
    """A row with errors, and its cells as sent."""

    line: int
    reference: str | None
    cells: Sequence[str]
    errors: Sequence[FieldError]


class SegmentRows(NamedTuple):
    """Rows of a segment: the valid ones as a ``batch``, in order, and the ``refused`` ones.

    ``lines`` are those of the valid rows and ``references`` those of all rows, each a ``column_text``. ``bounds`` holds
    for each valid row the offsets of its begin and end within the segment. ``applicants`` are the distinct encoded
    applicants, ``applicant_indexes`` those of the valid rows among them.
    """

    lines: str
    bounds: Sequence[int]
    references: str
    applicants: Sequence[str]
    applicant_indexes: Sequence[int]
    batch: Batch
    refused: Sequence[RefusedRow]


def split_segments(rows: Iterable[Row], rows_done: int, max_rows: int) -> list[Segment]:
    """Split a file into segments of at most ``max_rows``; the first is the header with the rows up to the checkpoint.

    Reads the file to its end. Raises the errors of the readers.
    """
    segments = [Segment(0, 0, 1, -1)]  # the header is not counted
    limit, next_line = rows_done, 1
    for row in rows:
        last = segments[-1]
        if last.rows >= limit or (len(segments) > 1 and row.end - last.begin > MAX_SEGMENT_BYTES and last.rows):
            last = Segment(last.end, last.end, next_line, 0)
            segments.append(last)
            limit = max_rows
        last.end, last.rows, next_line = row.end, last.rows + 1, row.last_line + 1
    return segments


def read_segment(
    body: bytes, upload_format: str, line: int, columns: Sequence[str], prefixes: PrefixTable
) -> SegmentRows:
    """Parse and validate the rows of a segment that begins on ``line``. Runs outside the event loop."""
    lines: list[str] = []
    bounds = array("L")
    end = 0
    requests: list[RegistrationRequest] = []
    refused: list[RefusedRow] = []
    applicants: dict[str, int] = {}
    applicant_indexes: list[int] = []
    first_lines: dict[str, int] = {}
    rows = list(read_rows([body], upload_format, line))
    for row, validated in zip(rows, validate_rows(rows, columns), strict=True):
        begin, end = end, row.end
        applicant, request, reference, errors = validated
        if reference is not None and (first := first_lines.setdefault(reference, row.line)) != row.line:
            errors = [*errors, duplicate_reference(reference, first)]
        if errors or applicant is None or request is None:
            refused.append(RefusedRow(row.line, reference, row.cells, errors))
            continue
        lines.append(str(row.line))
        bounds.extend((begin, end))
        applicant_indexes.append(applicants.setdefault(applicant, len(applicants)))
        requests.append(request)
    return SegmentRows(
        column_text(lines),
        bounds,
        column_text(first_lines),
        list(applicants),
        applicant_indexes,
        Batch.of(requests, prefixes),
        refused,
    )


def duplicate_reference(reference: str, first: int) -> FieldError:
    """Return the error of a row whose reference is already on line ``first``."""
    return ReferenceDuplicate.at("/reference", f"The reference {reference!r} is already on line {first}.")


def read_cells(row: bytes, upload_format: str, line: int) -> Sequence[str]:
    """Return the cells, as sent, of one row that begins on ``line``."""
    return next(read_rows([row], upload_format, line)).cells


@contextmanager
def segment_executor(size: int) -> Iterator[Executor | None]:
    """Provide the executor for reading a file of ``size`` bytes: a subprocess, or None (a thread) for a small file.

    The subprocess ends with the block or with its parent process.
    """
    if size < MIN_SUBPROCESS_BYTES:
        try:
            yield None
        finally:
            clear_applicant_cache()
        return
    executor = ProcessPoolExecutor(1, SPAWNING, init_child_process, (NICENESS,))
    executor.submit(os.getpid)  # starts the process now
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
