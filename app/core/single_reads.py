"""Connections of the driver itself: reads of one statement, in one round trip where that is wise, and small writes.

What the session of a mapper does around a read of one row costs several times as much as the read.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import cached_property
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import Select

from app.core.compiled import Compiled
from app.core.tenancy import ACTING


class SingleRead:
    """A statement to be made once; ``bindparam`` stands for what differs from call to call.

    ``of_many`` says that PostgreSQL has to know whose rows it reads when it plans the statement: how many there are
    decides how it goes about it.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *, of_many: bool = False) -> None:
        self.statement = statement
        self._of_many = of_many

    @cached_property
    def as_service(self) -> Sequence[Compiled]:
        """The statement as it is."""
        return (Compiled(self.statement),)

    @cached_property
    def as_tenant(self) -> Sequence[Compiled]:
        """What reads for the tenant of the parameters ``tenant_partner`` and ``tenant_operator``, and for nobody after.

        The settings end with the transaction.
        """
        (statement,) = self.as_service
        return (_ACTING, statement) if self._of_many else (statement.acting,)


_ACTING = Compiled(ACTING)


# What a transaction of few rows begins with. Look-ups by key need no plan that fits their values, and none that reads a
# table whole as long as it is small.
_BEGIN = "BEGIN READ WRITE; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off"


class Connections:
    """At most ``size`` connections, made with ``options`` when they are first needed, awaited for ``patience`` seconds.

    They only read, but in a transaction that is begun as one that writes.
    """

    def __init__(self, url: str, options: dict[str, str], size: int, patience: float) -> None:
        self._url = url
        # what is looked up by a key is in memory, so that PostgreSQL need not gather pages before it reads them
        self._options = {**options, "default_transaction_read_only": "on", "random_page_cost": "1.1"}
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
    async def writing(self) -> AsyncIterator[PoolConnectionProxy]:
        """A transaction that looks few rows up by their keys: committed when the block ends, else rolled back.

        Raises asyncpg's errors, ``TimeoutError`` or ``OSError``.
        """
        async with self._acquired() as connection:
            await connection.execute(_BEGIN)
            try:
                yield connection
            except BaseException:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")

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
