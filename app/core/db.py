"""The engine, and one session a request: reads that cannot write, writes that commit before the answer leaves."""

import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import Connection, Text, bindparam, event, func, literal, text
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    InvalidatePoolError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

from app.core import data_keys
from app.core.asking import Asker, Transaction
from app.core.compiled import Compiled
from app.core.connections import READING, WRITING_FEW, Connections
from app.core.keyring import Keyring
from app.core.principal import Principal, caller_of
from app.core.settings import Settings
from app.core.single_reads import SingleRead
from app.core.tenancy import ACTING, INTAKE, SERVICE, TENANT
from app.core.tenancy import tenant as tenant_parameters

# Classes of SQLSTATE that say "not now": connection, resources, shutdown, deadlock, lock and statement time-outs.
BUSY_STATES = ("08", "53", "57", "40001", "40P01", "55P03")
# What no connection fails with: this machine's own disk is full or broken.
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

KEYS_READ_AGAIN_SECONDS = 5.0
ACT_AS_PARTNER = ACTING.add_columns(func.set_config("role", bindparam("role", type_=Text), literal(True)))
BEGIN = text("SELECT 1")
Acting = Callable[[], Principal | None]


class _ActingSession(Session):
    """Begins each transaction as the one it acts for; it asks who that is when the first statement comes.

    Without keys it begins none.
    """

    acting: Acting
    role: str  # of a transaction that acts for a partner
    keyless: Exception | None  # why the database's keys could not be read, when none are at hand
    driver: Any = None  # asyncpg's connection of the transaction

    @property
    def tenant(self) -> Principal | None:
        """The partner whose rows alone the transaction may see; None: everybody's."""
        principal = self.acting()
        return None if principal is None or principal.sees_all else principal


@event.listens_for(_ActingSession, "after_begin")
def _act(session: _ActingSession, transaction: SessionTransaction, connection: Connection) -> None:
    if session.keyless:
        raise session.keyless
    session.driver = connection.connection.driver_connection
    tenant = session.tenant
    if tenant is not None and not transaction.nested:
        connection.execute(ACT_AS_PARTNER, {**tenant_parameters(tenant), "role": session.role})


@event.listens_for(_ActingSession, "after_transaction_end")
def _let_go(session: _ActingSession, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.driver = None


class ReadSession(AsyncSession, Asker):
    """A session on a read-only transaction, with the keys that sealed columns and cursors need."""

    sync_session_class = _ActingSession
    sync_session: _ActingSession

    def __init__(
        self, engine: AsyncEngine, keyring: Keyring, acting: Acting, keyless: Exception | None, role: str = TENANT
    ) -> None:
        super().__init__(engine, expire_on_commit=False, autoflush=False)
        self.keyring = keyring
        self.sync_session.acting = acting
        self.sync_session.role = role
        self.sync_session.keyless = keyless

    async def fetch(self, statement: Compiled, given: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement in the session's transaction, by the driver itself. Raises ``DBAPIError``."""
        if self.sync_session.driver is None:
            await self.connection()
        driver = self.sync_session.driver
        if not driver.is_in_transaction():
            await self.execute(BEGIN)  # SQLAlchemy begins with the first statement of its own
        try:
            rows: list[Any] = await driver.fetch(statement.sql, *statement.arguments(given))
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise OperationalError(statement.sql, None, error, hide_parameters=True) from error
        return rows


class WriteSession(ReadSession):
    """A session whose transaction commits when the block that opened it ends well."""


class _Pool(AsyncAdaptedQueuePool):
    """Tells of a connection that is lost while it is made ready, as of one that cannot be had; SQLAlchemy does not."""

    def connect(self) -> PoolProxiedConnection:
        """A connection. Raises ``ConnectionError`` for one that was lost."""
        try:
            return super().connect()
        except (asyncpg.InterfaceError, asyncpg.PostgresError) as lost:
            raise ConnectionError(f"the connection was lost: {lost!r}") from lost


def _refuse_what_was_cut(connection: Any, *_: object) -> None:
    """Let the pool replace connections that the other end has closed; to ask that end each time takes a round trip."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _options(settings: Settings) -> dict[str, str]:
    """What a connection begins with."""
    return {
        "application_name": "ip-registration",
        "role": SERVICE,
        "timezone": "UTC",
        "jit": "off",  # a batch's look-ups seem costly to the planner, and compiling them takes longer than they do
        "statement_timeout": str(settings.statement_timeout_ms),
        "lock_timeout": str(settings.lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(settings.idle_transaction_timeout_ms),
    }


def _connecting(settings: Settings) -> Callable[[], Awaitable[Any]]:
    """How a connection is made: by asyncpg's own reading of the URL, so that ``sslmode`` is understood."""

    async def connect() -> Any:
        return await asyncpg.connect(settings.database_url, timeout=10, server_settings=_options(settings))

    return connect


def _connections(settings: Settings, role: str, options: dict[str, str]) -> Connections:
    """Connections of the driver itself that have a role from their beginning."""
    patience = settings.lock_timeout_ms / 1000
    return Connections(
        settings.database_url, {**_options(settings), "role": role, **options}, settings.database_pool, patience
    )


class Database:
    """The pool of connections and the two ways to use it; a session acts for ``principal``, or for the service."""

    def __init__(self, settings: Settings) -> None:
        previous = settings.secret_key_previous
        self.keyring = Keyring(
            settings.secret_key.get_secret_value(), previous.get_secret_value() if previous else None
        )
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=_connecting(settings),
            poolclass=_Pool,
            native_inet_types=False,
            hide_parameters=True,  # they hold personal data, and errors are logged
            pool_size=settings.database_pool,
            pool_use_lifo=True,  # a connection just used has its plans and caches at hand
            max_overflow=0,
            pool_timeout=settings.lock_timeout_ms / 1000,
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_what_was_cut)
        self._single_reads, self._small_writes = (
            {role: _connections(settings, role, options) for role in (SERVICE, partners)}
            for partners, options in ((TENANT, READING), (INTAKE, WRITING_FEW))
        )
        self._reading = self.engine.execution_options(postgresql_readonly=True)
        self._keys_read = float("-inf")

    async def fetch(self, principal: Principal, read: SingleRead, **given: Any) -> list[Any]:
        """The rows of one statement that reads, acting for ``principal``."""
        if keyless := await self._keep_keys():
            raise keyless
        if principal.sees_all:
            return await self._single_reads[SERVICE].fetch(read.as_service, given)
        return await self._single_reads[TENANT].fetch(read.as_tenant, given | tenant_parameters(principal))

    def read(self, principal: Principal | None = None) -> AbstractAsyncContextManager[ReadSession]:
        """A session that PostgreSQL holds to reading."""
        return self.reading(lambda: principal)

    def write(
        self, principal: Principal | None = None, role: str = TENANT
    ) -> AbstractAsyncContextManager[WriteSession]:
        """One transaction, of ``role`` for a partner: committed when the block ends, rolled back when it raises."""
        return self.writing(lambda: principal, role)

    @asynccontextmanager
    async def write_few(self, principal: Principal) -> AsyncIterator[Transaction]:
        """``write`` as ``INTAKE`` without a session, for statements planned once. The first must be a query."""
        if keyless := await self._keep_keys():
            raise keyless
        tenant = None if principal.sees_all else principal
        async with self._small_writes[INTAKE if tenant else SERVICE].transaction() as connection:
            yield Transaction(connection, self.keyring, tenant)

    @asynccontextmanager
    async def reading(self, acting: Acting) -> AsyncIterator[ReadSession]:
        """``read`` for whom ``acting`` gives when the first statement comes."""
        keyless = await self._keep_keys()
        async with ReadSession(self._reading, self.keyring, acting, keyless) as session:
            yield session

    @asynccontextmanager
    async def writing(self, acting: Acting, role: str = TENANT) -> AsyncIterator[WriteSession]:
        """``write`` for whom ``acting`` gives when the first statement comes."""
        keyless = await self._keep_keys()
        async with WriteSession(self.engine, self.keyring, acting, keyless, role) as session, session.begin():
            yield session

    async def _keep_keys(self) -> Exception | None:
        """Read the database's keys now and then; while it does not answer, go on with those at hand.

        Gives the outage when there are none yet.
        """
        if time.monotonic() - self._keys_read >= KEYS_READ_AGAIN_SECONDS:
            try:
                await self.read_keys()
            except (SQLAlchemyError, OSError) as error:
                if self._keys_read == float("-inf") and is_outage(error):
                    return error
        return None

    async def read_keys(self) -> None:
        """Read the database's keys."""
        async with self._reading.connect() as connection:
            await data_keys.load(connection, self.keyring)
        self._keys_read = time.monotonic()

    async def close(self) -> None:
        """Give the connections back."""
        for each in (*self._single_reads.values(), *self._small_writes.values()):
            await each.close()
        await self.engine.dispose()


def is_outage(error: BaseException) -> bool:
    """Whether the database is down or busy, so that the same request may succeed later."""
    state = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(BUSY_STATES)
    if isinstance(error, DBAPIError):
        # InternalError without a state: the driver was interrupted by the loss of its connection
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError | InternalError)
    if isinstance(error, OSError) and error.errno in DISK_FAULTS:
        return False
    return isinstance(error, PoolTimeout | OSError | asyncpg.InterfaceError)


def database_of(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


async def _read_session(request: Request) -> AsyncIterator[ReadSession]:
    async with database_of(request).reading(lambda: caller_of(request)) as session:
        yield session


def _write_session(role: str) -> Callable[[Request], AsyncIterator[WriteSession]]:
    async def session_of(request: Request) -> AsyncIterator[WriteSession]:
        async with database_of(request).writing(lambda: caller_of(request), role) as session:
            yield session

    return session_of


# scope="function": the block ends, and with it the transaction, before the response is sent.
Reading = Annotated[ReadSession, Depends(_read_session, scope="function")]
Writing = Annotated[WriteSession, Depends(_write_session(TENANT), scope="function")]
# for what is compared with networks and grants of others before it is written
IntakeWriting = Annotated[WriteSession, Depends(_write_session(INTAKE), scope="function")]
