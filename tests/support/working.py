"""A worker in the process of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.core.settings import Settings
from app.worker import Worker


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """A worker in this process while the block runs."""
    task = asyncio.create_task(Worker(settings).run())
    yield task
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
