"""Group commit: items that are submitted one by one are processed in batches.

A single item is processed alone and at once; items that come meanwhile form the next batch. Only after a batch of
several is there a short pause for others to join, like PostgreSQL's ``commit_delay``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from app.core.database.outages import is_outage

PAUSE_SECONDS = 0.001  # callers just answered can call again and need not wait for the batch after the next
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Batcher(Generic[Item, Outcome]):
    """Collects items for ``process_batch``, which takes up to ``most`` and returns an outcome for each, in order."""

    def __init__(self, process_batch: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]], most: int) -> None:
        self._process_batch = process_batch
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """True when no item is waiting or being processed."""
        return self._task is None

    async def process(self, item: Item) -> Outcome:
        """Process an item in a batch and return its outcome, or raise what ``process_batch`` raised for it.

        A batch that fails is processed again item by item, unless the database is away, so that an error reaches only
        its own caller. Processing goes on when the caller is cancelled.
        """
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._task is None:  # in a new context: a batch belongs to several requests
            self._task = asyncio.create_task(self._run(), context=Context())
        return await outcome

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._resolve(batch)
                if len(batch) > 1:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._task = None

    async def _resolve(self, batch: Sequence[tuple[Item, "asyncio.Future[Outcome]"]]) -> None:
        try:
            outcomes = await self._process_batch([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            if len(batch) > 1 and not is_outage(error):
                for each in batch:
                    await self._resolve([each])
                return
            for _, future in batch:
                if not future.cancelled():
                    future.set_exception(error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.cancelled():
                future.set_result(outcome)
