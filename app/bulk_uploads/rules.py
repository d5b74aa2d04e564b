"""Rules of uploads: columns, cells, limits, retries, and cells that are safe in a spreadsheet. Pure functions."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from app.bulk_uploads.errors import ProcessingAborted, TooManyRows, UploadsWaiting
from app.core.errors import FieldError

# The columns of an applicant, and the fields of the JSON body that they stand for.
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
    "pasha_number", "purpose", "protocol", "operator", "subscriber_id", "networks", "description", "replaces",
)  # fmt: skip
REQUIRED_COLUMNS = ("track", "applicant_kind", "legal_name", "email", "purpose", "operator", "networks")
# Columns whose value ``-`` removes, when the upload has the option ``clear``.
CLEARABLE_COLUMNS = ("mobile", "cnic", "pseb_number", "pasha_number")
COLUMN_OF_FIELD = {field: column for column, field in APPLICANT_COLUMNS.items()}
MAX_COLUMNS = 64
# First characters of a cell that a spreadsheet runs as a formula (OWASP, CSV Injection).
FORMULA_START = re.compile(r"[=+\-@\t\r]")
FIRST_RETRY_DELAY, MAX_RETRY_DELAY = timedelta(seconds=5), timedelta(minutes=10)
SURROGATE = re.compile("[\ud800-\udfff]")
# A small file takes seconds and is parsed in a thread of the worker; a large one gets a process of its own.
SMALL_BYTES, SMALL_LINES = 6 * 1024 * 1024, 20_000
# No row needs more lines; without a limit, blank lines and quoted line breaks would keep a parser busy for minutes.
LINES_PER_ROW = 8
# The place of an attempt before its first chunk (``attempt_place``); afterwards it is the number of rows done.
OPENING_WORKBOOK, READING_FILE = -2, -1
MAX_KILLS_AT_PLACE, MAX_KILLS = 3, 20
NO_LAST_LINE_END = "The last line has no line end. Compare it with your file, which may have been cut off."
MIN_RETRY_AFTER, MAX_RETRY_AFTER, ROWS_PER_SECOND = 5, 300, 5_000
MAX_UPLOADS_LISTED = 10


class UploadFormat(StrEnum):
    """File format of an upload; a ZIP archive gets the format of its file once it is opened."""

    CSV = "csv"
    NDJSON = "ndjson"
    XLSX = "xlsx"
    ODS = "ods"
    XLS = "xls"
    ZIP = "zip"


TEXT_FORMATS = (UploadFormat.CSV, UploadFormat.NDJSON)


class Encoding(StrEnum):
    """Character encoding of a text file."""

    UTF_8 = "utf-8"
    UTF_16 = "utf-16"
    WINDOWS_1252 = "windows-1252"
    WINDOWS_1256 = "windows-1256"


class UploadOptions(NamedTuple):
    """Options of an upload.

    ``clear`` lets ``-`` in a cell remove a number of an applicant, ``rename`` gives a known applicant another name.
    ``encoding`` is that of a text file that is not Unicode. ``ignore_columns`` are names as the header writes them.
    ``renew`` submits a successor of each case of the file that ends soon or has ended.
    """

    clear: bool = False
    rename: bool = False
    encoding: str | None = None
    ignore_columns: Sequence[str] = ()
    renew: bool = False


FORMAT_OF_TYPE = {
    "text/csv": UploadFormat.CSV,
    "text/tab-separated-values": UploadFormat.CSV,
    "application/x-ndjson": UploadFormat.NDJSON,
    "application/jsonl": UploadFormat.NDJSON,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": UploadFormat.XLSX,
    "application/vnd.ms-excel.sheet.macroenabled.12": UploadFormat.XLSX,
    "application/vnd.oasis.opendocument.spreadsheet": UploadFormat.ODS,
    "application/vnd.ms-excel": UploadFormat.XLS,
    "application/zip": UploadFormat.ZIP,
    "application/x-zip-compressed": UploadFormat.ZIP,
    # of a program that knows no type; the last, which generated clients send
    "application/octet-stream": UploadFormat.CSV,
}


class UploadStatus(StrEnum):
    """Processing status of an upload."""

    RECEIVED = "received"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class RowOutcome(StrEnum):
    """Result of processing a row."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    REFUSED = "refused"


def retry_delay(faults: int) -> timedelta:
    """Return the exponential delay before an upload is retried after its ``faults``-th internal error."""
    return min(FIRST_RETRY_DELAY * (1 << min(faults - 1, 10)), MAX_RETRY_DELAY)


class KillCount(NamedTuple):
    """Workers killed while they processed an upload: in total, and the latest in a row at the same ``place``."""

    place: int | None
    at_place: int
    total: int

    def add(self, place: int) -> "KillCount":
        """Return the count with one more kill, at ``place``."""
        return KillCount(place, self.at_place + 1 if place == self.place else 1, self.total + 1)

    def check(self) -> None:
        """Raise ``ProcessingAborted`` when the file is the likely cause of the kills."""
        if self.at_place >= MAX_KILLS_AT_PLACE:
            raise ProcessingAborted(f"The worker was killed {self.at_place} times in a row {_describe(self.place)}.")
        if self.total >= MAX_KILLS:
            raise ProcessingAborted(f"The worker was killed {self.total} times while it processed this file.")


def _describe(place: int | None) -> str:
    if not place:
        return "before it processed the first rows"
    opening = {OPENING_WORKBOOK: "while it opened the workbook", READING_FILE: "while it read the file"}
    return opening.get(place, f"after {place} rows of the file")


class Backlog(NamedTuple):
    """Unfinished uploads of a partner, oldest first, their uncompressed bytes and the rows left to process."""

    uploads: Sequence[UUID]
    bytes: int
    rows: int


class BacklogLimits(NamedTuple):
    """Limits of one partner's backlog."""

    uploads: int
    bytes: int
    rows: int


def check_backlog(backlog: Backlog, size: int, lines: int, limits: BacklogLimits) -> None:
    """Raise ``UploadsWaiting`` when one more upload of ``size`` bytes and ``lines`` exceeds a limit of the backlog.

    The first upload is never refused, whatever its size.
    """
    count = len(backlog.uploads)
    exceeded = [
        f"{have:,} {unit} and {more:,} more exceed the limit of {limit:,}"
        for unit, have, more, limit in (
            ("uploads", count, 1, limits.uploads),
            ("bytes", backlog.bytes, size, limits.bytes),
            ("rows", backlog.rows, lines, limits.rows),
        )
        if count and have + more > limit
    ]
    if exceeded:
        ids = ", ".join(str(each) for each in backlog.uploads[:MAX_UPLOADS_LISTED])
        rest = f" and {count - MAX_UPLOADS_LISTED} more" if count > MAX_UPLOADS_LISTED else ""
        detail = (
            f"This partner has {count} uploads waiting, with {backlog.bytes:,} bytes uncompressed and "
            f"{backlog.rows:,} rows left to process: {'; '.join(exceeded)}. Waiting uploads: {ids}{rest}."
        )
        retry_after = min(MAX_RETRY_AFTER, max(MIN_RETRY_AFTER, backlog.rows // ROWS_PER_SECOND))
        raise UploadsWaiting(detail, retry_after=retry_after)


def check_lines(lines: int, max_rows: int) -> None:
    """Raise ``TooManyRows`` when a file has more lines than ``max_rows`` rows can have."""
    if lines > max_rows * LINES_PER_ROW:
        detail = (
            f"The file has {lines:,} lines. An upload may have {max_rows:,} rows of at most {LINES_PER_ROW} lines each."
        )
        raise TooManyRows(detail)


def is_small(size: int, lines: int) -> bool:
    """True when a file is processed in seconds, so that it must not wait behind large ones."""
    return size < SMALL_BYTES and lines <= SMALL_LINES


def applicant_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    """Return a row's applicant as fields of the JSON body; empty cells are left out."""
    return {field: cell for column, field in APPLICANT_COLUMNS.items() if (cell := cells.get(column))}


def registration_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    """Return a row's registration as fields of the JSON body; empty cells are left out."""
    fields: dict[str, Any] = {column: cell for column in REGISTRATION_COLUMNS if (cell := cells.get(column))}
    if "networks" in fields:
        fields["networks"] = split_networks(fields["networks"])
    return fields


def split_networks(cell: str) -> list[str]:
    """Split a cell of networks at its spaces."""
    return [each for each in cell.split(" ") if each]


def error_column(error: FieldError) -> str:
    """Return the column of a field error, or an empty text."""
    field = error.pointer.split("/")[1] if error.pointer else ""
    return COLUMN_OF_FIELD.get(field, field)


def error_detail(error: FieldError, cell: str) -> str:
    """Return the detail of a field error in the words of files: columns by their names, and the option ``clear``."""
    column, text = error_column(error), cell.strip()
    if column in CLEARABLE_COLUMNS and len(text) == 1 and unicodedata.category(text) == "Pd":
        written = "" if text == "-" else "write - and "
        return f"{error.detail} To remove what is known of the applicant, {written}send the file with ?clear=true."
    field = error.pointer.removeprefix("/")
    renamed = COLUMN_OF_FIELD.get(field, field)
    return error.detail if renamed == field else re.sub(rf"\b{re.escape(field)}\b", renamed, error.detail, count=1)


def has_surrogate(text: str) -> bool:
    """True when a text is not valid Unicode: undecodable bytes are kept as surrogates (PEP 383)."""
    return SURROGATE.search(text) is not None


def escape_formula(cell: str) -> str:
    """Put a quote before a cell that begins with = + - @, tab or CR, so that no spreadsheet runs it as a formula."""
    return f"'{cell}" if FORMULA_START.match(cell) else cell


def unescape_formula(cell: str) -> str:
    """Undo ``escape_formula``, so that an export can be uploaded again."""
    return cell[1:] if cell.startswith("'") and FORMULA_START.match(cell[1:]) else cell
