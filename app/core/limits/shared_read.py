"""A read that concurrent and repeated callers share, to spare the database."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SharedRead(Generic[Value]):
    """Calls ``read`` at most once in ``seconds``; other callers in this time share its value or exception."""

    def __init__(self, read: Callable[[], Awaitable[Value]], seconds: float = 1.0) -> None:
        self._read = read
        self._seconds = seconds
        self._reading: asyncio.Task[Value] | None = None
        self._began = float("-inf")

    async def get(self) -> Value:
        """Return the value. Raises what ``read`` raised."""
        reading = self._reading
        if reading is None or (reading.done() and time.monotonic() - self._began >= self._seconds):
            # a task with a context of its own: it serves several callers, and goes on when one is cancelled
            reading = self._reading = asyncio.create_task(self._run(), context=Context())
            self._began = time.monotonic()
        return await asyncio.shield(reading)

    async def _run(self) -> Value:
        return await self._read()
