"""Words about an upload: how it was read, what was taken in another form, and why rows were refused."""

from collections.abc import Iterator, Sequence
from typing import Any

PROBLEMS_SHOWN = 10
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
