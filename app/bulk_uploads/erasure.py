"""Erasure of the rows of uploads: after their retention period, and when a registration is erased."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    Uuid,
    and_,
    case,
    column,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.applicants.errors import ApplicantConflict
from app.bulk_uploads.models import BulkUpload, BulkUploadRow
from app.core.database.batches import any_of, json_rows, lateral_lookup
from app.core.database.engine import Database
from app.core.database.transaction import Transaction

ROWS_PER_TRANSACTION = 5_000
UPLOADS_PER_QUERY = 100
# The values of an erased row that has a cell.
CELLS = {"sealed_cells": None, "normalized": None, "applicant_changes": None}
ERASED = "(erased)"
NOT_SYNCHRONIZED = {"synchronize_session": False}


async def erase_old(database: Database, kept: timedelta, kept_of_dry_runs: timedelta) -> None:
    """Erase the cells of the rows of old uploads and what quotes them, and all rows of old dry runs.

    An upload is old when it completed more than ``kept`` ago, a dry run ``kept_of_dry_runs``. The problems of refused
    rows stay, without the cell and without names. Each transaction erases at most ``ROWS_PER_TRANSACTION`` rows.
    """
    is_old = or_(
        and_(not_(BulkUpload.dry_run), BulkUpload.completed_at < func.now() - kept),
        and_(BulkUpload.dry_run, BulkUpload.completed_at < func.now() - kept_of_dry_runs),
    )
    statement = select(BulkUpload.id, BulkUpload.dry_run).where(is_old, BulkUpload.erased_at.is_(None))
    found = UPLOADS_PER_QUERY
    while found == UPLOADS_PER_QUERY:
        async with database.transaction(read_only=True) as tx:
            old = (await tx.execute(statement.limit(UPLOADS_PER_QUERY))).all()
        for upload_id, dry_run in old:
            await _erase_rows(database, upload_id, dry_run=dry_run)
        found = len(old)


async def _erase_rows(database: Database, upload_id: UUID, *, dry_run: bool) -> None:
    lines: list[int] = []
    while not lines or len(lines) == ROWS_PER_TRANSACTION:
        async with database.transaction() as tx:
            lines = await _erase_batch(tx, upload_id, after=lines[-1] if lines else 0, dry_run=dry_run)
            if len(lines) < ROWS_PER_TRANSACTION:
                done = {"erased_at": func.now(), "updated_at": func.now(), "version": BulkUpload.version + 1}
                await tx.execute(update(BulkUpload).where(BulkUpload.id == upload_id).values(done))
                return


async def _erase_batch(tx: Transaction, upload_id: UUID, *, after: int, dry_run: bool) -> list[int]:
    """Erase the next rows after the line ``after``; return their lines."""
    of_upload = BulkUploadRow.bulk_upload_id == upload_id
    chosen = select(BulkUploadRow.line).where(of_upload, BulkUploadRow.line > after)
    if not dry_run:
        quoting = (BulkUploadRow.sealed_cells, BulkUploadRow.normalized, BulkUploadRow.applicant_changes)
        chosen = chosen.where(or_(*(each.is_not(None) for each in quoting)))
    lines = list(await tx.scalars(chosen.order_by(BulkUploadRow.line).limit(ROWS_PER_TRANSACTION)))
    rows = and_(of_upload, any_of(BulkUploadRow.line, lines))
    erased = delete(BulkUploadRow) if dry_run else update(BulkUploadRow).values(**CELLS, problems=_without_names())
    await tx.execute(erased.where(rows).execution_options(**NOT_SYNCHRONIZED))
    return lines


async def erase_references(
    tx: Transaction, references: Collection[tuple[UUID, str]], registration_ids: Collection[UUID]
) -> None:
    """Erase the rows of uploads with these references, each given with its partner.

    Rows that led to a registration other than ``registration_ids`` stay. Problems keep their codes and columns; their
    details may quote the row, and are erased.
    """
    rows = [{"partner_id": partner_id, "reference": reference} for partner_id, reference in references]
    given = json_rows("given", {"partner_id": Uuid, "reference": Text}, rows)
    is_erased = or_(BulkUploadRow.registration_id.is_(None), any_of(BulkUploadRow.registration_id, registration_ids))
    matches = lateral_lookup(
        select(BulkUploadRow.bulk_upload_id, BulkUploadRow.line)
        .join(BulkUpload, BulkUpload.id == BulkUploadRow.bulk_upload_id)
        .where(BulkUploadRow.reference == given.c.reference, BulkUpload.partner_id == given.c.partner_id, is_erased),
        "matches",
    )
    found = select(matches.c.bulk_upload_id, matches.c.line).select_from(given).join(matches, true()).subquery("found")
    erased = (
        update(BulkUploadRow)
        .where(BulkUploadRow.bulk_upload_id == found.c.bulk_upload_id, BulkUploadRow.line == found.c.line)
        .values(**CELLS, reference=None, problems=_problems_with(literal({"detail": ERASED, "given": ""}, JSONB)))
    )
    await tx.execute(erased.execution_options(**NOT_SYNCHRONIZED))


def _without_names() -> ColumnElement[Any]:
    """Return the problems of a row without the cells that they quote; a conflict of applicants quotes names."""
    names = {"given": "", "detail": ERASED}
    is_conflict = column("value", JSONB)["code"].astext == ApplicantConflict.code
    return _problems_with(case((is_conflict, literal(names, JSONB)), else_=literal({"given": ""}, JSONB)))


def _problems_with(values: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the problems of a row with other members; ``values`` may refer to the problem as ``value``."""
    problem = func.jsonb_array_elements(BulkUploadRow.problems).table_valued(column("value", JSONB), name="problem")
    changed = problem.c.value.op("||")(values)
    return select(func.coalesce(func.jsonb_agg(changed), literal([], JSONB))).scalar_subquery()
