"""Liveness goes by the loop's own progress, readiness by what writes need, and that of the feed by the list."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, func, select, update

from app.core.process import progress
from app.health import service as health
from app.health import store
from app.health.models import Worker
from tests.support import cases, feed, postgres, processes
from tests.support.service import Caller, Service

LIVE, READY, FEED = "/health/live", "/health/ready", "/health/ready/feed"
NEWER = """
UPDATE alembic_version SET version_num = 'of the next version';
CREATE OR REPLACE FUNCTION register_oldest_code() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '{}' $$
"""


async def _beat(service: Service, worker: Any = None) -> None:
    async with service.database.transaction() as tx:
        await store.record_heartbeat(tx, worker or uuid4())


def _unavailable(answer: httpx.Response, why: str) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    return (answer.status_code, answer.json()["code"]) == (503, "unavailable") and why in answer.json()["detail"]


async def test_it_is_ready_without_a_worker_and_says_so(service: Service) -> None:
    async def has_worker() -> bool:
        answer = await service.http.get(READY)
        assert answer.status_code == 200
        return bool(answer.json()["worker"])

    async def has_none() -> bool:
        return not await has_worker()

    assert await has_none()
    await _beat(service)
    await processes.until(has_worker, 5)
    async with service.database.transaction() as tx:
        await tx.execute(update(Worker).values(seen_at=func.now() - store.HEARTBEAT_TIMEOUT))
    await processes.until(has_none, 5)


@pytest.mark.parametrize("path", [READY, "/.well-known/jwks.json"])
async def test_concurrent_requests_share_one_database_read_a_second(service: Service, path: str) -> None:
    await _beat(service)
    await service.http.get(path)
    begun = 0

    def count(*_: object) -> None:
        nonlocal begun
        begun += 1

    event.listen(service.app.state.database.engine.sync_engine, "checkout", count)
    began = time.monotonic()
    answers = await asyncio.gather(*(service.http.get(path) for _ in range(200)))
    assert {each.status_code for each in answers} == {200}
    assert begun <= 1 + (time.monotonic() - began)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE alembic_version SET version_num = '0001'",
        "DELETE FROM alembic_version",
        NEWER.format("a later one"),
    ],
)
async def test_it_is_not_ready_on_a_database_whose_migrations_do_not_fit(service: Service, statement: str) -> None:
    await postgres.execute(service.settings.database_url, statement)
    answer = await service.http.get(READY)
    assert answer.status_code == 503
    assert "migrat" in answer.json()["detail"]


async def test_it_is_ready_on_a_database_of_a_newer_migration_that_it_can_run_on(service: Service) -> None:
    await postgres.execute(service.settings.database_url, NEWER.format("0031"))
    assert (await service.http.get(READY)).status_code == 200


async def test_it_is_not_ready_where_the_database_takes_no_writes(service: Service) -> None:
    name = urlsplit(service.settings.database_url).path.removeprefix("/")
    url = service.settings.database_url
    await postgres.execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert _unavailable(await service.http.get(READY), "takes no writes")


async def test_it_is_not_ready_while_no_connection_is_to_be_had(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.5)
    async with AsyncExitStack() as stack:
        for _ in range(service.settings.database_pool):
            await stack.enter_async_context(service.app.state.database.transaction(read_only=True))
        assert _unavailable(await service.http.get(READY), "no connection")


async def test_a_loop_that_stands_still_is_not_live(service: Service) -> None:
    assert (await service.http.get(LIVE)).status_code == 200
    service.app.state.progress._ticked_at -= progress.STALLED_SECONDS + 1
    assert _unavailable(await service.http.get(LIVE), "stood still")


async def test_a_process_whose_listener_has_ended_is_not_live(service: Service) -> None:
    async with feed.serving(service.app) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get(LIVE)).status_code == 200
        (task,) = [each for each in asyncio.all_tasks() if each.get_name() == "listen"]
        task.cancel()

        async def is_not_live() -> bool:
            return (await http.get(LIVE)).status_code == 503

        await processes.until(is_not_live, 5)
        assert _unavailable(await http.get(LIVE), "listen")


async def test_it_is_ready_for_readers_as_long_as_it_has_a_list(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    assert _unavailable(await service.http.get(FEED), "published")
    await cases.approved(pseb, officer)
    await service.publish()
    shown = (await service.http.get(FEED)).json()
    assert shown == {"status": "ready", "serial": 1, "age": 0, "stale": False, "diverged": False, "behind": False}
    await service.app.state.database.close()
    service.app.state.reader._confirmed_at -= 60
    shown = (await service.http.get(FEED)).json()
    assert (shown["status"], shown["stale"]) == ("ready", True)
    assert shown["age"] >= 60


async def test_it_is_not_ready_on_a_database_that_was_never_migrated(service: Service) -> None:
    await _beat(service)
    await postgres.execute(service.settings.database_url, "DROP TABLE alembic_version")
    answer = await service.http.get(READY)
    assert answer.status_code == 503


async def test_while_the_database_is_down_it_is_live_but_not_ready_and_discloses_no_settings() -> None:
    service = Service(postgres.settings_for("postgresql://u:hidden@127.0.0.1:1/d"))
    try:
        assert _unavailable(await service.http.get(READY), "database")
        assert _unavailable(await service.http.get(FEED), "published")
        assert "hidden" not in (await service.http.get(READY)).text
        assert (await service.http.get("/health/live")).json() == {"status": "live"}
        assert (await service.http.get("/metrics")).status_code == 200
    finally:
        await service.close()


async def test_it_is_ready_with_its_database_its_migrations_and_a_worker(service: Service) -> None:
    await _beat(service)
    answer = await service.http.get(READY)
    expected = {"status": "ready", "database": True, "migrations": True, "worker": True, "diverged": None}
    assert answer.json() == expected


async def test_a_worker_is_one_row_and_is_deleted_after_a_day(service: Service) -> None:
    worker = uuid4()
    for _ in range(3):
        await _beat(service, worker)
    long_ago = update(Worker).values(seen_at=func.now() - func.make_interval(0, 0, 0, 2))
    async with service.database.transaction() as tx:
        assert await tx.scalar(select(func.count()).select_from(Worker)) == 1
        await tx.execute(long_ago)
    await _beat(service)
    async with service.database.transaction(read_only=True) as tx:
        assert worker not in (await tx.scalars(select(Worker.id))).all()


async def test_the_metrics_are_prometheus_text(service: Service) -> None:
    await service.http.get("/health/live")
    answer = await service.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"http_requests", "http_request_duration_seconds"} <= families
