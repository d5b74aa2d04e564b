"""The database engine of a process, and ``Database.transaction``, where transactions begin and end."""

import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import event, func, select
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    InvalidatePoolError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

from app.core.database import data_keys
from app.core.database.roles import SERVICE, Role
from app.core.database.tenancy import begin_sql, role_of
from app.core.database.transaction import DRIVER_ERRORS, Transaction, to_dbapi_error
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.settings import Settings

# SQLSTATEs of transient errors: connection, resources, shutdown, serialization, deadlock, lock timeout.
TRANSIENT_STATES = ("08", "53", "57", "40001", "40P01", "55P03")
# An ``OSError`` of these is about a local disk, not about a connection.
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

KEYS_REFRESH_SECONDS = 5.0
# Planner settings for look-ups by key: generic plans, made once a connection, that use indexes on small tables too.
INDEX_PLANS = (
    "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL random_page_cost = 1.1"
)


class _Pool(AsyncAdaptedQueuePool):
    """A pool that reports a connection lost during its setup as one that could not be made; SQLAlchemy does not."""

    def connect(self) -> PoolProxiedConnection:
        """Check out a connection. Raises ``ConnectionError`` for one that was lost."""
        try:
            return super().connect()
        except DRIVER_ERRORS as lost:
            raise ConnectionError(f"the connection was lost: {lost!r}") from lost


def _discard_if_closed(connection: Any, *_: object) -> None:
    """Let the pool replace a connection that the server closed; ``pool_pre_ping`` would cost a round trip each time."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _server_settings(settings: Settings) -> dict[str, str]:
    """The session parameters of every connection."""
    return {
        "application_name": "ip-registration",
        "role": SERVICE,
        "timezone": "UTC",
        "jit": "off",  # the planner overestimates batches of look-ups; compiling takes longer than running them
        "statement_timeout": str(settings.statement_timeout_ms),
        "lock_timeout": str(settings.lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(settings.idle_transaction_timeout_ms),
    }


def _connector(settings: Settings) -> Callable[[], Awaitable[Any]]:
    """A function that connects; asyncpg parses the URL, so that ``sslmode`` is understood."""

    async def connect() -> Any:
        return await asyncpg.connect(settings.database_url, timeout=10, server_settings=_server_settings(settings))

    return connect


class Database:
    """The engine and connection pool of a process, and the keys of sealed columns."""

    def __init__(self, settings: Settings) -> None:
        previous = settings.secret_key_previous
        self.keyring = Keyring(
            settings.secret_key.get_secret_value(), previous.get_secret_value() if previous else None
        )
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=_connector(settings),
            isolation_level="AUTOCOMMIT",  # ``transaction`` sends BEGIN and COMMIT itself
            poolclass=_Pool,
            native_inet_types=False,
            hide_parameters=True,  # errors are logged, and parameters may be personal data
            pool_size=settings.database_pool,
            pool_reset_on_return=None,  # a connection comes back without a transaction, or is discarded
            pool_use_lifo=True,  # a connection just used has warm plans and caches
            max_overflow=0,
            pool_timeout=settings.lock_timeout_ms / 1000,
        )
        event.listen(self.engine.sync_engine, "checkout", _discard_if_closed)
        self._keys_read_at = float("-inf")

    @asynccontextmanager
    async def transaction(
        self,
        principal: Principal | None = None,
        *,
        read_only: bool = False,
        role: Role | None = None,
        index_plans: bool = False,
    ) -> AsyncIterator[Transaction]:
        """Open a transaction: commit it when the block ends, roll it back when the block raises.

        It acts for the partner of ``principal``; for the service when that is None or of the regulator. ``role`` is the
        partner's role in place of ``TENANT``. ``read_only`` lets PostgreSQL refuse writes. ``index_plans`` is for
        statements that find few rows by their keys: they are planned once a connection, with indexes.

        Raises SQLAlchemy's errors, and ``OSError`` when no connection can be made (see ``is_outage``).
        """
        await self._refresh_keys()
        own_role = role_of(principal, role)
        begin = begin_sql(principal, own_role, read_only=read_only)
        async with self.engine.connect() as connection:
            driver = _driver_of(connection)
            tx = Transaction(connection, driver, self.keyring, own_role)
            try:
                await _execute(driver, f"{begin}; {INDEX_PLANS}" if index_plans else begin)
                yield tx
                if read_only:
                    await _roll_back(connection, driver)  # there is nothing to commit
                else:
                    await tx.flush_pending()
                    await _commit(driver)
            except BaseException:
                await _roll_back(connection, driver)
                raise
            finally:
                if tx.in_transaction():  # its SQLAlchemy side was used
                    await tx.close()

    @asynccontextmanager
    async def advisory_lock(self, name: str) -> AsyncIterator[bool]:
        """Try to take a session-level advisory lock for the block; yield True when it was taken.

        The lock ends with its connection, so a killed process holds none. It is held outside a transaction: for an
        hour, too, it keeps no snapshot and no transaction id.
        """
        key = func.hashtextextended(name, 0)
        async with self.engine.connect() as connection:
            is_held = bool(await connection.scalar(select(func.pg_try_advisory_lock(key))))
            try:
                yield is_held
            finally:
                if is_held:
                    await connection.execute(select(func.pg_advisory_unlock(key)))

    async def _refresh_keys(self) -> None:
        """Read the data keys every few seconds; during an outage, go on with those last read.

        Raises the outage when none were read yet.
        """
        if time.monotonic() - self._keys_read_at >= KEYS_REFRESH_SECONDS:
            try:
                await self.read_keys()
            except (SQLAlchemyError, OSError) as error:
                if self._keys_read_at == float("-inf") and is_outage(error):
                    raise

    async def read_keys(self) -> None:
        """Read the data keys into the keyring."""
        async with self.engine.connect() as connection:
            await data_keys.load(connection, self.keyring)
        self._keys_read_at = time.monotonic()

    async def close(self) -> None:
        """Close the connections."""
        await self.engine.dispose()


def _driver_of(connection: AsyncConnection) -> Any:
    """Return asyncpg's connection; ``get_raw_connection`` would switch greenlets for it."""
    assert connection.sync_connection is not None
    return connection.sync_connection.connection.driver_connection


async def _execute(driver: Any, statement: str) -> str:
    """Execute statements in one round trip; return the command tag of the last."""
    try:
        tag: str = await driver.execute(statement)
    except DRIVER_ERRORS as error:
        raise to_dbapi_error(error, statement) from error
    return tag


async def _commit(driver: Any) -> None:
    """Commit. Raises ``InternalError`` after a failed statement, when PostgreSQL rolls back instead."""
    if await _execute(driver, "COMMIT") != "COMMIT":
        raise InternalError("COMMIT", None, Exception("a statement had failed; the transaction was rolled back"))


async def _roll_back(connection: AsyncConnection, driver: Any) -> None:
    """Send ROLLBACK; discard a connection on which it fails or is interrupted, since its transaction may go on."""
    try:
        await driver.execute("ROLLBACK")
    except (*DRIVER_ERRORS, OSError):
        await connection.invalidate()
    except BaseException:
        await connection.invalidate()
        raise


def is_outage(error: BaseException) -> bool:
    """True for an error of a database that is down or busy: the same request may succeed later."""
    state = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(TRANSIENT_STATES)
    if isinstance(error, DBAPIError):
        # InternalError without a SQLSTATE: the driver lost its connection in the middle of a call
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError | InternalError)
    if isinstance(error, OSError) and error.errno in DISK_FAULTS:
        return False
    return isinstance(error, PoolTimeout | OSError | asyncpg.InterfaceError)
