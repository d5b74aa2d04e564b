"""Every SQL statement about uploads."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Insert,
    Integer,
    LargeBinary,
    Select,
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
from app.core.database.pagination import fetch_page
from app.core.database.roles import INTAKE
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.core.principal import Principal

SEALED_PART = "bulk_upload_parts.sealed"
EXPORTED_AT_ONCE = 1_000
PART_BYTES = 1024 * 1024
WAITING = (UploadStatus.RECEIVED.value, UploadStatus.PROCESSING.value)


def submitter_of(upload: BulkUpload) -> Principal:
    """The client that sent an upload, with no rights beyond those of its partner's own rows."""
    return Principal(upload.client_id, upload.partner_id, "association", None, frozenset())


def writing_for(database: Database, upload: BulkUpload) -> AbstractAsyncContextManager[Transaction]:
    """A transaction in which the worker acts for the partner that sent an upload."""
    return database.transaction(submitter_of(upload), role=INTAKE)


async def add(tx: Transaction, upload: BulkUpload) -> None:
    """Insert an upload."""
    tx.add(upload)
    await tx.flush()


async def add_part(tx: Transaction, upload_id: UUID, position: int, body: bytes) -> None:
    """Keep a part of an upload's bytes, compressed and sealed."""
    packed = await asyncio.to_thread(compress, body)
    row = {"sealed": tx.keyring.seal(SEALED_PART, packed), "size": len(body)}
    await tx.execute(insert(BulkUploadPart).values(bulk_upload_id=upload_id, position=position, **row))


async def read_part(tx: Transaction, upload_id: UUID, position: int) -> bytes | None:
    """A part's bytes, or None after the last."""
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


async def drop_parts(tx: Transaction, upload_id: UUID) -> None:
    """Let go of an upload's bytes."""
    await tx.execute(delete(BulkUploadPart).where(BulkUploadPart.bulk_upload_id == upload_id))


def _visible_to(principal: Principal) -> ColumnElement[bool]:
    return true() if principal.sees_all else BulkUpload.partner_id == principal.partner_id


async def get(tx: Transaction, principal: Principal, upload_id: UUID) -> BulkUpload:
    """One upload that the caller may see. Raises ``NotFound``."""
    statement = select(BulkUpload).where(BulkUpload.id == upload_id, _visible_to(principal))
    upload = await tx.scalar(statement.execution_options(populate_existing=True))
    if upload is None:
        raise NotFound
    return upload


async def list_page(
    tx: Transaction, principal: Principal, query: BulkUploadsQuery
) -> tuple[Sequence[BulkUpload], str | None]:
    """A page of the uploads that the caller may see."""
    statement = select(BulkUpload).where(_visible_to(principal)).filter_by(**query.filters())
    return await fetch_page(tx, statement, BulkUpload.id, query, list_name="bulk-uploads")


async def list_rows(tx: Transaction, upload_id: UUID, query: RowsQuery) -> tuple[Sequence[BulkUploadRow], str | None]:
    """A page of an upload's rows."""
    statement = select(BulkUploadRow).where(BulkUploadRow.bulk_upload_id == upload_id).filter_by(**query.filters())
    return await fetch_page(tx, statement, BulkUploadRow.line, query, list_name=f"rows {upload_id}")


async def refused_rows(database: Database, principal: Principal, upload_id: UUID) -> AsyncIterator[BulkUploadRow]:
    """An upload's refused rows in the order of their lines, a thousand at a time, no transaction held between."""
    after = 0
    while True:
        statement = _refused_after(upload_id, after)
        async with database.transaction(principal, read_only=True) as tx:
            found = (await tx.scalars(statement.limit(EXPORTED_AT_ONCE))).all()
        for row in found:
            yield row
        if len(found) < EXPORTED_AT_ONCE:
            return
        after = found[-1].line


def _refused_after(upload_id: UUID, line: int) -> Select[Any]:
    return (
        select(BulkUploadRow)
        .where(BulkUploadRow.bulk_upload_id == upload_id)
        .where(BulkUploadRow.outcome == RowOutcome.REFUSED, BulkUploadRow.line > line)
        .order_by(BulkUploadRow.line)
    )


async def backlog(tx: Transaction, partner_id: UUID, *, besides: UUID | None = None) -> Backlog:
    """What a partner has waiting ``besides`` one upload. Oldest first."""
    rows = func.greatest(0, func.coalesce(BulkUpload.total, BulkUpload.held_lines, 0) - BulkUpload.rows_done)
    statement = (
        select(BulkUpload.id, func.coalesce(BulkUpload.held_bytes, BulkUpload.bytes), rows)
        .where(BulkUpload.status.in_(WAITING), BulkUpload.partner_id == partner_id)
        .order_by(BulkUpload.id)
    )
    found = [each for each in await tx.execute(statement) if each[0] != besides]
    return Backlog([id_ for id_, _, _ in found], sum(size for _, size, _ in found), sum(left for *_, left in found))


async def take_turn_to_wait(tx: Transaction, partner_id: UUID) -> None:
    """Wait for the other uploads that a partner is about to have waiting, until the transaction ends."""
    key = func.hashtextextended(f"bulk-uploads of {partner_id}", 0)
    await tx.execute(select(func.pg_advisory_xact_lock(key)))


async def waiting_upload(tx: Transaction, upload_id: UUID) -> BulkUpload | None:
    """An upload as it stands, unless it is done."""
    statement = select(BulkUpload).where(BulkUpload.id == upload_id, BulkUpload.status.in_(WAITING))
    found: BulkUpload | None = await tx.scalar(statement.execution_options(populate_existing=True))
    return found


async def advance(tx: Transaction, upload: BulkUpload, values: dict[str, Any]) -> bool:
    """Move an upload on from the checkpoint that ``upload`` was read at; False when another worker has.

    What held it up is over.
    """
    values = {"problem": None, "retry_at": None, **values}
    statement = (
        update(BulkUpload)
        .where(BulkUpload.id == upload.id, BulkUpload.rows_done == upload.rows_done, BulkUpload.status.in_(WAITING))
        .values(version=BulkUpload.version + 1, updated_at=func.now(), **values)
        .returning(BulkUpload.id)
        .execution_options(synchronize_session=False)
    )
    return await tx.scalar(statement) is not None


async def mark(tx: Transaction, upload_id: UUID, values: dict[str, Any]) -> None:
    """Note about an upload that is not done what its submitter is not shown."""
    statement = update(BulkUpload).where(BulkUpload.id == upload_id, BulkUpload.status.in_(WAITING)).values(values)
    await tx.execute(statement.execution_options(synchronize_session=False))


async def put_off(tx: Transaction, upload: BulkUpload, retry_at: datetime, problem: dict[str, Any]) -> None:
    """Let an upload that stands where ``upload`` was read wait, and say why."""
    await advance(tx, upload, {"problem": problem, "faults": upload.faults + 1, "retry_at": retry_at})


def _earlier() -> Rows:
    asked = text_columns({"reference": Text}).subquery("asked")
    of_upload = BulkUploadRow.bulk_upload_id == bindparam("bulk_upload_id")
    same = and_(of_upload, BulkUploadRow.reference == asked.c.reference)
    met = lateral_lookup(select(func.min(BulkUploadRow.line).label("line")).where(same), "met")
    return select(asked.c.reference, met.c.line).join(met, met.c.line.is_not(None))


_EARLIER = _earlier()


async def known_references(tx: Transaction, upload_id: UUID, references: Sequence[str]) -> dict[str, int]:
    """The line of each of these references that an earlier row of the upload has."""
    asked = {"reference": column_text(references), "bulk_upload_id": upload_id}
    found = await tx.execute(_EARLIER, asked)
    return {str(reference): line for reference, line in found}


async def drop_rows(tx: Transaction, upload_id: UUID) -> None:
    """Forget the outcomes of an upload's rows, before they are judged from the first."""
    await tx.execute(delete(BulkUploadRow).where(BulkUploadRow.bulk_upload_id == upload_id))


async def add_rows(tx: Transaction, upload_id: UUID, rows: Sequence[dict[str, Any]]) -> None:
    """Keep the outcomes of rows."""
    kinds: dict[str, Any] = {
        "line": Integer, "outcome": Text, "reference": Text, "registration_id": Uuid, "problems": JSONB,
        "sealed_cells": LargeBinary,
    }  # fmt: skip
    batch = json_rows("outcome", kinds, rows)
    columns = ["bulk_upload_id", *kinds]
    await tx.execute(insert(BulkUploadRow).from_select(columns, select(literal(upload_id, Uuid), *batch.c)))


CREATED: dict[str, Any] = {"line": Integer, "reference": Text, "registration_id": Uuid}


def _adding_created() -> Insert:
    given = text_columns(CREATED).subquery("created")
    values: dict[str, Any] = {
        **{name: given.c[name] for name in CREATED},
        "registration_id": case((bindparam("dry_run", type_=Boolean), null()), else_=given.c.registration_id),
        "bulk_upload_id": bindparam("bulk_upload_id", type_=Uuid),
        "outcome": literal(RowOutcome.CREATED, Text),
        "problems": cast([], JSONB),
    }
    rows = select(*values.values()).where(not_(any_of(given.c.place, bindparam("left_out"))))
    # "raw": the parameters belong to the statement and are not rows to insert
    return insert(BulkUploadRow).from_select(list(values), rows).execution_options(dml_strategy="raw")


_ADDING_CREATED = _adding_created()


async def add_created(
    tx: Transaction, upload_id: UUID, created: Mapping[str, str], left_out: Collection[int], *, dry_run: bool
) -> None:
    """Keep that rows, given as ``orm.column_text``, were made cases; those at the places ``left_out`` were not.

    After a dry run there are no such cases.
    """
    about = {"bulk_upload_id": upload_id, "left_out": list(left_out), "dry_run": dry_run}
    await tx.execute(_ADDING_CREATED, {**created, **about})
