"""Segments of a file: splitting it, and parsing and validating each in a thread or a subprocess of the worker."""

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from app.bulk_uploads.ingestion.row_validation import (
    NormalizedCell,
    ValidatedRow,
    clear_applicant_cache,
    validate_rows,
)
from app.bulk_uploads.normalization import mask
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.parser import read_rows
from app.bulk_uploads.readers.rows import Position, Row
from app.bulk_uploads.rules import SMALL_BYTES, TEXT_FORMATS
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
    """Consecutive rows of a file that are registered in one transaction: offsets in bytes, first position, number."""

    begin: int
    end: int
    start: Position
    rows: int


class RefusedRow(NamedTuple):
    """A row with errors, its cells as sent, and those that were read in another form."""

    line: int
    row: int | None
    reference: str | None
    cells: Sequence[str]
    errors: Sequence[FieldError]
    normalized: Sequence[NormalizedCell]


class SegmentRows(NamedTuple):
    """Rows of a segment: the valid ones as a ``batch``, in order, and the ``refused`` ones.

    ``lines``, ``rows`` and ``normalized`` (JSON) are those of the valid rows and ``references`` those of all rows, each
    a ``column_text``; a row is None where it follows from its line. ``bounds`` holds for each valid row the offsets of
    its begin and end within the segment. ``applicants`` are the distinct encoded applicants, ``applicant_indexes``
    those of the valid rows among them. ``normalized_columns`` counts the normalized cells of the valid rows.
    ``replaces`` has the reference in the column of this name by the place of a valid row.
    """

    lines: str
    rows: str
    normalized: str
    normalized_columns: Mapping[str, int]
    bounds: Sequence[int]
    references: str
    applicants: Sequence[str]
    applicant_indexes: Sequence[int]
    batch: Batch
    refused: Sequence[RefusedRow]
    replaces: Mapping[int, str]


def split_segments(rows: Iterable[Row], rows_done: int, max_rows: int) -> list[Segment]:
    """Split a file into segments of at most ``max_rows``; the first is the header with the rows up to the checkpoint.

    Reads the file to its end. Raises the errors of the readers.
    """
    segments = [Segment(0, 0, Position(1, 1), -1)]  # the header is not counted
    limit, following = rows_done, Position(1, 1)
    for row in rows:
        last = segments[-1]
        if last.rows >= limit or (len(segments) > 1 and row.end - last.begin > MAX_SEGMENT_BYTES and last.rows):
            last = Segment(last.end, last.end, following, 0)
            segments.append(last)
            limit = max_rows
        last.end, last.rows, following = row.end, last.rows + 1, Position(row.last_line + 1, row.row + 1)
    return segments


class SegmentReader(NamedTuple):
    """All that is needed to read a segment of an upload apart from its bytes; sent to a subprocess."""

    upload_format: str
    layout: Layout
    prefixes: PrefixTable
    clear: bool

    def read(self, body: bytes, start: Position) -> SegmentRows:
        """Parse and validate the rows of a segment that begins at ``start``. Runs outside the event loop."""
        columns = self.layout.columns
        rows = list(read_rows([body], self.upload_format, self.layout, start))
        validated = validate_rows(rows, columns, self.prefixes.operators, clear=self.clear)
        collected = _SegmentBuilder(self.layout, has_sheets=self.upload_format not in TEXT_FORMATS)
        for row, each in zip(rows, validated, strict=True):
            collected.add(row, each)
        return collected.build(self.prefixes)


class _SegmentBuilder:
    """Collects the rows of a segment."""

    def __init__(self, layout: Layout, *, has_sheets: bool) -> None:
        self._layout = layout
        self._has_sheets = has_sheets
        self._lines: list[str] = []
        self._rows: list[str | None] = []
        self._normalized: list[str | None] = []
        self._normalized_columns = Counter[str]()
        self._bounds = array("L")
        self._end = 0
        self._requests: list[RegistrationRequest] = []
        self._refused: list[RefusedRow] = []
        self._applicants: dict[str, int] = {}
        self._applicant_indexes: list[int] = []
        self._first_lines: dict[str, int] = {}
        self._replaces: dict[int, str] = {}

    def add(self, row: Row, validated: ValidatedRow) -> None:
        """Add the next row."""
        begin, self._end = self._end, row.end
        applicant, request, reference, errors, normalized, replaces = validated
        if reference is not None and (first := self._first_lines.setdefault(reference, row.line)) != row.line:
            errors = [*errors, duplicate_reference(reference, first, self._layout)]
        number = None if self._has_sheets or row.row == row.line else row.row
        if errors or applicant is None or request is None:
            self._refused.append(RefusedRow(row.line, number, reference, row.cells, errors, normalized))
            return
        self._lines.append(str(row.line))
        self._rows.append(None if number is None else str(number))
        self._normalized.append(normalized_json(normalized) if normalized else None)
        if normalized:
            self._normalized_columns.update(each.column for each in normalized)
        self._bounds.extend((begin, self._end))
        self._applicant_indexes.append(self._applicants.setdefault(applicant, len(self._applicants)))
        if replaces is not None:
            self._replaces[len(self._requests)] = replaces
        self._requests.append(request)

    def build(self, prefixes: PrefixTable) -> SegmentRows:
        """Return the rows."""
        return SegmentRows(
            column_text(self._lines),
            column_text(self._rows),
            column_text(self._normalized),
            self._normalized_columns,
            self._bounds,
            column_text(self._first_lines),
            list(self._applicants),
            self._applicant_indexes,
            Batch.of(self._requests, prefixes),
            self._refused,
            self._replaces,
        )


def normalized_values(cells: Iterable[NormalizedCell]) -> list[dict[str, str]]:
    """Return normalized cells as they are stored and told, with personal data masked."""
    return [
        {"column": each.column, "given": mask(each.column, each.given), "taken": mask(each.column, each.taken)}
        for each in cells
    ]


def normalized_json(cells: Iterable[NormalizedCell]) -> str:
    """Return ``normalized_values`` as JSON text."""
    return orjson.dumps(normalized_values(cells)).decode()


def duplicate_reference(reference: str, first: int, layout: Layout) -> FieldError:
    """Return the error of a row whose reference is already on line ``first``: of a workbook, in a row of a sheet."""
    table = layout.table_of(first)
    place = f"in row {first - table.offset} of the sheet {table.sheet!r}" if table.sheet else f"on line {first}"
    return ReferenceDuplicate.at("/reference", f"The reference {reference!r} is already {place}.")


def read_row(row: bytes, upload_format: str, layout: Layout) -> Row:
    """Return one row from its bytes, with its cells as sent; its position is not known."""
    return next(read_rows([row], upload_format, layout, Position(1, 1)))


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
