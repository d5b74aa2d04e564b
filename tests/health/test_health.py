"""Liveness and readiness: a ready process needs the database, its migrations and a worker."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, func, select, update

from app.health import store
from app.health.models import Worker
from tests.support import postgres, processes
from tests.support.service import Service

READY = "/health/ready"


async def _beat(service: Service, worker: Any = None) -> None:
    async with service.database.transaction() as tx:
        await store.record_heartbeat(tx, worker or uuid4())


def _unavailable(answer: httpx.Response, why: str) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    return (answer.status_code, answer.json()["code"]) == (503, "unavailable") and why in answer.json()["detail"]


async def test_it_is_not_ready_without_a_recent_heartbeat_of_a_worker(service: Service) -> None:
    async def is_ready() -> bool:
        return (await service.http.get(READY)).status_code == 200

    async def is_not() -> bool:
        answer = await service.http.get(READY)
        return answer.status_code != 200 and _unavailable(answer, "worker")

    assert await is_not()
    await _beat(service)
    await processes.until(is_ready, 5)
    async with service.database.transaction() as tx:
        await tx.execute(update(Worker).values(seen_at=func.now() - store.HEARTBEAT_TIMEOUT))
    await processes.until(is_not, 5)


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
    ["UPDATE alembic_version SET version_num = 'older'", "DELETE FROM alembic_version"],
)
async def test_it_is_not_ready_on_a_database_of_another_migration(service: Service, statement: str) -> None:
    await _beat(service)
    await postgres.execute(service.settings.database_url, statement)
    assert _unavailable(await service.http.get(READY), "migrations")


async def test_it_is_not_ready_on_a_database_that_was_never_migrated(service: Service) -> None:
    await _beat(service)
    await postgres.execute(service.settings.database_url, "DROP TABLE alembic_version")
    answer = await service.http.get(READY)
    assert answer.status_code == 503


async def test_while_the_database_is_down_it_is_live_but_not_ready_and_discloses_no_settings() -> None:
    service = Service(postgres.settings_for("postgresql://u:hidden@127.0.0.1:1/d"))
    try:
        assert _unavailable(await service.http.get(READY), "database")
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
