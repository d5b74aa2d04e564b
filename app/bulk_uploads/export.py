"""CSV exports of an upload: problems, refused rows for correction, receipts of new cases; no cell runs as a formula.

A byte-order mark tells spreadsheets that the text is UTF-8.
"""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from app.bulk_uploads import store
from app.bulk_uploads.models import SEALED_CELLS, BulkUpload
from app.bulk_uploads.problems import layout_of, parts_of, place_of, sentence
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK
from app.bulk_uploads.rules import escape_formula
from app.bulk_uploads.store import CreatedRow
from app.core.database.engine import Database
from app.core.errors import InvalidValue
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.registrations.receipts import FIRST_RECEIPT, receipt_of

PROBLEM_COLUMNS = ("sheet", "row", "line", "letter", "column", "reference", "code", "given", "detail", "remedy")
RECEIPT_COLUMNS = ("sheet", "row", "line", "reference", "registration_id", "receipt")
WHY = "why"
# In place of a cell that could not be read: a blank one would be taken for no value when it comes back.
UNREAD = "#N/A"
DESCRIPTION = "description"


async def problems_csv(database: Database, principal: Principal, upload: BulkUpload) -> AsyncIterator[bytes]:
    """Yield ``PROBLEM_COLUMNS``, one line per problem."""
    layout = layout_of(upload.format, upload.layout, upload.columns)
    yield BYTE_ORDER_MARK + csv_of([PROBLEM_COLUMNS])
    async for row in store.refused_rows(database, principal, upload.id):
        found = [{**parts_of(each, layout, row.row), "reference": row.reference} for each in row.problems]
        yield csv_of(["" if parts[name] is None else str(parts[name]) for name in PROBLEM_COLUMNS] for parts in found)


async def refused_csv(database: Database, principal: Principal, upload: BulkUpload) -> AsyncIterator[bytes]:
    """Yield the refused rows in the columns of the upload, and ``why`` each was refused in one more."""
    layout = layout_of(upload.format, upload.layout, upload.columns)
    yield BYTE_ORDER_MARK + csv_of([[*upload.columns, WHY]])
    async for row in store.refused_rows(database, principal, upload.id):
        if row.sealed_cells is not None:  # None once they are erased
            cells: list[str] = json.loads(database.keyring.unseal_text(SEALED_CELLS, row.sealed_cells))
            why = " ".join(sentence(parts_of(each, layout, row.row)) for each in row.problems)
            width = len(upload.columns)
            cells = _with_unread(cells, upload.columns, row.problems)
            # cells beyond the header follow ``why``: under it they would be ignored when they come back
            yield csv_of([[*cells[:width], *[""] * (width - len(cells)), why, *cells[width:]]])


async def receipts_csv(database: Database, principal: Principal, upload: BulkUpload) -> AsyncIterator[bytes]:
    """Yield ``RECEIPT_COLUMNS``, one line per row that became a case; blank where a newer receipt was made since."""
    layout = layout_of(upload.format, upload.layout, upload.columns)
    yield BYTE_ORDER_MARK + csv_of([RECEIPT_COLUMNS])
    async for page in store.created_rows(database, principal, upload.id):
        yield await asyncio.to_thread(_receipts, database.keyring, layout, page)


def _receipts(keyring: Keyring, layout: Layout, rows: Iterable[CreatedRow]) -> bytes:
    found = [{**each._asdict(), **place_of(layout, each.line, each.row)} for each in rows]
    for each in found:
        is_first = each["receipt_number"] == FIRST_RECEIPT
        made_of = (each["registration_id"], each["case_number"], FIRST_RECEIPT)
        each["receipt"] = receipt_of(keyring, *made_of) if is_first else None
    return csv_of(["" if each[name] is None else str(each[name]) for name in RECEIPT_COLUMNS] for each in found)


def _with_unread(cells: Sequence[str], columns: Sequence[str], problems: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the cells with ``UNREAD`` where one is blank since it could not be read, as a date or an error.

    A description stays blank: there the text would be taken.
    """
    unread = {each["column"] for each in problems if each["code"] == InvalidValue.code} - {DESCRIPTION}
    return [
        UNREAD if name and not cell and name in unread else cell
        for name, cell in zip_longest(columns, cells, fillvalue="")
    ]


def csv_of(rows: Iterable[Sequence[str]]) -> bytes:
    """Write rows as UTF-8 CSV; no cell begins as a formula does."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([escape_formula(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
