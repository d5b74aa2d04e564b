"""Problems of rows in the words of spreadsheets: where, what was read, what is wrong and what to write instead."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.bulk_uploads.readers.layout import Layout, Table
from app.bulk_uploads.rules import UploadFormat
from app.core.errors import DomainError

# The remedies of these codes speak of requests; these are for people with a file.
REMEDIES = {
    "missing_field": "Fill in the cell. docs/uploads.md has the columns that each track and applicant needs.",
    "network_overlap": "Take the network out of the row: it is in an earlier row, or registered already.",
    "network_too_wide": "Write the addresses that you use: at most /24 or /48 each, up to 64 networks in a row.",
    "not_found": "Write the reference of a registration of yours as it was sent, or leave the cell blank.",
    "successor_exists": "Wait until the other registration is decided, or withdraw it; then send the row again.",
    "reference_duplicate": "Give each row a reference of its own. A row of an earlier file may be sent again as is.",
    "unknown_operator": "Write the operator's code, such as ptcl or nayatel; the template's lists have all codes.",
}
# The details of these codes say what to write.
SAID_BY_DETAIL = {
    "invalid_value", "applicant_conflict", "mobile_malformed", "cnic_malformed", "ntn_malformed", "network_malformed",
    "network_host_bits", "illegal_transition",
}  # fmt: skip


def layout_of(upload_format: str, stored: dict[str, Any] | None, columns: Sequence[str]) -> Layout:
    """Return the stored layout of an upload; for one from before layouts were stored, that of its ``columns``."""
    if stored is not None:
        return Layout.from_json(stored)
    return Layout(None, None, [Table("", 0, 0 if upload_format == UploadFormat.NDJSON else 1, columns)])


def place_of(layout: Layout, line: int, row: int | None) -> dict[str, Any]:
    """Return ``sheet`` (None for a text file), ``row`` and ``line`` of a row that is stored by its line."""
    table = layout.table_of(line)
    return {"sheet": table.sheet or None, "row": line - table.offset if row is None else row, "line": line}


def parts_of(problem: Mapping[str, Any], layout: Layout, row: int | None) -> dict[str, Any]:
    """Return the parts of a stored problem of the row that a spreadsheet counts as ``row``.

    They are ``sheet``, ``row``, ``line``, ``letter``, ``column``, ``code``, ``given``, ``detail`` and ``remedy``.
    ``letter`` is empty for a problem of a whole row, and in a file without columns. ``given`` is masked, and None when
    it was not kept.
    """
    line, column, code = problem["line"], problem["column"], problem["code"]
    table = layout.table_of(line)
    known = DomainError.known.get(code)
    return {
        **place_of(layout, line, row),
        "letter": table.letter(column) if column and table.header_row else "",
        "column": column,
        "code": code,
        "given": problem.get("given"),
        "detail": problem["detail"],
        "remedy": REMEDIES.get(code) or (known.remedy if known else ""),
    }


def sentence(parts: Mapping[str, Any]) -> str:
    """Return the parts of a problem as one text, such as ``Sheet1 row 7, H mobile: read '0300'. Not a number.``.

    The remedy is left out where the detail says what to write.
    """
    row = f"{parts['sheet']} row {parts['row']}" if parts["sheet"] else f"Row {parts['row']}"
    line = f" (line {parts['line']})" if not parts["sheet"] and parts["line"] != parts["row"] else ""
    cell = " ".join(filter(None, (parts["letter"], parts["column"])))
    where = ", ".join(filter(None, (f"{row}{line}", cell)))
    read = f"read '{parts['given']}'. " if parts["given"] else ""
    detail = parts["detail"].rstrip()
    remedy = "" if parts["code"] in SAID_BY_DETAIL else f" {parts['remedy']}"
    return f"{where}: {read}{detail if detail.endswith(('.', '?', '!')) else f'{detail}.'}{remedy}".rstrip()
