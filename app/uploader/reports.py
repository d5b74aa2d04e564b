"""Words about an upload: how it was read, what was taken in another form, and why rows were refused."""

from collections.abc import Iterator, Sequence
from typing import Any

from app.registrations.rules import Status

PROBLEMS_SHOWN = ROWS_SHOWN = 10
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "|"}


def notes(upload: Any) -> Iterator[str]:
    """Yield how a file was read, its warnings, and what was taken in another form or changed, one a line."""
    if read_as := upload["read_as"]:
        yield _read_as(read_as)
    yield from upload["warnings"]
    if upload["normalized"]:
        counted = ", ".join(f"{count:,} of {column}" for column, count in upload["normalized"].items())
        yield f"Cells taken in another form: {counted}. The rows of the upload say which."
    created, changed = upload["applicants"]["created"], upload["applicants"]["changed"]
    if created or changed:
        yield f"Applicants: {created:,} new, {changed:,} changed."


def _read_as(read_as: Any) -> str:
    separator = read_as["separator"]
    parts = (
        f"encoding {read_as['encoding']}" if read_as["encoding"] else "",
        f"separated by {SEPARATORS.get(separator, separator)}" if separator else "",
        f"sheets {', '.join(read_as['sheets'])}" if read_as["sheets"] else "",
        f"header in row {read_as['header_row']}" if read_as["header_row"] else "",
        f"without the columns {', '.join(read_as['ignored_columns'])}" if read_as["ignored_columns"] else "",
    )
    return f"Read as: {'; '.join(filter(None, parts))}."


def not_in_force(upload: Any, rows: Sequence[Any], more: bool) -> Iterator[str]:
    """Yield the number of unchanged rows that are not in force, the first of them, and how to get all, one a line."""
    counts = upload["counts"]
    yield f"{counts['unchanged_not_in_force']:,} of {counts['unchanged']:,} unchanged rows are not in force:"
    yield from (f"  {_state(row)}" for row in rows)
    if more:
        yield "  and more."
    yield f"All of them: GET /v1/bulk-uploads/{upload['id']}/rows?outcome=unchanged."


def _state(row: Any) -> str:
    place = f"{row['sheet']} row {row['row']}" if row["sheet"] else f"Row {row['row']}"
    status = row["status"].replace("_", " ")
    return f"{place}, {row['reference']}: {status}{_since(row)}."


def _since(row: Any) -> str:
    return f", valid until {row['expires_at'][:10]}" if row["status"] == Status.EXPIRED and row["expires_at"] else ""


def refusals(upload: Any, problems: Sequence[str], more: bool) -> Iterator[str]:
    """Yield the number of refused rows, their first problems, and how to get all of them, one a line."""
    yield f"{upload['counts']['refused']:,} of {upload['counts']['total']:,} rows were refused:"
    yield from (f"  {problem}" for problem in problems)
    if more:
        yield "  and more."
    yield (
        f"To mend them in a spreadsheet and send them again: --watch {upload['id']} --refused refused.csv; "
        "a list of all problems: --problems problems.csv."
    )
