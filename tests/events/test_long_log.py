"""Reading the end of the log costs no more the longer the log is."""

import pytest
from sqlalchemy import select, text

from app.core.database.transaction import Transaction
from app.events import store
from app.events.models import Event
from tests.support.audit_trees import record_events, sequence_events
from tests.support.service import Service

OLD = 3_000
ROWS_READ = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'events'")


async def rows_read(tx: Transaction) -> int:
    """Return how many rows of the log this transaction has read."""
    count: int = await tx.scalar(ROWS_READ)
    return count


@pytest.mark.parametrize("new", [0, 2])
async def test_reading_on_from_the_end_reads_the_new_rows_only(service: Service, new: int) -> None:
    await record_events(service, *["test.old"] * OLD)
    async with service.database.transaction(read_only=True) as tx:
        last = await tx.scalar(select(Event.id).order_by(Event.sequence.desc()).limit(1))
        assert last
    await record_events(service, *["test.new"] * new)
    await sequence_events(service)
    async with service.database.transaction(read_only=True) as tx:
        before = await rows_read(tx)
        found = await store.read_settled(tx, after=last, limit=500)
        newest = await store.newest_settled_id(tx, after=last)
        assert await rows_read(tx) - before < OLD / 100
    assert [each.name for each in found] == ["test.new"] * new
    assert newest == (found[-1].id if found else None)
