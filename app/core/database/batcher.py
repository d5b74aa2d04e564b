"""What is asked for one by one and done many at a time: what comes while others are being worked on goes next.

Who comes alone is served alone and at once. Only where several came at once is there a short pause before the next
turn, as PostgreSQL has one before a commit that others may join (``commit_delay``).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from app.core.database.engine import is_outage

# In this time those who were just answered can ask again, and need not wait for a turn that begins without them.
PAUSE_SECONDS = 0.001
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Batcher(Generic[Item, Outcome]):
    """Takes items one by one to ``act``, which is given up to ``most`` at a time and gives one outcome for each."""

    def __init__(self, act: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]], most: int) -> None:
        self._act = act
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._working: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits."""
        return self._working is None

    async def do(self, item: Item) -> Outcome:
        """The outcome of ``item``. Raises what ``act`` raises; a fault of one item is not raised for another.

        What has begun is brought to its end, also when the one who asked does not wait for it.
        """
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._working is None:  # in a context of its own: the work is not this caller's alone
            self._working = asyncio.create_task(self._work(), context=Context())
        return await outcome

    async def _work(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._settle(taken)
                if len(taken) > 1:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._working = None

    async def _settle(self, taken: Sequence[tuple[Item, "asyncio.Future[Outcome]"]]) -> None:
        try:
            outcomes = await self._act([item for item, _ in taken])
        except Exception as fault:  # noqa: BLE001 - raised where it is awaited
            if len(taken) > 1 and not is_outage(fault):
                for each in taken:
                    await self._settle([each])
                return
            for _, waiting in taken:
                if not waiting.cancelled():
                    waiting.set_exception(fault)
            return
        for (_, waiting), outcome in zip(taken, outcomes, strict=True):
            if not waiting.cancelled():
                waiting.set_result(outcome)
