"""Scheduling of uploads: their order, the lock that gives a worker one to itself, and the count of its attempts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import case, func, null, or_, select
from uuid_utils.compat import uuid7

from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.rules import OPENING_WORKBOOK, READING_FILE, KillCount
from app.bulk_uploads.store import UNFINISHED, find_unfinished, set_internal
from app.core.database.engine import Database
from app.core.database.outages import is_outage
from app.core.database.transaction import Transaction

END_AGAIN_SECONDS = 1.0
STOP_SECONDS = 3.0


class DueUpload(NamedTuple):
    """An upload that a worker can process now; ``was_killed`` when workers were killed at its present place."""

    id: UUID
    partner_id: UUID
    was_killed: bool


async def list_due(tx: Transaction, *, is_small: bool) -> Sequence[DueUpload]:
    """List the small or the large uploads that are unfinished and not delayed by a retry.

    They are ordered by the partner's latest attempt of this kind, the least recent first, then from oldest to newest.
    """
    is_due = or_(BulkUpload.retry_at.is_(None), BulkUpload.retry_at <= func.now())
    is_waiting = BulkUpload.status.in_(UNFINISHED) & is_due & (BulkUpload.is_small.is_(is_small))
    partners = select(BulkUpload.partner_id).where(is_waiting).distinct().subquery("partners")
    earlier = BulkUpload.__table__.alias("earlier")
    latest = (
        select(func.max(earlier.c.taken_at))
        .where(earlier.c.partner_id == partners.c.partner_id, earlier.c.is_small.is_(is_small))
        .scalar_subquery()
    )
    served = select(partners.c.partner_id, latest.label("at")).subquery("served")
    statement = (
        select(BulkUpload.id, BulkUpload.partner_id, (BulkUpload.killed_there > 0).label("was_killed"))
        .join(served, served.c.partner_id == BulkUpload.partner_id)
        .where(is_waiting)
        .order_by(served.c.at.asc().nulls_first(), BulkUpload.id)
    )
    return [DueUpload(*each) for each in await tx.execute(statement)]


def lock_upload(database: Database, upload_id: UUID) -> AbstractAsyncContextManager[bool]:
    """Try to hold the advisory lock of an upload while the block runs; yields False when another worker holds it."""
    return database.advisory_lock(f"bulk-upload {upload_id}")


@asynccontextmanager
async def count_attempt(database: Database, upload_id: UUID) -> AsyncIterator[None]:
    """Commit the begin of an attempt before the block runs, and its end afterwards, also when the block raises.

    An attempt without an end is that of a worker that was killed, or whose subprocess was (``BrokenExecutor``). Raises
    ``ProcessingAborted`` before the block when there were too many of them.
    """
    attempt = uuid7()
    await _begin_attempt(database, upload_id, attempt)
    try:
        yield
    except BrokenExecutor:
        raise
    except asyncio.CancelledError:  # the worker is stopping
        with suppress(Exception):  # without an end it counts as killed, but the worker must stop
            async with asyncio.timeout(STOP_SECONDS):
                await _end_attempt(database, upload_id, attempt)
        raise
    except BaseException:
        await _end_attempt(database, upload_id, attempt)
        raise
    await _end_attempt(database, upload_id, attempt)


async def _begin_attempt(database: Database, upload_id: UUID, attempt: UUID) -> None:
    async with database.transaction() as tx:
        upload = await find_unfinished(tx, upload_id)
        if upload is None:
            return
        kills = KillCount(upload.killed_place, upload.killed_there, upload.kills)
        if upload.attempt_id is not None and upload.attempt_place is not None:
            kills = kills.add(upload.attempt_place)
        counts = {"killed_place": kills.place, "killed_there": kills.at_place, "kills": kills.total}
        place = READING_FILE if upload.columns else OPENING_WORKBOOK
        begin = {"attempt_id": attempt, "attempt_place": place, "taken_at": func.now()}
        await set_internal(tx, upload_id, {**counts, **begin})
    try:
        kills.check()
    except Exception:
        await _end_attempt(database, upload_id, attempt)
        raise


async def _end_attempt(database: Database, upload_id: UUID, attempt: UUID) -> None:
    """Record the end of an attempt; during an outage of the database, wait for it.

    If another worker has begun an attempt meanwhile, it has counted this one as a kill, which is undone.
    """
    is_latest = BulkUpload.attempt_id == attempt
    end = {"attempt_id": case((is_latest, null()), else_=BulkUpload.attempt_id)}
    counts = {
        column.key: case((is_latest, column), else_=func.greatest(0, column - 1))
        for column in (BulkUpload.killed_there, BulkUpload.kills)
    }
    while True:
        try:
            async with database.transaction() as tx:
                await set_internal(tx, upload_id, {**end, **counts})
        except Exception as error:
            if not is_outage(error):
                raise
        else:
            return
        await asyncio.sleep(END_AGAIN_SECONDS)
