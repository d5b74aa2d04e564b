"""The tree over the log as tests grow it, and what ``audit verify`` says of it."""

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


async def recorded(service: Service, *names: str, **business: Any) -> None:
    """Events, recorded in one transaction."""
    async with service.database.transaction() as tx:
        await events.record(tx, None, [NewEvent(name, **business) for name in names])


async def size_of(service: Service) -> int:
    """How many leaves the tree has."""
    async with service.database.transaction(read_only=True) as tx:
        size, *_ = await store.count_rows(tx)
        return size


async def sequenced(service: Service, batch: int = 5_000) -> int:
    """The size of the tree once every event has its leaf.

    It waits: an event is held back while any older transaction runs, also one of another test on this server.
    """
    unsettled = select(func.count()).select_from(Event).where(not_(events.SETTLED))
    async with asyncio.timeout(20):
        while True:
            async with service.database.transaction(read_only=True) as tx:
                if not await tx.scalar(unsettled):
                    break
            await asyncio.sleep(0.05)
    await sequence(service.database, service.settings.public_url, batch)
    return await size_of(service)


async def verified(service: Service, **how: Any) -> Frontier:
    """The tree, once ``verify`` has found no difference."""
    async with service.database.transaction(read_only=True) as tx:
        return (await verify(tx, **how)).tree
