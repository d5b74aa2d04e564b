"""A reading that all callers of a short time share, so that asking often costs the database nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SharedRead(Generic[Value]):
    """Reads by ``read`` at most once in ``seconds``; who asks meanwhile gets, or waits for, the same outcome."""

    def __init__(self, read: Callable[[], Awaitable[Value]], seconds: float = 1.0) -> None:
        self._read = read
        self._seconds = seconds
        self._reading: asyncio.Task[Value] | None = None
        self._began = float("-inf")

    async def get(self) -> Value:
        """The value. Raises what ``read`` raised."""
        reading = self._reading
        if reading is None or (reading.done() and time.monotonic() - self._began >= self._seconds):
            # a context and a task of its own: it is nobody's alone, and goes on when one who waits has left
            reading = self._reading = asyncio.create_task(self._run(), context=Context())
            self._began = time.monotonic()
        return await asyncio.shield(reading)

    async def _run(self) -> Value:
        return await self._read()
