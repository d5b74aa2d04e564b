"""The engine of a process, and ``Database.transaction``: the one place where transactions begin and end."""

import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import event
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

from app.core import data_keys
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.settings import Settings
from app.core.tenancy import SERVICE, Role, beginning, role_of
from app.core.transaction import Transaction, wrapped

# Classes of SQLSTATE that say "not now": connection, resources, shutdown, deadlock, lock and statement time-outs.
BUSY_STATES = ("08", "53", "57", "40001", "40P01", "55P03")
# What no connection fails with: this machine's own disk is full or broken.
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

KEYS_READ_AGAIN_SECONDS = 5.0
# Plans for rows found by their keys, which are in memory: made once a connection, and never a scan of a small table.
FEW_ROWS = (
    "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL random_page_cost = 1.1"
)


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


class Database:
    """A process's engine with its pool of connections, and the keys of its sealed columns."""

    def __init__(self, settings: Settings) -> None:
        previous = settings.secret_key_previous
        self.keyring = Keyring(
            settings.secret_key.get_secret_value(), previous.get_secret_value() if previous else None
        )
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=_connecting(settings),
            isolation_level="AUTOCOMMIT",  # ``transaction`` begins and ends what is to be one
            poolclass=_Pool,
            native_inet_types=False,
            hide_parameters=True,  # they hold personal data, and errors are logged
            pool_size=settings.database_pool,
            pool_use_lifo=True,  # a connection just used has its plans and caches at hand
            max_overflow=0,
            pool_timeout=settings.lock_timeout_ms / 1000,
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_what_was_cut)
        self._keys_read = float("-inf")

    @asynccontextmanager
    async def transaction(
        self,
        principal: Principal | None = None,
        *,
        read_only: bool = False,
        role: Role | None = None,
        few_rows: bool = False,
    ) -> AsyncIterator[Transaction]:
        """One transaction: committed when the block ends, rolled back when it raises.

        It acts for the partner of ``principal``, and for the service when that is None or of the regulator. ``role``
        is the partner's role in place of ``TENANT``. ``read_only`` lets PostgreSQL refuse writes. ``few_rows`` is for
        statements that find few rows by their keys: their plans are made once.

        Raises the errors of SQLAlchemy, and ``OSError`` where no connection can be had (``is_outage`` knows both).
        """
        if keyless := await self._keep_keys():
            raise keyless
        acting = role_of(principal, role)
        begin = beginning(principal, acting, read_only=read_only)
        async with self.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            tx = Transaction(connection, driver, self.keyring, acting)
            try:
                await _send(driver, f"{begin}; {FEW_ROWS}" if few_rows else begin)
                yield tx
                if read_only:
                    await _roll_back(connection, driver)  # there is nothing to commit
                else:
                    await tx.finish()
                    await _commit(driver)
            except BaseException:
                await _roll_back(connection, driver)
                raise
            finally:
                await tx.close()

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
        async with self.engine.connect() as connection:
            await data_keys.load(connection, self.keyring)
        self._keys_read = time.monotonic()

    async def close(self) -> None:
        """Close the connections."""
        await self.engine.dispose()


async def _send(driver: Any, statement: str) -> str:
    """Send statements in one round trip; gives the command tag of the last."""
    try:
        tag: str = await driver.execute(statement)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise wrapped(error, statement) from error
    return tag


async def _commit(driver: Any) -> None:
    """Raises ``InternalError`` for a transaction that had failed, at whose ``COMMIT`` PostgreSQL rolls back."""
    if await _send(driver, "COMMIT") != "COMMIT":
        raise InternalError("COMMIT", None, Exception("a statement had failed; the transaction was rolled back"))


async def _roll_back(connection: AsyncConnection, driver: Any) -> None:
    """End a transaction; a connection that cannot do even that is not used again.

    The driver does not know yet of one whose ``BEGIN`` was cancelled on its way.
    """
    try:
        await driver.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await connection.invalidate()
    except BaseException:
        await connection.invalidate()
        raise


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


Db = Annotated[Database, Depends(database_of)]
