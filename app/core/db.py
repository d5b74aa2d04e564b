"""The engine, and one session a request: reads that cannot write, writes that commit before the answer leaves."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from app.core.keyring import Keyring
from app.core.settings import Settings

# Classes of SQLSTATE that say "not now": connection, resources, shutdown, deadlock, lock and statement time-outs.
BUSY_STATES = ("08", "53", "57", "40001", "40P01", "55P03")


class ReadSession(AsyncSession):
    """A session on a read-only transaction, with the keys that sealed columns and cursors need."""

    def __init__(self, engine: AsyncEngine, keyring: Keyring) -> None:
        super().__init__(engine, expire_on_commit=False, autoflush=False)
        self.keyring = keyring


class WriteSession(ReadSession):
    """A session whose transaction commits when the block that opened it ends well."""


def _connecting(settings: Settings) -> Callable[[], Awaitable[Any]]:
    """How a connection is made: by asyncpg's own reading of the URL, so that ``sslmode`` is understood."""
    limits = {
        "application_name": "ip-registration",
        "timezone": "UTC",
        "statement_timeout": str(settings.statement_timeout_ms),
        "lock_timeout": str(settings.lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(settings.idle_transaction_timeout_ms),
    }

    async def connect() -> Any:
        return await asyncpg.connect(settings.database_url, timeout=10, server_settings=limits)

    return connect


class Database:
    """The pool of connections and the two ways to use it."""

    def __init__(self, settings: Settings, keyring: Keyring) -> None:
        self.keyring = keyring
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=_connecting(settings),
            native_inet_types=False,
            hide_parameters=True,  # they hold personal data, and errors are logged
            pool_size=settings.database_pool,
            max_overflow=0,
            pool_timeout=settings.lock_timeout_ms / 1000,
            pool_pre_ping=True,
        )
        self._reading = self.engine.execution_options(postgresql_readonly=True)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """A session that PostgreSQL holds to reading."""
        async with ReadSession(self._reading, self.keyring) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with WriteSession(self.engine, self.keyring) as session, session.begin():
            yield session

    async def close(self) -> None:
        """Give the connections back."""
        await self.engine.dispose()


def is_outage(error: BaseException) -> bool:
    """Whether the database is down or busy, so that the same request may succeed later."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if state is not None:
            return str(state).startswith(BUSY_STATES)
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return isinstance(error, PoolTimeout | OSError)


def database_of(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


async def _read_session(database: Annotated[Database, Depends(database_of)]) -> AsyncIterator[ReadSession]:
    async with database.read() as session:
        yield session


async def _write_session(database: Annotated[Database, Depends(database_of)]) -> AsyncIterator[WriteSession]:
    async with database.write() as session:
        yield session


# scope="function": the block ends, and with it the transaction, before the response is sent.
Reading = Annotated[ReadSession, Depends(_read_session, scope="function")]
Writing = Annotated[WriteSession, Depends(_write_session, scope="function")]
