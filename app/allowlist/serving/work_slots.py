"""A bound on work that costs much more than its request: a few at a time, and of one caller one at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from app.core.errors import Unavailable

AT_ONCE = 2
MAX_PER_CALLER = 16
PATIENCE_SECONDS = 10.0
Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Caller:
    """The work of one caller that runs or waits."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    works: int = 0


class WorkSlots:
    """Slots for expensive work of this process; work beyond them waits for ``patience`` seconds at most.

    One caller has one slot at a time, and callers get theirs in turn, so that none keeps the others out.
    """

    def __init__(
        self, at_once: int = AT_ONCE, max_per_caller: int = MAX_PER_CALLER, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._callers: dict[str, _Caller] = {}
        self._max_per_caller = max_per_caller
        self._patience = patience

    @asynccontextmanager
    async def slot(self, name: str) -> AsyncIterator[None]:
        """Hold a slot for the caller ``name`` until the block ends.

        Raises ``Unavailable`` when none becomes free in time, or when too much work of this caller waits already.
        """
        caller = self._callers.setdefault(name, _Caller())
        if caller.works >= self._max_per_caller:
            raise Unavailable("Too many of your requests of this kind are being worked on.")
        caller.works += 1
        try:
            await self._take(caller.turn)
            try:
                yield
            finally:
                self._free.release()
                caller.turn.release()
        finally:
            caller.works -= 1
            if not caller.works:
                del self._callers[name]

    async def in_thread(
        self, name: str, work: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        """Run ``work`` in a thread and give its result; its slot is held until it ends, though the caller may leave."""

        async def run() -> Result:
            async with self.slot(name):
                return await asyncio.to_thread(work, *args, **kwargs)

        running = asyncio.create_task(run())
        running.add_done_callback(retrieve)
        return await asyncio.shield(running)

    async def _take(self, turn: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await turn.acquire()
                try:
                    await self._free.acquire()
                except BaseException:
                    turn.release()
                    raise
        except TimeoutError:
            raise Unavailable("Too many requests of this kind are being worked on.") from None


def retrieve(done: asyncio.Task[Any]) -> None:
    """Read the error of a task that nobody may wait for any more, so that the loop does not report it."""
    if not done.cancelled():
        done.exception()
