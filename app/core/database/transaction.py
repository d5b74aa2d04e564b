"""The one handle on the database: a transaction whose role and tenant are those of its beginning."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.core.database.statement import Statement
from app.core.database.tenancy import Role
from app.core.keyring import Keyring


class Transaction(AsyncSession):
    """A transaction of ``Database.transaction``; it commits when the block that opened it ends.

    It takes statements and entities as SQLAlchemy's ``AsyncSession`` does, and by ``fetch`` statements that were
    compiled once. Row-level security shows it the rows of its ``role`` and tenant. ``keyring`` has the keys of sealed
    columns and of cursors.
    """

    def __init__(self, connection: AsyncConnection, driver: Any, keyring: Keyring, role: Role) -> None:
        super().__init__(connection, expire_on_commit=False, autoflush=False)
        self.keyring = keyring
        self.role = role
        self._driver = driver

    async def fetch(self, statement: Statement, /, **values: Any) -> list[Any]:
        """The rows of a statement, by the driver itself. Raises ``DBAPIError``, as every other way of asking does."""
        try:
            rows: list[Any] = await self._driver.fetch(statement.sql, *statement.arguments(values))
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise wrapped(error, statement.sql) from error
        return rows

    @asynccontextmanager
    async def rolled_back(self) -> AsyncIterator[None]:
        """Roll back what the block does, and go on with the transaction."""
        nested = await self.begin_nested()
        await self.connection()  # with which SQLAlchemy sends the SAVEPOINT
        try:
            yield
        finally:
            await nested.rollback()

    async def finish(self) -> None:
        """Write what is pending of the entities."""
        if self.new or self.dirty or self.deleted:
            await self.flush()


def wrapped(error: Exception, statement: str) -> DBAPIError:
    """An error of the driver as SQLAlchemy raises it, without the statement's values, which may be personal data."""
    kind: type[DBAPIError] = OperationalError
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        kind = IntegrityError
    elif isinstance(error, asyncpg.InterfaceError):
        kind = InterfaceError
    return kind(statement, None, error, hide_parameters=True)
