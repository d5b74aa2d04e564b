"""Erasing what uploads keep of their rows: when its time has passed, and when a case of theirs is erased."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Text, Uuid, and_, column, delete, func, literal, not_, or_, select, true, update
from sqlalchemy.dialects.postgresql import JSONB

from app.bulk_uploads.models import BulkUpload, BulkUploadRow
from app.core.database.batches import any_of, json_rows, lateral_lookup
from app.core.database.engine import Database
from app.core.database.transaction import Transaction

ROWS_AT_ONCE = 5_000
UPLOADS_AT_ONCE = 100
NOT_SYNCHRONIZED = {"synchronize_session": False}


async def erase_old(database: Database, kept: timedelta, kept_of_dry_runs: timedelta) -> None:
    """Erase the cells of refused rows of uploads that were done so long ago, and all rows of such dry runs.

    What was wrong with the rows of a real upload stays. Of an upload 5,000 rows are erased in a transaction.
    """
    is_old = or_(
        and_(not_(BulkUpload.dry_run), BulkUpload.completed_at < func.now() - kept),
        and_(BulkUpload.dry_run, BulkUpload.completed_at < func.now() - kept_of_dry_runs),
    )
    statement = select(BulkUpload.id, BulkUpload.dry_run).where(is_old, BulkUpload.erased_at.is_(None))
    found = UPLOADS_AT_ONCE
    while found == UPLOADS_AT_ONCE:
        async with database.transaction(read_only=True) as tx:
            old = (await tx.execute(statement.limit(UPLOADS_AT_ONCE))).all()
        for upload_id, dry_run in old:
            await _erase_rows(database, upload_id, dry_run=dry_run)
        found = len(old)


async def _erase_rows(database: Database, upload_id: UUID, *, dry_run: bool) -> None:
    lines: list[int] = []
    while not lines or len(lines) == ROWS_AT_ONCE:
        async with database.transaction() as tx:
            lines = await _erase_some(tx, upload_id, after=lines[-1] if lines else 0, dry_run=dry_run)
            if len(lines) < ROWS_AT_ONCE:
                done = {"erased_at": func.now(), "updated_at": func.now(), "version": BulkUpload.version + 1}
                await tx.execute(update(BulkUpload).where(BulkUpload.id == upload_id).values(done))
                return


async def _erase_some(tx: Transaction, upload_id: UUID, *, after: int, dry_run: bool) -> list[int]:
    """Erase the next rows after the line ``after``; their lines."""
    of_upload = BulkUploadRow.bulk_upload_id == upload_id
    wanted = select(BulkUploadRow.line).where(of_upload, BulkUploadRow.line > after)
    if not dry_run:
        wanted = wanted.where(BulkUploadRow.sealed_cells.is_not(None))
    lines = list(await tx.scalars(wanted.order_by(BulkUploadRow.line).limit(ROWS_AT_ONCE)))
    rows = and_(of_upload, any_of(BulkUploadRow.line, lines))
    erased = delete(BulkUploadRow) if dry_run else update(BulkUploadRow).values(sealed_cells=None)
    await tx.execute(erased.where(rows).execution_options(**NOT_SYNCHRONIZED))
    return lines


async def erase_references(
    tx: Transaction, references: Collection[tuple[UUID, str]], registration_ids: Collection[UUID]
) -> None:
    """Erase what partners' uploads say of these references, each with its partner, but not of others' cases of now.

    Codes and columns of what was wrong stay; a detail may quote what was sent, and goes.
    """
    rows = [{"partner_id": partner_id, "reference": reference} for partner_id, reference in references]
    given = json_rows("given", {"partner_id": Uuid, "reference": Text}, rows)
    its_own = or_(BulkUploadRow.registration_id.is_(None), any_of(BulkUploadRow.registration_id, registration_ids))
    met = lateral_lookup(
        select(BulkUploadRow.bulk_upload_id, BulkUploadRow.line)
        .join(BulkUpload, BulkUpload.id == BulkUploadRow.bulk_upload_id)
        .where(BulkUploadRow.reference == given.c.reference, BulkUpload.partner_id == given.c.partner_id, its_own),
        "met",
    )
    found = select(met.c.bulk_upload_id, met.c.line).select_from(given).join(met, true()).subquery("found")
    problem = func.jsonb_array_elements(BulkUploadRow.problems).table_valued(column("value", JSONB), name="problem")
    said = problem.c.value.op("||")(literal({"detail": "(erased)"}, JSONB))
    problems = select(func.coalesce(func.jsonb_agg(said), literal([], JSONB))).scalar_subquery()
    erased = (
        update(BulkUploadRow)
        .where(BulkUploadRow.bulk_upload_id == found.c.bulk_upload_id, BulkUploadRow.line == found.c.line)
        .values(reference=None, sealed_cells=None, problems=problems)
    )
    await tx.execute(erased.execution_options(**NOT_SYNCHRONIZED))
