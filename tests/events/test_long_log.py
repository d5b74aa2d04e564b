"""The log only grows: what is asked of its end must not cost more with every event before it."""

import pytest
from sqlalchemy import select, text

from app.core.database.transaction import Transaction
from app.events import store
from app.events.models import Event
from tests.support.service import Service
from tests.support.trees import recorded, sequenced

OLD = 3_000
TOUCHED = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'events'")


async def touched(tx: Transaction) -> int:
    """How many rows of the log PostgreSQL has gone through on this connection, as far as it has not told others yet."""
    count: int = await tx.scalar(TOUCHED)
    return count


@pytest.mark.parametrize("new", [0, 2])
async def test_whoever_reads_on_from_the_end_goes_through_what_is_new_and_no_more(service: Service, new: int) -> None:
    await recorded(service, *["test.old"] * OLD)
    async with service.database.transaction(read_only=True) as tx:
        last = await tx.scalar(select(Event.id).order_by(Event.sequence.desc()).limit(1))
        assert last
    await recorded(service, *["test.new"] * new)
    await sequenced(service)
    async with service.database.transaction(read_only=True) as tx:
        before = await touched(tx)
        found = await store.settled(tx, after=last, limit=500)
        newest = await store.newest_settled(tx, after=last)
        assert await touched(tx) - before < OLD / 100
    assert [each.name for each in found] == ["test.new"] * new
    assert newest == (found[-1].id if found else None)
