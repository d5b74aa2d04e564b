"""The columns of an upload, what its rows say, and cells that a spreadsheet would run. Pure functions of values."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from app.bulk_uploads.errors import ProcessingAborted, TooManyRows, UploadsWaiting
from app.core.errors import FieldError, Invalid, InvalidValue, MissingField

APPLICANT_COLUMNS = {
    "applicant_kind": "kind",
    **{name: name for name in ("legal_name", "ntn", "cnic", "email", "mobile", "pseb_number", "pasha_number")},
}
REGISTRATION_COLUMNS = (
    "reference",
    "track",
    "purpose",
    "protocol",
    "operator",
    "subscriber_id",
    "networks",
    "description",
)
COLUMNS = (
    "reference", "track", "applicant_kind", "legal_name", "ntn", "cnic", "email", "mobile", "pseb_number",
    "pasha_number", "purpose", "protocol", "operator", "subscriber_id", "networks", "description",
)  # fmt: skip
NEEDED_COLUMNS = ("track", "applicant_kind", "legal_name", "email", "purpose", "operator", "networks")
COLUMN_OF_FIELD = {field: column for column, field in APPLICANT_COLUMNS.items()}
MOST_COLUMNS = 64
FORMULA = re.compile(r"[=+\-@\t\r]")
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=10)
SURROGATE = re.compile("[\ud800-\udfff]")
# A small file is read in a thread of the worker and takes a few seconds; a large one has a process that reads for it.
SMALL_BYTES, SMALL_LINES = 6 * 1024 * 1024, 20_000
# No row needs more lines than that; blank lines and line breaks in quotes would otherwise keep a reader for minutes.
LINES_PER_ROW = 8
# Places of an attempt before its first row; from then on its place is the number of rows done.
UNFOLDING, READING = -2, -1
MOST_KILLS_THERE, MOST_KILLS = 3, 20
SHORTEST_WAIT, LONGEST_WAIT, ROWS_PER_SECOND = 5, 300, 5_000
UPLOADS_NAMED = 10


class UploadFormat(StrEnum):
    """What an upload is written in."""

    CSV = "csv"
    NDJSON = "ndjson"
    XLSX = "xlsx"


FORMAT_OF_TYPE = {
    "text/csv": UploadFormat.CSV,
    "application/x-ndjson": UploadFormat.NDJSON,
    "application/jsonl": UploadFormat.NDJSON,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": UploadFormat.XLSX,
}


class UploadStatus(StrEnum):
    """Where an upload stands."""

    RECEIVED = "received"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class RowOutcome(StrEnum):
    """What became of a row."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    REFUSED = "refused"


def pause_after(faults: int) -> timedelta:
    """How long an upload waits once the service has failed at it so many times."""
    return min(FIRST_PAUSE * (1 << min(faults - 1, 10)), LONGEST_PAUSE)


class Kills(NamedTuple):
    """How often workers were killed at an upload: in all, and the last times in a row at one place."""

    place: int | None
    there: int
    total: int

    def another(self, place: int) -> "Kills":
        """With one more, at ``place``."""
        return Kills(place, self.there + 1 if place == self.place else 1, self.total + 1)

    def check(self) -> None:
        """Raises ``ProcessingAborted`` when the file must be what kills them."""
        if self.there >= MOST_KILLS_THERE:
            raise ProcessingAborted(f"The worker was killed {self.there} times in a row {_at(self.place)}.")
        if self.total >= MOST_KILLS:
            raise ProcessingAborted(f"The worker was killed {self.total} times during this file.")


def _at(place: int | None) -> str:
    opening = {UNFOLDING: "while it opened the workbook", READING: "while it read the file to its end"}
    return opening.get(place or 0, f"after {place} rows of the file") if place else "before its first rows were judged"


class Backlog(NamedTuple):
    """What a partner has waiting: its uploads, their bytes as they are read, and the rows still to be done."""

    uploads: Sequence[UUID]
    bytes: int
    rows: int


def check_backlog(waiting: Backlog, size: int, lines: int, most: tuple[int, int, int]) -> None:
    """Let one more upload of ``size`` bytes and ``lines`` wait, or raise ``UploadsWaiting`` with what waits.

    ``most`` are the limits of uploads, bytes and rows. One upload may always wait, whatever its size.
    """
    count, (uploads, bytes_, rows) = len(waiting.uploads), most
    over = [
        f"{have:,} {what} and {more:,} more are over the limit of {limit:,}"
        for what, have, more, limit in (
            ("uploads", count, 1, uploads),
            ("bytes", waiting.bytes, size, bytes_),
            ("rows", waiting.rows, lines, rows),
        )
        if count and have + more > limit
    ]
    if over:
        named = ", ".join(str(each) for each in waiting.uploads[:UPLOADS_NAMED])
        more = f" and {count - UPLOADS_NAMED} more" if count > UPLOADS_NAMED else ""
        said = (
            f"Of this partner {count} uploads wait, with {waiting.bytes:,} bytes unpacked and {waiting.rows:,} rows to "
            f"be done: {'; '.join(over)}. They are {named}{more}."
        )
        wait = min(LONGEST_WAIT, max(SHORTEST_WAIT, waiting.rows // ROWS_PER_SECOND))
        raise UploadsWaiting(said, retry_after=wait)


def check_lines(lines: int, most_rows: int) -> None:
    """Raises ``TooManyRows`` for a file of so many lines that it cannot be one of at most ``most_rows`` rows."""
    if lines > most_rows * LINES_PER_ROW:
        said = (
            f"The file has {lines:,} lines; an upload has at most {most_rows:,} rows and {LINES_PER_ROW} lines a row."
        )
        raise TooManyRows(said)


def is_small(size: int, lines: int) -> bool:
    """Whether a file takes seconds at most, so that it must not wait behind large ones."""
    return size < SMALL_BYTES and lines <= SMALL_LINES


def check_header(header: Sequence[str]) -> None:
    """Raises ``Invalid`` with every unknown, repeated and missing column at once; far too many are not named."""
    if len(header) > MOST_COLUMNS:
        said = f"The header has {len(header)} columns; there are {len(COLUMNS)}."
        raise Invalid.of([InvalidValue.at("/columns", said)])
    unknown = [
        InvalidValue.at(f"/columns/{i}", f"There is no column {name[:60]!r}.")
        for i, name in enumerate(header)
        if name not in COLUMNS
    ]
    repeated = [
        InvalidValue.at(f"/columns/{i}", f"The column {name} is there twice.")
        for i, name in enumerate(header)
        if name in header[:i] and name in COLUMNS
    ]
    missing = [
        MissingField.at(f"/columns/{name}", f"The column {name} is needed.")
        for name in NEEDED_COLUMNS
        if name not in header
    ]
    if errors := [*unknown, *repeated, *missing]:
        raise Invalid.of(errors)


def applicant_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    """A row's applicant, by the names of the JSON body."""
    return {field: cell for column, field in APPLICANT_COLUMNS.items() if (cell := cells.get(column))}


def registration_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    """A row's registration, by the names of the JSON body."""
    fields: dict[str, Any] = {column: cell for column in REGISTRATION_COLUMNS if (cell := cells.get(column))}
    if "networks" in fields:
        fields["networks"] = networks_of(fields["networks"])
    return fields


def networks_of(cell: str) -> list[str]:
    """The networks of a cell, where spaces part them."""
    return [each for each in cell.split(" ") if each]


def column_of(error: FieldError) -> str:
    """The column that a field's error is about."""
    field = error.pointer.split("/")[1] if error.pointer else ""
    return COLUMN_OF_FIELD.get(field, field)


def has_surrogate(text: str) -> bool:
    """Whether a text holds what no UTF-8 can: bytes that were none, kept as surrogates."""
    return SURROGATE.search(text) is not None


def escape_formula(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula: a quote goes in front of = + - @, tab and CR."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def unescape_formula(cell: str) -> str:
    """A cell as it was before ``escape_formula``, so that an export can be sent again."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell[1:]) else cell
