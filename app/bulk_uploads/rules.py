"""The columns of an upload, what its rows say, and cells that a spreadsheet would run. Pure functions of values."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

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


def guarded(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula: a quote goes in front of = + - @, tab and CR."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """A cell as it was before ``guarded``, so that an export can be sent again."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell[1:]) else cell
