"""Reads of one statement on the driver itself: a transaction that acts for its caller, and rows as the driver has them.

What the session of a mapper does around a read of one row costs several times as much as the read.
"""

from typing import Any

import asyncpg
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect

DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own lacks it


class SingleRead:
    """A statement that was compiled once; ``bindparam`` stands for what differs from call to call."""

    def __init__(self, statement: Executable) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]  # every one has it
        self.sql = str(compiled)
        self._names: list[str] = list(compiled.positiontup or ())
        self._values = dict(compiled.params)

    def arguments(self, given: dict[str, Any]) -> list[Any]:
        """The values of its parameters, in order."""
        values = {**self._values, **given}
        return [values[name] for name in self._names]


class SingleReads:
    """At most ``size`` connections, made with ``options`` when they are first needed, awaited for ``patience`` seconds.

    A transaction that acts for a tenant begins with ``act``, a statement with the parameters ``partner``, ``operator``.
    """

    def __init__(self, url: str, options: dict[str, str], act: SingleRead, size: int, patience: float) -> None:
        self._url = url
        self._options = {**options, "default_transaction_read_only": "on"}
        self._act = act
        self._size = size
        self._patience = patience
        self._pool: asyncpg.Pool | None = None

    async def fetch(self, tenant: dict[str, str] | None, read: SingleRead, given: dict[str, Any]) -> list[Any]:
        """The rows of ``read`` that the tenant may see; all of them when there is none.

        Raises asyncpg's errors, ``TimeoutError`` or ``OSError``.
        """
        rows: list[Any]
        async with (await self._opened()).acquire(timeout=self._patience) as connection:
            if tenant is None:
                return await connection.fetch(read.sql, *read.arguments(given))
            async with connection.transaction():
                await connection.fetchrow(self._act.sql, *self._act.arguments(tenant))
                rows = await connection.fetch(read.sql, *read.arguments(given))
        return rows

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
