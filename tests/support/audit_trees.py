"""The Merkle tree over the event log: events to put in it, its growth, and its verification."""

import asyncio
from typing import Any

from sqlalchemy import func, not_, select

from app.audit import store
from app.audit.sequencer import sequence
from app.audit.tree import Frontier
from app.audit.verification import verify
from app.events import store as events
from app.events.models import Event
from app.events.store import NewEvent
from tests.support.service import Service


async def record_events(service: Service, *names: str, **business: Any) -> None:
    """Record events in one transaction."""
    async with service.database.transaction() as tx:
        await events.record(tx, None, [NewEvent(name, **business) for name in names])


async def count_leaves(service: Service) -> int:
    """Return the number of leaves of the tree."""
    async with service.database.transaction(read_only=True) as tx:
        size, *_ = await store.count_rows(tx)
        return size


async def sequence_events(service: Service, batch: int = 5_000) -> int:
    """Give every event its leaf, and return the size of the tree.

    Waits first: an event is held back while any older transaction runs, also one of another test on this server.
    """
    unsettled = select(func.count()).select_from(Event).where(not_(events.SETTLED))
    async with asyncio.timeout(20):
        while True:
            async with service.database.transaction(read_only=True) as tx:
                if not await tx.scalar(unsettled):
                    break
            await asyncio.sleep(0.05)
    await sequence(service.database, service.settings.public_url, batch)
    return await count_leaves(service)


async def verify_log(service: Service, **how: Any) -> Frontier:
    """Return the tree after ``verify`` has found no difference."""
    async with service.database.transaction(read_only=True) as tx:
        return (await verify(tx, **how)).tree
