"""The database engine of a process, and ``Database.transaction``, where transactions begin and end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from asyncpg import InterfaceError
from sqlalchemy import event, func, select
from sqlalchemy.exc import DisconnectionError, InternalError, InvalidatePoolError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.core.database import data_keys
from app.core.database.connecting import Connection, Connector
from app.core.database.outages import READ_ONLY_STATE, CommitUnconfirmed, ReadOnlyServer, is_outage, state_of
from app.core.database.pool import Pool
from app.core.database.roles import SERVICE, Role
from app.core.database.tenancy import begin_sql, role_of
from app.core.database.transaction import DRIVER_ERRORS, SERVER_FIRST_SECONDS, Transaction, to_dbapi_error
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.settings import Settings

# Deadlines on this side, in seconds. That of a statement is the server's and ``SERVER_FIRST_SECONDS``.
BEGIN_SECONDS = 5.0  # the server has nothing to do for it, so one that takes longer is gone
COMMIT_SECONDS = 15.0
ROLLBACK_SECONDS = 1.0
KEYS_SECONDS = 3.0
KEYS_REFRESH_SECONDS = 5.0
# Planner settings for look-ups by key: generic plans, made once a connection, that use indexes on small tables too.
INDEX_PLANS = (
    "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL random_page_cost = 1.1"
)


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


class Database:
    """The engine and connection pool of a process, and the keys of sealed columns."""

    def __init__(self, settings: Settings) -> None:
        previous = settings.secret_key_previous
        self.keyring = Keyring(
            settings.secret_key.get_secret_value(), previous.get_secret_value() if previous else None
        )
        self._statement_seconds = settings.statement_timeout_ms / 1000 + SERVER_FIRST_SECONDS
        self._connector = Connector(
            settings.database_url, seconds=self._statement_seconds, server_settings=_server_settings(settings)
        )
        self._asking = asyncio.Lock()
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connector.connect,
            isolation_level="AUTOCOMMIT",  # ``transaction`` sends BEGIN and COMMIT itself
            poolclass=Pool,
            native_inet_types=False,
            hide_parameters=True,  # errors are logged, and parameters may be personal data
            pool_size=settings.database_pool,
            pool_reset_on_return=None,  # a connection comes back without a transaction, or is discarded
            pool_use_lifo=True,  # a connection just used has warm plans and caches
            max_overflow=0,
            pool_timeout=settings.lock_timeout_ms / 1000,
        )
        event.listen(self.engine.sync_engine, "checkout", self._discard_if_gone)
        self._suspect_before = self._keys_read_at = self._keys_tried_at = float("-inf")

    def _discard_if_gone(self, connection: Any, *_: object) -> None:
        """Let the pool replace a connection that is closed, or from before another was found to be gone.

        ``pool_pre_ping`` would cost a round trip each time.
        """
        driver: Connection = connection.driver_connection
        if driver.is_closed():
            raise InvalidatePoolError
        if driver.connected_at < self._suspect_before:
            driver.terminate()
            raise DisconnectionError

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
                await self._begin(driver, f"{begin}; {INDEX_PLANS}" if index_plans else begin)
                yield tx
                if read_only:
                    await _end_reading(connection, driver)
                else:
                    await tx.flush_pending()
                    await self._commit(driver)
            except BaseException as error:
                await _roll_back(connection, driver)
                if not read_only and state_of(error) == READ_ONLY_STATE:
                    self._suspect_before = time.monotonic()
                    raise ReadOnlyServer("the server takes no writes") from error
                raise
            finally:
                if tx.has_own_deadline:
                    driver.set_deadline(self._statement_seconds)
                if tx.in_transaction():  # its SQLAlchemy side was used
                    await tx.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """Check out a connection; discard it when a call on it was interrupted, since its answer may still come."""
        async with self.engine.connect() as connection:
            try:
                yield connection
            except TimeoutError:
                self._suspect_before = time.monotonic()
                await _discard(connection)
                raise
            except asyncio.CancelledError:
                await _discard(connection)
                raise

    async def _begin(self, driver: Connection, statement: str) -> None:
        """Begin. A server that is silent makes every connection from before suspect, as they lead to it."""
        try:
            await _execute(driver, statement, BEGIN_SECONDS)
        except TimeoutError:
            self._suspect_before = time.monotonic()
            driver.terminate()
            raise

    async def _commit(self, driver: Connection) -> None:
        """Commit. Raises ``InternalError`` after a failed statement, when PostgreSQL rolls back instead.

        Raises ``CommitUnconfirmed`` when no answer comes. The connection is then dropped without a request to cancel,
        which would make PostgreSQL show a commit that its synchronous standby does not have.
        """
        if driver.is_closed():  # before COMMIT was sent, so that nothing was made
            raise to_dbapi_error(InterfaceError("the connection was lost"), "COMMIT")
        pid = driver.get_server_pid()
        deadline = asyncio.get_running_loop().call_later(COMMIT_SECONDS, driver.terminate)
        try:
            tag = await _execute(driver, "COMMIT", 2 * COMMIT_SECONDS)
        except (SQLAlchemyError, OSError) as error:
            if driver.is_closed():
                raise CommitUnconfirmed(await self._commit_problem(pid)) from error
            raise
        finally:
            deadline.cancel()
        if tag != "COMMIT":
            raise InternalError("COMMIT", None, Exception("a statement had failed; the transaction was rolled back"))

    async def _commit_problem(self, pid: int) -> str:
        """Describe what a commit of the server process ``pid`` waits for, as far as a new connection can tell.

        The pool may have none left, since other commits wait too.
        """
        with suppress(OSError, *DRIVER_ERRORS):
            async with asyncio.timeout(BEGIN_SECONDS), self._asking:
                other = await self._connector.connect()
                try:
                    await other.execute("SET ROLE NONE")  # the login sees its own processes
                    waits_for = await other.fetchval("SELECT wait_event FROM pg_stat_activity WHERE pid = $1", pid)
                finally:
                    other.terminate()
            if waits_for == "SyncRep":
                return "The change waits for a synchronous standby of the database, which does not confirm it."
        return "The connection to the database was lost or silent while the change was committed."

    @asynccontextmanager
    async def advisory_lock(self, name: str) -> AsyncIterator[bool]:
        """Try to take a session-level advisory lock for the block; yield True when it was taken.

        The lock ends with its connection, so a killed process holds none. It is held outside a transaction: for an
        hour, too, it keeps no snapshot and no transaction id.
        """
        key = func.hashtextextended(name, 0)
        async with self._connection() as connection:
            is_held = bool(await connection.scalar(select(func.pg_try_advisory_lock(key))))
            try:
                yield is_held
            finally:
                if is_held:
                    await _unlock(connection, key)

    async def _refresh_keys(self) -> None:
        """Read the data keys every few seconds; during an outage, go on with those last read.

        Raises the outage when none were read yet.
        """
        now, never = time.monotonic(), float("-inf")
        if now - self._keys_read_at < KEYS_REFRESH_SECONDS:
            return
        if self._keys_read_at != never and now - self._keys_tried_at < KEYS_REFRESH_SECONDS:
            return  # another transaction reads them, or could not
        self._keys_tried_at = now
        try:
            async with asyncio.timeout(None if self._keys_read_at == never else KEYS_SECONDS):
                await self.read_keys()
        except (SQLAlchemyError, OSError) as error:
            if self._keys_read_at == never and is_outage(error):
                raise

    async def read_keys(self) -> None:
        """Read the data keys into the keyring."""
        async with self._connection() as connection:
            await data_keys.load(connection, self.keyring)
        self._keys_read_at = time.monotonic()

    async def close(self) -> None:
        """Close the connections."""
        await self.engine.dispose()


def _driver_of(connection: AsyncConnection) -> Connection:
    """Return asyncpg's connection; ``get_raw_connection`` would switch greenlets for it."""
    assert connection.sync_connection is not None
    driver: Connection = connection.sync_connection.connection.driver_connection  # type: ignore[assignment]  # ours
    return driver


async def _execute(driver: Connection, statement: str, seconds: float) -> str:
    """Execute statements in one round trip within ``seconds``; return the command tag of the last."""
    try:
        tag: str = await driver.execute(statement, timeout=seconds)
    except DRIVER_ERRORS as error:
        raise to_dbapi_error(error, statement) from error
    return tag


async def _end_reading(connection: AsyncConnection, driver: Connection) -> None:
    """End a transaction that has nothing to commit; what it read stays valid when that fails."""
    try:
        await driver.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
    except (*DRIVER_ERRORS, OSError):
        await _discard(connection)


async def _roll_back(connection: AsyncConnection, driver: Connection) -> None:
    """Send ROLLBACK; discard a connection on which it fails or is interrupted, since its transaction may go on."""
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):  # the driver's own deadline begins after a request to cancel
            await driver.execute("ROLLBACK")
    except (*DRIVER_ERRORS, OSError):
        await _discard(connection)
    except BaseException:
        await _discard(connection)
        raise


async def _unlock(connection: AsyncConnection, key: Any) -> None:
    """Release an advisory lock; discard a connection that does not answer, whose lock the server then releases."""
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await connection.execute(select(func.pg_advisory_unlock(key)))
    except BaseException:
        await _discard(connection)
        raise


async def _discard(connection: AsyncConnection) -> None:
    """Drop a connection without waiting for its server."""
    if not connection.invalidated:
        _driver_of(connection).terminate()
        await connection.invalidate()
