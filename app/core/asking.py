"""Statements asked of the driver itself, in a transaction that acts for one partner or for the service."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from asyncpg.pool import PoolConnectionProxy

from app.core.compiled import Compiled
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.tenancy import tenant


class Asker(ABC):
    """A transaction, with the keys that sealed columns and cursors need."""

    keyring: Keyring

    @abstractmethod
    async def fetch(self, statement: Compiled, given: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement. Raises SQLAlchemy's or asyncpg's errors (``db.is_outage`` knows both)."""


class Transaction(Asker):
    """A transaction on a connection of the driver's that has its role from the beginning."""

    def __init__(self, connection: PoolConnectionProxy, keyring: Keyring, acts_for: Principal | None) -> None:
        self.keyring = keyring
        self._connection = connection
        self._acts_for = acts_for
        self._acts = acts_for is None

    async def fetch(self, statement: Compiled, given: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement, the first of which must be a query: it tells whom the transaction acts for."""
        if self._acts_for is not None and not self._acts:
            statement, given = statement.acting, {**given, **tenant(self._acts_for)}
            self._acts = True
        rows: list[Any] = await self._connection.fetch(statement.sql, *statement.arguments(given))
        return rows
