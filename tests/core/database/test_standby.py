"""With two servers, writes go to the primary, and a commit that its standby does not have is told as such."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from app.core.database import engine
from app.core.database.connecting import Connector
from app.core.database.engine import Database
from app.core.database.outages import CommitUnconfirmed, ReadOnlyServer, is_outage
from app.migrating import migrate
from tests.support import cases, postgres, processes
from tests.support.service import Service
from tests.support.standby import Pair, primary_and_standby

WRITE = text("INSERT INTO workers (id) VALUES (gen_random_uuid())")
KEY = {"Idempotency-Key": "once"}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A primary and its standby."""
    with primary_and_standby() as pair:
        yield pair


@asynccontextmanager
async def _standby_away(pair: Pair) -> AsyncIterator[None]:
    """Let commits wait for the standby, which is away."""
    await postgres.execute(pair.url, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
    await asyncio.to_thread(pair.stop_standby)
    try:
        yield
    finally:
        await asyncio.to_thread(pair.start_standby)
        await postgres.execute(pair.url, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")


@asynccontextmanager
async def _serving(url: str, **changes: object) -> AsyncIterator[Service]:
    service = Service(postgres.settings_for(url, **changes))
    try:
        yield service
    finally:
        await service.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes wait a second for a commit."""
    monkeypatch.setattr(engine, "COMMIT_SECONDS", 1.0)


async def _write(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(WRITE)


@pytest.mark.parametrize("attributes", ["primary", "read-write"])
async def test_a_case_is_written_to_the_primary_and_read_from_it(pair: Pair, attributes: str) -> None:
    async with _serving(pair.url_of_both(attributes)) as service:
        pseb = await service.caller(f"pseb-{attributes}")
        case = await cases.submitted(pseb)
        for path in (f"/v1/registrations/{case['id']}", "/v1/registrations", "/v1/events", "/v1/me"):
            assert (await pseb.get(path)).status_code == 200


async def test_migrate_takes_a_url_of_both_servers(pair: Pair) -> None:
    url = pair.url_of_both("primary")
    await migrate(postgres.settings_for(url, owner_url=url.replace("postgres:@", "postgres:x@")))
    connection = await Connector(url, seconds=5).connect()
    assert not await connection.fetchval("SELECT pg_is_in_recovery()")
    connection.terminate()


async def test_a_server_that_takes_no_writes_is_an_outage_and_its_connections_are_replaced(pair: Pair) -> None:
    async with _serving(pair.url) as primary, _serving(pair.standby_url) as service:
        pasha = await primary.caller("pasha")
        with pytest.raises(ReadOnlyServer) as refused:
            await _write(service.database)
        assert is_outage(refused.value)
        bearer = {"Authorization": f"Bearer {pasha.token}"}
        answer = await service.http.post("/v1/applicants", json=cases.company(), headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_commit_that_waits_for_a_synchronous_standby_is_told_as_such_and_not_undone(pair: Pair) -> None:
    async with _serving(pair.url, rate_limit_write=0) as service:
        pseb, body = await service.caller("pseb"), cases.company()
        async with _standby_away(pair):
            with pytest.raises(CommitUnconfirmed, match="synchronous standby"):
                await _write(service.database)
            # a request to cancel would have ended the wait and shown the change to everyone
            async with service.database.transaction(read_only=True) as tx:
                assert await tx.scalar(text("SELECT count(*) FROM workers")) == 0
            answer = await pseb.post("/v1/applicants", json=body, headers=KEY)
            assert (answer.status_code, answer.json()["code"]) == (503, "commit_unconfirmed")
            assert "synchronous standby" in answer.json()["detail"]
            assert int(answer.headers["Retry-After"]) > 0
            ready = await service.http.get("/health/ready")
            assert ready.status_code == 503
            assert "synchronous standby" in ready.json()["detail"]

        async def repeated() -> bool:
            return (await pseb.post("/v1/applicants", json=body, headers=KEY)).status_code == 201

        await processes.until(repeated, 10)
        assert len((await pseb.get("/v1/applicants")).json()["items"]) == 1
