"""Which upload a worker takes next, that it has it to itself, and that an attempt is counted before the work."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import case, func, null, or_, select
from uuid_utils.compat import uuid7

from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.rules import READING, UNFOLDING, Kills
from app.bulk_uploads.store import WAITING, mark, waiting_upload
from app.core.database.engine import Database, is_outage
from app.core.database.transaction import Transaction

RELEASE_AGAIN_SECONDS = 1.0
STOP_SECONDS = 3.0


class Waiting(NamedTuple):
    """An upload that can be taken. ``was_killed``: workers were killed at it, once at least since it began anew."""

    id: UUID
    partner_id: UUID
    was_killed: bool


async def in_turn(tx: Transaction, *, is_small: bool) -> Sequence[Waiting]:
    """The small or the large uploads that are not done and not put off.

    The partner whose upload of this kind was taken longest ago comes first; of one partner the oldest upload.
    """
    is_due = or_(BulkUpload.retry_at.is_(None), BulkUpload.retry_at <= func.now())
    is_waiting = BulkUpload.status.in_(WAITING) & is_due & (BulkUpload.is_small.is_(is_small))
    partners = select(BulkUpload.partner_id).where(is_waiting).distinct().subquery("partners")
    earlier = BulkUpload.__table__.alias("earlier")
    last = (
        select(func.max(earlier.c.taken_at))
        .where(earlier.c.partner_id == partners.c.partner_id, earlier.c.is_small.is_(is_small))
        .scalar_subquery()
    )
    served = select(partners.c.partner_id, last.label("at")).subquery("served")
    statement = (
        select(BulkUpload.id, BulkUpload.partner_id, (BulkUpload.killed_there > 0).label("was_killed"))
        .join(served, served.c.partner_id == BulkUpload.partner_id)
        .where(is_waiting)
        .order_by(served.c.at.asc().nulls_first(), BulkUpload.id)
    )
    return [Waiting(*each) for each in await tx.execute(statement)]


def claimed(database: Database, upload_id: UUID) -> AbstractAsyncContextManager[bool]:
    """Whether this worker has an upload to itself, while the block runs."""
    return database.advisory_lock(f"bulk-upload {upload_id}")


@asynccontextmanager
async def attempted(database: Database, upload_id: UUID) -> AsyncIterator[None]:
    """Count an attempt, committed before the block begins, and take it back when the block ends, however it does.

    What is left is the attempt of a worker that was killed, or whose reading process was (``BrokenExecutor``). Raises
    ``ProcessingAborted`` instead of beginning when too many were.
    """
    attempt = uuid7()
    await _begin(database, upload_id, attempt)
    try:
        yield
    except BrokenExecutor:
        raise
    except asyncio.CancelledError:  # the worker was told to stop
        with suppress(Exception):  # then it counts as killed, and stops all the same
            async with asyncio.timeout(STOP_SECONDS):
                await _take_back(database, upload_id, attempt)
        raise
    except BaseException:
        await _take_back(database, upload_id, attempt)
        raise
    await _take_back(database, upload_id, attempt)


async def _begin(database: Database, upload_id: UUID, attempt: UUID) -> None:
    async with database.transaction() as tx:
        upload = await waiting_upload(tx, upload_id)
        if upload is None:
            return
        kills = Kills(upload.killed_place, upload.killed_there, upload.kills)
        if upload.attempt_id is not None and upload.attempt_place is not None:
            kills = kills.another(upload.attempt_place)
        counted = {"killed_place": kills.place, "killed_there": kills.there, "kills": kills.total}
        place = READING if upload.columns else UNFOLDING
        begun = {"attempt_id": attempt, "attempt_place": place, "taken_at": func.now()}
        await mark(tx, upload_id, {**counted, **begun})
    try:
        kills.check()
    except Exception:
        await _take_back(database, upload_id, attempt)
        raise


async def _take_back(database: Database, upload_id: UUID, attempt: UUID) -> None:
    """Note that an attempt ended with its worker alive; while the database is away, wait for it.

    Another worker may have begun meanwhile, and counted a kill.
    """
    is_last = BulkUpload.attempt_id == attempt
    ended = {"attempt_id": case((is_last, null()), else_=BulkUpload.attempt_id)}
    counts = {
        each.key: case((is_last, each), else_=func.greatest(0, each - 1))
        for each in (BulkUpload.killed_there, BulkUpload.kills)
    }
    while True:
        try:
            async with database.transaction() as tx:
                await mark(tx, upload_id, {**ended, **counts})
        except Exception as error:
            if not is_outage(error):
                raise
        else:
            return
        await asyncio.sleep(RELEASE_AGAIN_SECONDS)
