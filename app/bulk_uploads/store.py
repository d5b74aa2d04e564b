"""SQL statements of uploads, their parts and their rows."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Insert,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    not_,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.bulk_uploads.models import BulkUpload, BulkUploadPart, BulkUploadRow
from app.bulk_uploads.receiving.compression import compress, decompress
from app.bulk_uploads.rules import Backlog, RowOutcome, UploadStatus
from app.bulk_uploads.schemas import BulkUploadsQuery, RowsQuery
from app.core.database.batches import (
    Rows,
    any_of,
    column_text,
    json_rows,
    lateral_lookup,
    text_columns,
)
from app.core.database.engine import Database
from app.core.database.pagination import fetch_page, matching
from app.core.database.roles import INTAKE
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.core.principal import Principal
from app.registrations.models import Registration

SEALED_PART = "bulk_upload_parts.sealed"
EXPORT_PAGE_ROWS = 1_000
PART_BYTES = 1024 * 1024
UNFINISHED = (UploadStatus.RECEIVED.value, UploadStatus.PROCESSING.value)


def submitter_of(upload: BulkUpload) -> Principal:
    """Return the client that sent an upload, with no rights beyond its partner's own rows."""
    return Principal(upload.client_id, upload.partner_id, "association", None, frozenset())


def transaction_for(database: Database, upload: BulkUpload) -> AbstractAsyncContextManager[Transaction]:
    """Begin a transaction in which the worker acts for the partner that sent an upload."""
    return database.transaction(submitter_of(upload), role=INTAKE)


async def add(tx: Transaction, upload: BulkUpload) -> None:
    """Insert an upload."""
    tx.add(upload)
    await tx.flush()


async def add_part(tx: Transaction, upload_id: UUID, position: int, body: bytes) -> None:
    """Insert a part of an upload's bytes, compressed and sealed."""
    compressed = await asyncio.to_thread(compress, body)
    row = {"sealed": tx.keyring.seal(SEALED_PART, compressed), "size": len(body)}
    await tx.execute(insert(BulkUploadPart).values(bulk_upload_id=upload_id, position=position, **row))


async def read_part(tx: Transaction, upload_id: UUID, position: int) -> bytes | None:
    """Return the bytes of a part, or None after the last."""
    found = await tx.execute(
        select(BulkUploadPart.sealed, BulkUploadPart.size).where(
            BulkUploadPart.bulk_upload_id == upload_id, BulkUploadPart.position == position
        )
    )
    part = found.one_or_none()
    if part is None:
        return None
    body = tx.keyring.unseal(SEALED_PART, part.sealed)
    return body if part.size is None else await asyncio.to_thread(decompress, body, part.size)


async def delete_parts(tx: Transaction, upload_id: UUID) -> None:
    """Delete the bytes of an upload."""
    await tx.execute(delete(BulkUploadPart).where(BulkUploadPart.bulk_upload_id == upload_id))


def _visible_to(principal: Principal) -> ColumnElement[bool]:
    return true() if principal.sees_all else BulkUpload.partner_id == principal.partner_id


async def get(tx: Transaction, principal: Principal, upload_id: UUID) -> BulkUpload:
    """Return an upload that the caller may see. Raises ``NotFound``."""
    statement = select(BulkUpload).where(BulkUpload.id == upload_id, _visible_to(principal))
    upload = await tx.scalar(statement.execution_options(populate_existing=True))
    if upload is None:
        raise NotFound
    return upload


async def list_page(
    tx: Transaction, principal: Principal, query: BulkUploadsQuery
) -> tuple[Sequence[BulkUpload], str | None]:
    """Return a page of the uploads that the caller may see, and the next cursor."""
    statement = select(BulkUpload).where(_visible_to(principal), *matching(BulkUpload, query.filters()))
    return await fetch_page(tx, statement, BulkUpload.id, query, list_name="bulk-uploads")


async def list_rows(tx: Transaction, upload_id: UUID, query: RowsQuery) -> tuple[Sequence[BulkUploadRow], str | None]:
    """Return a page of an upload's rows, and the next cursor."""
    filters = query.filters()
    status = {"status": filters.pop("status")} if "status" in filters else {}
    statement = select(BulkUploadRow).where(
        BulkUploadRow.bulk_upload_id == upload_id, *matching(BulkUploadRow, filters)
    )
    if status:
        of_row = Registration.id == BulkUploadRow.registration_id
        case_ = lateral_lookup(select(Registration.id).where(of_row, *matching(Registration, status)), "case_")
        statement = statement.join(case_, true())
    return await fetch_page(tx, statement, BulkUploadRow.line, query, list_name=f"rows {upload_id}")


async def refused_rows(database: Database, principal: Principal, upload_id: UUID) -> AsyncIterator[BulkUploadRow]:
    """Yield an upload's refused rows by line; each page has a transaction of its own."""
    refused = _with_outcome(select(BulkUploadRow.line, BulkUploadRow), upload_id, RowOutcome.REFUSED)
    async for page in _pages(database, principal, refused):
        for _, row in page:
            yield row


def _with_outcome(rows: Rows, upload_id: UUID, outcome: RowOutcome) -> Rows:
    return rows.where(BulkUploadRow.bulk_upload_id == upload_id, BulkUploadRow.outcome == outcome)


async def _pages(database: Database, principal: Principal, rows: Rows) -> AsyncIterator[Sequence[Any]]:
    """Yield pages of a statement over rows by line, its first column; each page has a transaction of its own."""
    last_line = 0
    while True:
        following = rows.where(BulkUploadRow.line > last_line).order_by(BulkUploadRow.line).limit(EXPORT_PAGE_ROWS)
        async with database.transaction(principal, read_only=True) as tx:
            page = (await tx.execute(following)).all()
        yield page
        if len(page) < EXPORT_PAGE_ROWS:
            return
        last_line = page[-1][0]


class CreatedRow(NamedTuple):
    """A row that became a case, with the numbers of which its receipt is made."""

    line: int
    row: int | None
    reference: str | None
    registration_id: UUID
    case_number: int
    receipt_number: int


async def created_rows(database: Database, principal: Principal, upload_id: UUID) -> AsyncIterator[list[CreatedRow]]:
    """Yield the rows of an upload that became cases by line, in pages; each has a transaction of its own."""
    columns = (Registration.reference, Registration.id, Registration.case_number, Registration.receipt_number)
    rows = select(BulkUploadRow.line, BulkUploadRow.row, *columns)
    created = _with_outcome(rows, upload_id, RowOutcome.CREATED)
    joined = created.join(Registration, Registration.id == BulkUploadRow.registration_id)
    async for page in _pages(database, principal, joined):
        yield [CreatedRow(*row) for row in page]


async def get_backlog(tx: Transaction, partner_id: UUID, *, excluding: UUID | None = None) -> Backlog:
    """Return the unfinished uploads of a partner, oldest first, without the upload ``excluding``."""
    rows_left = func.greatest(0, func.coalesce(BulkUpload.total, BulkUpload.held_lines, 0) - BulkUpload.rows_done)
    statement = (
        select(BulkUpload.id, func.coalesce(BulkUpload.held_bytes, BulkUpload.bytes), rows_left)
        .where(BulkUpload.status.in_(UNFINISHED), BulkUpload.partner_id == partner_id)
        .order_by(BulkUpload.id)
    )
    found = [each for each in await tx.execute(statement) if each[0] != excluding]
    return Backlog([id_ for id_, _, _ in found], sum(size for _, size, _ in found), sum(left for *_, left in found))


async def lock_backlog(tx: Transaction, partner_id: UUID) -> None:
    """Take the advisory lock of a partner's backlog until the transaction ends."""
    key = func.hashtextextended(f"bulk-uploads of {partner_id}", 0)
    await tx.execute(select(func.pg_advisory_xact_lock(key)))


async def find_unfinished(tx: Transaction, upload_id: UUID) -> BulkUpload | None:
    """Return the present state of an upload, or None when it is completed or failed."""
    statement = select(BulkUpload).where(BulkUpload.id == upload_id, BulkUpload.status.in_(UNFINISHED))
    found: BulkUpload | None = await tx.scalar(statement.execution_options(populate_existing=True))
    return found


async def advance(tx: Transaction, upload: BulkUpload, values: dict[str, Any]) -> bool:
    """Update an upload from the checkpoint of ``upload`` and clear its problem.

    Returns False, and changes nothing, when another worker has moved the checkpoint or ended the upload.
    """
    values = {"problem": None, "retry_at": None, **values}
    statement = (
        update(BulkUpload)
        .where(BulkUpload.id == upload.id, BulkUpload.rows_done == upload.rows_done, BulkUpload.status.in_(UNFINISHED))
        .values(version=BulkUpload.version + 1, updated_at=func.now(), **values)
        .returning(BulkUpload.id)
        .execution_options(synchronize_session=False)
    )
    return await tx.scalar(statement) is not None


async def set_internal(tx: Transaction, upload_id: UUID, values: dict[str, Any]) -> None:
    """Set columns of an unfinished upload that the API does not show; its version stays."""
    statement = update(BulkUpload).where(BulkUpload.id == upload_id, BulkUpload.status.in_(UNFINISHED)).values(values)
    await tx.execute(statement.execution_options(synchronize_session=False))


async def schedule_retry(tx: Transaction, upload: BulkUpload, retry_at: datetime, problem: dict[str, Any]) -> None:
    """Delay an upload at the checkpoint of ``upload`` until ``retry_at``, with the problem that its submitter sees."""
    await advance(tx, upload, {"problem": problem, "faults": upload.faults + 1, "retry_at": retry_at})


def _select_earlier_lines() -> Rows:
    given = text_columns({"reference": Text}).subquery("given")
    of_upload = BulkUploadRow.bulk_upload_id == bindparam("bulk_upload_id")
    same = and_(of_upload, BulkUploadRow.reference == given.c.reference)
    earlier = lateral_lookup(select(func.min(BulkUploadRow.line).label("line")).where(same), "earlier")
    return select(given.c.reference, earlier.c.line).join(earlier, earlier.c.line.is_not(None))


_EARLIER_LINES = _select_earlier_lines()


async def find_earlier_lines(tx: Transaction, upload_id: UUID, references: Sequence[str]) -> dict[str, int]:
    """Return the first line of each of these references that is among the upload's stored rows."""
    values = {"reference": column_text(references), "bulk_upload_id": upload_id}
    found = await tx.execute(_EARLIER_LINES, values)
    return {str(reference): line for reference, line in found}


async def delete_rows(tx: Transaction, upload_id: UUID) -> None:
    """Delete the outcomes of an upload's rows, before it is processed from its first row."""
    await tx.execute(delete(BulkUploadRow).where(BulkUploadRow.bulk_upload_id == upload_id))


async def add_rows(tx: Transaction, upload_id: UUID, rows: Sequence[dict[str, Any]]) -> None:
    """Insert outcomes of rows."""
    types: dict[str, Any] = {
        "line": Integer, "row": Integer, "outcome": Text, "reference": Text, "registration_id": Uuid, "replaces": Uuid,
        "problems": JSONB, "normalized": JSONB, "applicant_changes": JSONB, "sealed_cells": LargeBinary,
    }  # fmt: skip
    batch = json_rows("outcome", types, rows)
    columns = ["bulk_upload_id", *types]
    await tx.execute(insert(BulkUploadRow).from_select(columns, select(literal(upload_id, Uuid), *batch.c)))


CREATED_COLUMNS: dict[str, Any] = {
    "line": Integer, "row": Integer, "reference": Text, "registration_id": Uuid, "replaces": Uuid, "normalized": JSONB,
}  # fmt: skip


def _insert_created() -> Insert:
    given = text_columns(CREATED_COLUMNS).subquery("created")
    values: dict[str, Any] = {
        **{name: given.c[name] for name in CREATED_COLUMNS},
        "registration_id": case((bindparam("dry_run", type_=Boolean), null()), else_=given.c.registration_id),
        "bulk_upload_id": bindparam("bulk_upload_id", type_=Uuid),
        "outcome": literal(RowOutcome.CREATED, Text),
        "problems": cast([], JSONB),
    }
    rows = select(*values.values()).where(not_(any_of(given.c.place, bindparam("left_out"))))
    # "raw": the parameters belong to the statement and are not rows to insert
    return insert(BulkUploadRow).from_select(list(values), rows).execution_options(dml_strategy="raw")


_INSERT_CREATED = _insert_created()


async def add_created_rows(
    tx: Transaction, upload_id: UUID, columns: Mapping[str, str], left_out: Collection[int], *, dry_run: bool
) -> None:
    """Insert rows with the outcome ``created``, given as a ``column_text`` for each of ``CREATED_COLUMNS``.

    Rows at the places ``left_out`` are skipped. In a dry run, the ids of the registrations are not stored.
    """
    values = {"bulk_upload_id": upload_id, "left_out": list(left_out), "dry_run": dry_run}
    await tx.execute(_INSERT_CREATED, {**columns, **values})
