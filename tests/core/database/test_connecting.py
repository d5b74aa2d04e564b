"""One of several servers is found however the others fail, and no call waits without end for one that is silent."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.database import engine, notifications
from app.core.database.connecting import Connector
from app.core.database.engine import Database
from app.core.database.notifications import Listener
from app.core.database.outages import CommitUnconfirmed, NoServer, is_outage
from tests.support import postgres, processes
from tests.support.proxy import Proxy, dropping_host, proxy_of
from tests.support.service import Service

Act = Callable[[], None]
WRITE = text("INSERT INTO workers (id) VALUES (gen_random_uuid())")


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """The network to the test's database."""
    async with proxy_of(database_url) as proxy:
        yield proxy


@pytest.fixture
def dropping() -> Iterator[str]:
    """A host that drops packets."""
    with dropping_host() as place:
        yield place


@asynccontextmanager
async def _database(url: str, **changes: object) -> AsyncIterator[Database]:
    database = Database(postgres.settings_for(url, **changes))
    try:
        yield database
    finally:
        async with asyncio.timeout(5):  # also while the network is silent
            await database.close()


async def _read(database: Database) -> Any:
    async with database.transaction(read_only=True) as tx:
        return await tx.scalar(text("SELECT 1"))


def _nothing() -> None:
    pass


async def _write(database: Database, before: Act = _nothing, before_commit: Act = _nothing) -> None:
    async with database.transaction() as tx:
        before()
        await tx.execute(WRITE)
        before_commit()


async def _lock(database: Database, then: Act) -> None:
    async with database.advisory_lock("x") as is_held:
        assert is_held
        then()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a part of a second."""
    for name in ("BEGIN_SECONDS", "COMMIT_SECONDS", "ROLLBACK_SECONDS", "KEYS_SECONDS", "SERVER_FIRST_SECONDS"):
        monkeypatch.setattr(engine, name, 0.3)


@pytest.mark.parametrize("form", ["{first},{second}/{name}?", "/{name}?host={first}&host={second}&"])
async def test_a_first_host_that_drops_packets_does_not_keep_the_second_from_being_tried(
    proxy: Proxy, dropping: str, form: str
) -> None:
    name = proxy.url.rpartition("/")[2].partition("?")[0]
    rest = form.format(first=dropping, second=proxy.place, name=name)
    url = f"postgresql+asyncpg://postgres@{rest}connect_timeout=1&sslmode=disable&target_session_attrs=primary"
    connector = Connector(url, seconds=5)
    began = time.monotonic()
    for connection in await asyncio.gather(*(connector.connect() for _ in range(3))):  # all of a pool at once
        assert await connection.fetchval("SELECT 1") == 1
        connection.terminate()
    assert 0.9 < time.monotonic() - began < 5
    began = time.monotonic()
    (await connector.connect()).terminate()  # it knows which one is there
    assert time.monotonic() - began < 0.9


async def test_when_no_server_can_be_used_each_is_named_with_the_reason_in_one_line(
    proxy: Proxy, dropping: str
) -> None:
    url = proxy.url.replace(proxy.place, f"127.0.0.1:1,{dropping},{proxy.place}")
    with pytest.raises(NoServer) as failed:
        await Connector(f"{url}&connect_timeout=1&target_session_attrs=standby", seconds=5).connect()
    told = str(failed.value)
    assert "127.0.0.1:1: " in told
    assert f"{dropping}: no answer in time" in told
    assert f"{proxy.place}: it is not what target_session_attrs asks for" in told
    assert "\n" not in told
    assert is_outage(failed.value)


async def test_a_standby_is_preferred_and_a_primary_taken_where_there_is_none(proxy: Proxy) -> None:
    connection = await Connector(f"{proxy.url}&target_session_attrs=prefer-standby", seconds=5).connect()
    assert await connection.fetchval("SELECT 1") == 1
    connection.terminate()


async def test_the_kernel_watches_the_sockets_of_both_sides(proxy: Proxy) -> None:
    connection = await Connector(proxy.url, seconds=5).connect()
    watched: socket.socket = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # asyncpg keeps it private
    assert watched.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert watched.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
    assert watched.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
    connection.terminate()


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_fell_silent_is_given_up_and_with_it_all_of_its_age(proxy: Proxy) -> None:
    async with _database(proxy.url) as database:
        async with database.transaction(read_only=True), database.transaction(read_only=True):
            pass  # two connections in the pool
        accepted = proxy.accepted
        proxy.silence()
        began = time.monotonic()
        with pytest.raises(OSError) as failed:  # noqa: PT011  # the error of a silent server depends on the moment
            await _read(database)
        assert is_outage(failed.value)
        assert time.monotonic() - began < 3
        proxy.speak()
        assert await _read(database) == 1
        assert proxy.accepted > accepted


@pytest.mark.usefixtures("impatient")
async def test_a_statement_without_an_answer_ends_shortly_after_the_servers_own_timeout(proxy: Proxy) -> None:
    async with _database(proxy.url, statement_timeout_ms=300) as database:
        await _read(database)
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011  # the error of a silent server depends on the moment
            await _write(database, before=proxy.silence)
        assert time.monotonic() - began < 3


@pytest.mark.usefixtures("impatient")
async def test_a_commit_without_an_answer_is_unconfirmed_and_may_have_been_made(proxy: Proxy, service: Service) -> None:
    async with _database(proxy.url) as database:
        began = time.monotonic()
        with pytest.raises(CommitUnconfirmed, match="lost or silent") as failed:
            await _write(database, before_commit=proxy.silence)
        assert is_outage(failed.value)
        assert time.monotonic() - began < 3
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text("SELECT count(*) FROM workers")) == 0
    proxy.speak()  # what was sent before arrives


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_is_cancelled_on_a_silent_connection_ends_too(proxy: Proxy) -> None:
    async with _database(proxy.url) as database:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_write(database, before=proxy.silence), 0.3)
        assert time.monotonic() - began < 3
        proxy.speak()
        await _write(database)


@pytest.mark.usefixtures("impatient")
async def test_a_lock_is_not_kept_by_a_connection_that_cannot_release_it(proxy: Proxy, service: Service) -> None:
    async with _database(proxy.url) as database:
        with pytest.raises(OSError):  # noqa: PT011  # the error of a silent server depends on the moment
            await _lock(database, proxy.silence)
        proxy.speak()
        await _read(database)

    async def is_free() -> bool:
        async with service.database.advisory_lock("x") as is_held:
            return is_held

    await processes.until(is_free, 5)


async def test_a_listener_connects_again_when_its_connection_falls_silent(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "KEEPALIVE_SECONDS", 0.3)
    monkeypatch.setattr(notifications, "RECONNECT_SECONDS", 0.05)
    listener = Listener(proxy.url, ["bulk_uploads"])
    task = asyncio.create_task(listener.run())
    async with asyncio.timeout(5):
        await listener.wait("bulk_uploads", 5)
        proxy.silence()
        await asyncio.sleep(0.8)
        proxy.speak()
        await listener.wait("bulk_uploads", 5)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _lose_before_commit(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(WRITE)
        tx._driver.terminate()


async def test_a_connection_that_is_lost_before_the_commit_is_sent_has_changed_nothing(service: Service) -> None:
    with pytest.raises(DBAPIError) as failed:  # not CommitUnconfirmed
        await _lose_before_commit(service.database)
    assert is_outage(failed.value)
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text("SELECT count(*) FROM workers")) == 0
