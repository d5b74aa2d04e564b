"""Statements asked of the driver itself in a transaction, as a partner, or beyond what one partner may see."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import Text, cast, false, null, select

from app.core.compiled import Compiled
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.tenancy import SERVICE, TENANT, tenant

# A statement and its parameters.
Asking = tuple[Compiled, Mapping[str, Any]]
NOTHING = Compiled(select(cast(null(), Text)).where(false()))


class Asker(ABC):
    """A transaction that acts for ``tenant``, with the keys that sealed columns and cursors need."""

    keyring: Keyring
    _is_beyond_tenancy = False
    _blocks = 0

    @property
    @abstractmethod
    def tenant(self) -> Principal | None:
        """The partner whose rows alone the transaction may see; None: everybody's."""

    @abstractmethod
    async def fetch(self, statement: Compiled, given: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement. Raises SQLAlchemy's or asyncpg's errors (``db.is_outage`` knows both)."""

    @asynccontextmanager
    async def beyond_tenancy(self, entering: Asking | None = None) -> AsyncIterator[list[Any]]:
        """Let the statements of the block meet every partner's rows: what one may register depends on all of them.

        What they find out about others is not to be told. An error in the block must end the transaction. ``entering``
        is asked for the tenant still and leads there, in one round trip; its rows are given.
        """
        if self.tenant is None or self._blocks:
            found = await self.fetch(*entering) if entering else []
        else:
            found = await self._turn(SERVICE, entering)
        self._blocks += 1
        yield found
        self._blocks -= 1
        if self._is_beyond_tenancy and not self._blocks:
            await self._turn(TENANT)

    async def fetch_last(self, statement: Compiled, given: Mapping[str, Any]) -> list[Any]:
        """``fetch`` for the last statement of a block of ``beyond_tenancy``, which leads back in that round trip."""
        if self._is_beyond_tenancy and self._blocks == 1:
            return await self._turn(TENANT, (statement, given))
        return await self.fetch(statement, given)

    async def _turn(self, role: str, asking: Asking | None = None) -> list[Any]:
        """The rows of a statement, after which the transaction goes on in a role."""
        statement, given = asking or (NOTHING, {})
        found = await self.fetch(statement.turning, {**given, "turning_to": role})
        self._is_beyond_tenancy = role == SERVICE
        return found


class Transaction(Asker):
    """A transaction on a connection of the driver's that has the role of ``tenant`` from its beginning."""

    def __init__(self, connection: PoolConnectionProxy, keyring: Keyring, acts_for: Principal | None) -> None:
        self.keyring = keyring
        self._connection = connection
        self._acts_for = acts_for
        self._acts = acts_for is None

    @property
    def tenant(self) -> Principal | None:
        """The partner whose rows alone the transaction may see; None: everybody's."""
        return self._acts_for

    async def fetch(self, statement: Compiled, given: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement, the first of which must be a query: it tells whom the transaction acts for."""
        if self._acts_for is not None and not self._acts:
            statement, given = statement.acting, {**given, **tenant(self._acts_for)}
            self._acts = True
        rows: list[Any] = await self._connection.fetch(statement.sql, *statement.arguments(given))
        return rows
