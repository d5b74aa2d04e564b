"""A foreign transaction that holds back the event log is named in a metric."""

import asyncpg
import pytest
from prometheus_client import REGISTRY

from app.events import store as events
from app.events.store import NewEvent
from app.health import process
from app.health.process import update_held_back_metric
from tests.support import processes
from tests.support.service import Service

NAME = "events_held_back_seconds"


def _holders() -> list[dict[str, str]]:
    return [sample.labels for each in REGISTRY.collect() for sample in each.samples if sample.name == NAME]


async def test_a_transaction_of_another_database_that_has_written_is_named_while_events_wait_for_it(
    service: Service, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "HELD_BACK_SECONDS", 0.0)
    foreign = await asyncpg.connect(server_url, server_settings={"application_name": "nightly report"})
    try:
        await foreign.execute("BEGIN; SELECT pg_current_xact_id()")
        pid = await foreign.fetchval("SELECT pg_backend_pid()")
        async with service.database.transaction() as tx:
            await events.record(tx, None, [NewEvent("allowlist.held")])

        async def is_named() -> bool:
            await update_held_back_metric(service.database)
            expected = {"database": "postgres", "login": "postgres", "application": "nightly report"}
            return _holders() == [{"process": str(pid), **expected}]

        await processes.until(is_named, 20)  # transactions of other tests may have begun before
    finally:
        await foreign.close()

    async def is_none() -> bool:
        await update_held_back_metric(service.database)
        return _holders() == []

    await processes.until(is_none, 20)
