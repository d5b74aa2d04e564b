"""Connections of the driver itself: a session around a few rows costs several times the rows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.core.compiled import Compiled

# What connections begin with that only read, and those whose transactions look few rows up by their keys. Such rows are
# in memory: PostgreSQL need not gather pages before it reads them, nor make a plan that fits the values, nor read a
# table whole as long as it is small.
READING = {"default_transaction_read_only": "on", "random_page_cost": "1.1"}
WRITING_FEW = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "random_page_cost": "1.1"}


class Connections:
    """Up to ``size`` connections, made with ``options`` when they are needed, awaited for ``patience`` seconds."""

    def __init__(self, url: str, options: dict[str, str], size: int, patience: float) -> None:
        self._url = url
        self._options = options
        self._size = size
        self._patience = patience
        self._pool: asyncpg.Pool | None = None

    async def fetch(self, steps: Sequence[Compiled], given: dict[str, Any]) -> list[Any]:
        """The rows of the last of the statements of one transaction.

        Raises asyncpg's errors, ``TimeoutError`` or ``OSError``.
        """
        *before, read = steps
        async with (
            self._acquired() as connection,
            connection.transaction() if before else nullcontext(),
        ):
            for each in before:
                await connection.fetchrow(each.sql, *each.arguments(given))
            rows: list[Any] = await connection.fetch(read.sql, *read.arguments(given))
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PoolConnectionProxy]:
        """A transaction, committed when the block ends, rolled back when it raises.

        Raises asyncpg's errors, ``TimeoutError`` or ``OSError``.
        """
        async with self._acquired() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[PoolConnectionProxy]:
        pool = await self._opened()
        async with asyncio.timeout(self._patience):  # the pool's own makes a task of each acquisition
            connection = await pool.acquire()
        try:
            yield connection
        finally:
            await pool.release(connection)

    async def _opened(self) -> asyncpg.Pool:
        if self._pool is None:  # here, since a pool belongs to the loop in which it is made
            self._pool = asyncpg.create_pool(
                self._url, min_size=0, max_size=self._size, reset=_leave, timeout=10, server_settings=self._options
            )
        await self._pool
        return self._pool

    async def close(self) -> None:
        """Give the connections back."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


async def _leave(_: Any) -> None:
    """There is nothing to reset: what a transaction set ended with it."""
