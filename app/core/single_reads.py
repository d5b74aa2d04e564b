"""Reads of one statement on the driver itself, in one round trip where that is wise, and rows as the driver has them.

What the session of a mapper does around a read of one row costs several times as much as the read.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import asyncpg
from sqlalchemy import Label, Select, Text, bindparam, func, literal, select, true

from app.core.compiled import Compiled
from app.core.orm import looked_up


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

        The settings end with the transaction. Where they are made in the statement itself, its rows are looked up for
        each row of theirs, which is one: none can be met before.
        """
        if self._of_many:
            return (Compiled(ACTING), *self.as_service)
        tenant = ACTING.subquery("tenant")
        rows = looked_up(self.statement.where(tenant.c.partner.is_not(None), tenant.c.operator.is_not(None)), "rows")
        return (Compiled(select(*rows.c).select_from(tenant).join(rows, true())),)


def _set(name: str) -> Label[str]:
    return func.set_config(f"register.{name}", bindparam(f"tenant_{name}", type_=Text), literal(True)).label(name)


# What the policies of row-level security go by (migrations/policies.py), until the transaction ends.
ACTING = select(_set("partner"), _set("operator"))


class SingleReads:
    """At most ``size`` connections, made with ``options`` when they are first needed, awaited for ``patience`` seconds.

    They only read.
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
        pool = await self._opened()
        async with (
            pool.acquire(timeout=self._patience) as connection,
            connection.transaction() if before else nullcontext(),
        ):
            for each in before:
                await connection.fetchrow(each.sql, *each.arguments(given))
            rows: list[Any] = await connection.fetch(read.sql, *read.arguments(given))
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
