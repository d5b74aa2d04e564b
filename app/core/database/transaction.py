"""A transaction, the one handle on the database; its role and tenant are set when it begins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, AsyncSessionTransaction

from app.core.database.base import NOW
from app.core.database.roles import Role
from app.core.database.statement import Statement
from app.core.keyring import Keyring

# ``InternalClientError``: the connection was lost at a moment that asyncpg does not expect.
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
SERVER_FIRST_SECONDS = 5.0  # in which the server ends a statement that takes too long, before this side does
_READ_CLOCK = Statement(select(NOW))


class Transaction(AsyncSession):
    """A transaction opened by ``Database.transaction``, which commits it at the end of the block.

    It is an ``AsyncSession``; ``fetch`` also runs statements that were compiled once. Row-level security shows it the
    rows of its ``role`` and tenant. ``keyring`` has the keys of sealed columns and of cursors.
    """

    def __init__(self, connection: AsyncConnection, driver: Any, keyring: Keyring, role: Role) -> None:
        super().__init__(connection, expire_on_commit=False, autoflush=False)
        self.keyring = keyring
        self.role = role
        self.has_own_deadline = False
        self._driver = driver
        self._now: datetime | None = None

    async def now(self) -> datetime:
        """Return the time of the transaction by the register's clock, ``register_now()``, which is the database's."""
        if self._now is None:
            ((self._now,),) = await self.fetch(_READ_CLOCK)
        return self._now

    async def fetch(self, statement: Statement, /, **values: Any) -> list[Any]:
        """Return the rows of a compiled statement, run by the driver. Raises ``DBAPIError``, as ``execute`` does."""
        try:
            rows: list[Any] = await self._driver.fetch(statement.sql, *statement.arguments(values))
        except DRIVER_ERRORS as error:
            raise to_dbapi_error(error, statement.sql) from error
        return rows

    async def allow_seconds(self, seconds: int) -> None:
        """Let each following statement take ``seconds``, in place of ``STATEMENT_TIMEOUT_MS``."""
        self.has_own_deadline = True
        self._driver.set_deadline(seconds + SERVER_FIRST_SECONDS)
        await self.execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))

    @asynccontextmanager
    async def dry_run(self) -> AsyncIterator[None]:
        """Roll the block back to a savepoint when it ends, and go on with the transaction."""
        async with self.savepoint() as nested:
            yield
            await nested.rollback()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[AsyncSessionTransaction]:
        """Set a savepoint; the block may roll back to it, and is rolled back to it when it raises."""
        nested = await self.begin_nested()
        await self.connection()  # SQLAlchemy sends SAVEPOINT with it
        try:
            yield nested
            if nested.is_active:
                await nested.commit()
        except BaseException:
            await nested.rollback()
            raise

    async def flush_pending(self) -> None:
        """Flush entities that were added, changed or deleted."""
        if self.new or self.dirty or self.deleted:
            await self.flush()


def to_dbapi_error(error: Exception, statement: str) -> DBAPIError:
    """Convert an error of the driver to SQLAlchemy's, without the parameters, which may be personal data."""
    kind: type[DBAPIError] = OperationalError
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        kind = IntegrityError
    elif isinstance(error, asyncpg.InterfaceError):
        kind = InterfaceError
    elif isinstance(error, asyncpg.InternalClientError):
        kind = InternalError
    return kind(statement, None, error, hide_parameters=True)
