"""Reads cannot write, a failed commit is an error, and an outage differs from a bug."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InternalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.database.engine import Database
from app.core.database.outages import is_outage
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.http.dependencies import Db
from app.core.settings import Settings
from app.partners import store as partners
from tests.support import cases, postgres
from tests.support.service import Caller, Service

WRITE = "INSERT INTO workers (id) VALUES (gen_random_uuid())"
END_OWN_CONNECTION = "SELECT pg_terminate_backend(pg_backend_pid())"
COUNT = "SELECT count(*) FROM workers"
# A constraint that is judged when the transaction commits, and never holds.
DEFERRED = """
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE check_violation; END $$;
CREATE CONSTRAINT TRIGGER never AFTER INSERT ON applicants DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION never();
"""


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _server_refusing_with(sqlstate: str) -> AsyncIterator[str]:
    """Yield the URL of a server that refuses every connection with ``sqlstate``, as PostgreSQL does while it starts."""
    fields = b"".join(
        code + value.encode() + b"\0" for code, value in ((b"S", "FATAL"), (b"C", sqlstate), (b"M", "no"))
    )

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"E" + (len(fields) + 5).to_bytes(4) + fields + b"\0")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield f"postgresql://u@127.0.0.1:{server.sockets[0].getsockname()[1]}/d?sslmode=disable"


async def by_engine(tx: Transaction, statement: str, **given: Any) -> None:
    await tx.execute(text(statement), given)


async def by_driver(tx: Transaction, statement: str, **given: Any) -> None:
    await tx.fetch(Statement(text(statement)), **given)


Ask = Callable[..., Awaitable[None]]
EITHER_WAY = pytest.mark.parametrize("ask", [by_engine, by_driver])


async def _run(
    database: Database, *statements: str, ask: Ask = by_engine, fault: type[Exception] | None = None
) -> None:
    async with database.transaction() as tx:
        for statement in statements:
            await ask(tx, statement)
        if fault:
            raise fault


async def _error_of(database: Database, *statements: str, ask: Ask = by_engine) -> BaseException:
    with pytest.raises((SQLAlchemyError, OSError)) as raised:
        await _run(database, *statements, ask=ask)
    return raised.value


async def test_a_commit_that_fails_is_a_problem_and_never_a_201(service: Service, pseb: Caller) -> None:
    await postgres.execute(service.settings.database_url, DEFERRED)
    answer = await pseb.post("/v1/applicants", json=cases.company(), headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "Location" not in answer.headers
    assert (await pseb.get("/v1/applicants")).json()["items"] == []
    await postgres.execute(service.settings.database_url, "DROP TRIGGER never ON applicants")
    answer = await pseb.post("/v1/applicants", json=cases.company(), headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201


async def test_the_transaction_is_committed_before_the_answer_leaves(service: Service) -> None:
    @service.app.post("/write")
    async def write(database: Db) -> str:
        async with database.transaction() as tx:
            await tx.execute(text(WRITE))
            return "done"

    committed_by_then: list[object] = []

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            async with service.database.transaction(read_only=True) as tx:
                committed_by_then.append(await tx.scalar(text(COUNT)))

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/write", "headers": [], "query_string": b""}
    await service.app(scope, receive, send)  # type: ignore[arg-type]  # ASGI by hand
    assert committed_by_then == [1]


@EITHER_WAY
async def test_a_session_that_reads_cannot_write(service: Service, ask: Ask) -> None:
    async with service.database.transaction(read_only=True) as tx:
        with pytest.raises(DBAPIError) as refused:
            await ask(tx, WRITE)
    assert not is_outage(refused.value)
    async with service.database.transaction() as tx:  # on the same pool of connections
        await tx.execute(text(WRITE))


@EITHER_WAY
async def test_what_raises_leaves_nothing_behind(service: Service, ask: Ask) -> None:
    with pytest.raises(LookupError):
        await _run(service.database, WRITE, ask=ask, fault=LookupError)
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text(COUNT)) == 0


async def test_a_database_that_cannot_be_reached_is_an_outage() -> None:
    for url in ("postgresql://u@127.0.0.1:1/d", "postgresql:///d?host=/nowhere"):
        async with _database(postgres.settings_for(url)) as database:
            assert is_outage(await _error_of(database, "SELECT 1")), url


@pytest.mark.parametrize("sqlstate", ["57P03", "53300", "57P01", "28P01", "3D000"])
async def test_a_refused_connection_is_an_outage_told_in_a_line(sqlstate: str) -> None:
    async with _server_refusing_with(sqlstate) as url, _database(postgres.settings_for(url)) as database:
        error = await _error_of(database, "SELECT 1")
    assert is_outage(error)
    assert str(error).startswith("no server of the database can be used: 127.0.0.1:")
    assert "\n" not in str(error)


async def test_a_connection_that_is_lost_while_it_is_made_ready_is_an_outage(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = asyncpg.connect

    async def lost_at_once(*args: Any, **kwargs: Any) -> Any:
        connection = await connect(*args, **kwargs)
        await connection.close()
        return connection

    async with _database(postgres.settings_for(database_url)) as database:
        monkeypatch.setattr(asyncpg, "connect", lost_at_once)
        assert is_outage(await _error_of(database, "SELECT 1"))
        monkeypatch.undo()
        await _run(database, "SELECT 1")


async def test_an_internal_error_of_the_driver_after_a_lost_connection_is_an_outage() -> None:
    interrupted = asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    assert is_outage(InternalError("SELECT 1", {}, interrupted))


async def test_nothing_is_done_without_keys_when_they_could_not_be_read(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = asyncpg.connect

    async def away_once(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(asyncpg, "connect", connect)
        raise ConnectionRefusedError

    async with _database(service.settings) as database:
        monkeypatch.setattr(asyncpg, "connect", away_once)
        assert is_outage(await _error_of(database, "SELECT 1"))
        async with database.transaction(read_only=True) as tx:
            assert await partners.signing_key(tx)


@EITHER_WAY
async def test_a_lost_connection_and_a_statement_that_takes_too_long_are_outages(database_url: str, ask: Ask) -> None:
    async with _database(postgres.settings_for(database_url, statement_timeout_ms=100)) as database:
        assert is_outage(await _error_of(database, "SET ROLE NONE", END_OWN_CONNECTION, ask=ask))
        assert is_outage(await _error_of(database, "SELECT pg_sleep(5)", ask=ask))


async def test_a_transaction_that_is_left_idle_is_ended(database_url: str) -> None:
    settings = postgres.settings_for(database_url, idle_transaction_timeout_ms=100)
    patient = postgres.settings_for(database_url)
    async with (
        _database(settings) as database,
        database.transaction(read_only=True) as forgotten,
        _database(patient) as other,
    ):
        await forgotten.execute(text("SELECT count(*) FROM applicants"))
        async with other.transaction() as waiting:
            await waiting.execute(text("LOCK TABLE applicants"))
        with pytest.raises(DBAPIError) as ended:
            await forgotten.execute(text("SELECT 1"))
    assert is_outage(ended.value)


async def test_a_lock_or_a_connection_that_is_not_free_in_time_is_an_outage(database_url: str) -> None:
    settings = postgres.settings_for(database_url, lock_timeout_ms=100, database_pool=5)
    async with _database(settings) as database, database.transaction() as holder:
        await holder.execute(text("LOCK TABLE applicants"))
        assert is_outage(await _error_of(database, "LOCK TABLE applicants"))
        async with AsyncExitStack() as others:
            for _ in range(settings.database_pool - 1):
                other = await others.enter_async_context(database.transaction(read_only=True))
                await other.execute(text("SELECT 1"))
            none_left = await _error_of(database, "SELECT 1")
    assert isinstance(none_left, PoolTimeout)
    assert is_outage(none_left)


@EITHER_WAY
async def test_a_deadlock_is_an_outage_and_the_other_one_gets_through(service: Service, ask: Ask) -> None:
    async def take(first: str, second: str, both_hold: asyncio.Barrier) -> None:
        async with service.database.transaction() as tx:
            await ask(tx, f"LOCK TABLE {first}")
            await both_hold.wait()
            await ask(tx, f"LOCK TABLE {second}")

    both = asyncio.Barrier(2)
    ends = await asyncio.gather(
        take("workers", "applicants", both), take("applicants", "workers", both), return_exceptions=True
    )
    assert [end is None or is_outage(end) for end in ends] == [True, True]
    assert ends.count(None) == 1


@pytest.mark.parametrize("statement", ["SELECT 1/0", "SELECT * FROM nothing", "INSERT INTO allowlist_feed VALUES (2)"])
@EITHER_WAY
async def test_a_statement_of_ours_that_is_wrong_is_a_fault(service: Service, statement: str, ask: Ask) -> None:
    assert not is_outage(await _error_of(service.database, statement, ask=ask))
    assert not is_outage(ValueError("x"))


def test_a_full_disk_of_ones_own_is_a_fault_and_no_outage_of_the_database() -> None:
    assert not is_outage(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_outage(FileNotFoundError(errno.ENOENT, "No usable temporary directory found"))
    assert is_outage(OSError(errno.EHOSTUNREACH, "No route to host"))
    assert is_outage(OSError("Multiple exceptions: [Errno 111] Connect call failed"))


@EITHER_WAY
async def test_an_error_does_not_carry_the_values_of_its_statement(service: Service, ask: Ask) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with service.database.transaction(read_only=True) as tx:
            await ask(tx, "SELECT CAST(:value AS integer) / 0, CAST(:other AS text)", value=1, other="Ayesha")
    assert "Ayesha" not in repr(refused.value) + str(refused.value)


async def test_a_connection_that_was_cut_is_replaced_before_it_is_used_again(service: Service) -> None:
    async with service.database.transaction(read_only=True) as tx:
        pid = await tx.scalar(text("SELECT pg_backend_pid()"))
    await postgres.execute(service.settings.database_url, f"SELECT pg_terminate_backend({pid}, 5000)")
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text("SELECT pg_backend_pid()")) != pid
