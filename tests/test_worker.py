"""The worker's loops go on through outages, stop when they are told to, and do what time asks for."""

import asyncio
import os
import signal
import time
from functools import partial
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from app.core.settings import Settings
from app.health import store as health
from tests.support import cases, events, postgres, processes, uploads
from tests.support.service import Caller, Service
from tests.support.working import working

DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()"


async def seen(service: Service) -> bool:
    async with service.database.transaction(read_only=True) as tx:
        return await health.has_live_worker(tx)


async def has_status(caller: Caller, path: str, status: str) -> bool:
    return bool((await caller.get(path)).json()["status"] == status)


async def send(caller: Caller, prefix: str, rows: int = 3) -> str:
    answer = await uploads.send(caller, uploads.csv_of([uploads.row(f"{prefix}{i}") for i in range(rows)]))
    return answer.headers["Location"]


async def works(service: Service, caller: Caller, officer: Caller, prefix: str) -> None:
    """The worker ingests an upload and publishes what is then approved."""
    location = await send(caller, prefix)
    await processes.until(partial(has_status, caller, location, "completed"))
    selection = {"bulk_upload_id": location.rpartition("/")[2], "status": "submitted"}
    decided = await officer.post("/v1/review-decisions/batch", json={"selection": selection, "action": "approve"})
    assert decided.json()["counts"]["decided"] == 3
    networks = [
        case["networks"][0]
        for case in (await caller.get(f"/v1/registrations?bulk_upload_id={selection['bulk_upload_id']}")).json()[
            "items"
        ]
    ]

    async def listed() -> bool:
        await service.app.state.reader.refresh()
        answer = await officer.get("/v1/allowlist?format=text")
        return answer.status_code == 200 and set(networks) <= set(answer.text.splitlines())

    await processes.until(listed)


async def test_every_loop_goes_on_when_the_connections_are_cut(
    service: Service, settings: Settings, pseb: Caller, officer: Caller, database_url: str
) -> None:
    async with working(settings) as task:
        await works(service, pseb, officer, "before-")
        name = database_url.partition("?")[0].rpartition("/")[2]
        for _ in range(3):
            await postgres.execute(database_url, DISCONNECT.format(name))
            await asyncio.sleep(0.2)
        await works(service, pseb, officer, "after-")
        assert not task.done()


async def test_every_loop_goes_on_after_a_time_without_a_database(
    service: Service, settings: Settings, pseb: Caller, officer: Caller, server_url: str, database_url: str
) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with working(settings) as task:
        await processes.until(partial(seen, service))
        location = await send(pseb, "waiting-", rows=1)
        await postgres.execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", DISCONNECT.format(name))
        await asyncio.sleep(1.5)
        assert not task.done()
        await postgres.execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await processes.until(partial(has_status, pseb, location, "completed"))
        await works(service, pseb, officer, "after-")


async def test_an_upload_that_cannot_be_ingested_does_not_keep_the_others_waiting(
    service: Service, settings: Settings, pseb: Caller
) -> None:
    broken, sound = await send(pseb, "broken-"), await send(pseb, "sound-")
    async with service.database.transaction() as tx:
        await tx.execute(
            text("UPDATE bulk_upload_parts SET sealed = '\\x00' WHERE bulk_upload_id = :id"),
            {"id": broken.rpartition("/")[2]},
        )
    async with working(settings):
        await processes.until(partial(has_status, pseb, sound, "completed"))
    assert await has_status(pseb, broken, "received")


async def test_an_approval_that_has_run_out_expires_and_leaves_the_list(
    service: Service, settings: Settings, pseb: Caller, officer: Caller
) -> None:
    over = await cases.approved(pseb, officer)
    kept = await cases.approved(pseb, officer)
    await service.publish()
    async with service.database.transaction() as tx:
        past = "UPDATE registrations SET expires_at = now() - interval '15 days', ends_at = now() WHERE id = :id"
        await tx.execute(text(past), {"id": over["id"]})
    async with working(settings):
        await processes.until(partial(has_status, pseb, f"/v1/registrations/{over['id']}", "expired"))

        async def gone() -> bool:
            await service.app.state.reader.refresh()
            return bool((await officer.get("/v1/allowlist?format=text")).text.splitlines() == kept["networks"])

        await processes.until(gone)
    assert await has_status(pseb, f"/v1/registrations/{kept['id']}", "approved")
    log = await events.wait_for_event(pseb, "registration.expired")
    assert [each["subject_id"] for each in log if each["name"] == "registration.expired"] == [over["id"]]


async def test_a_claim_that_has_lasted_its_time_ends(
    service: Service, settings: Settings, pseb: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    path = f"/v1/registrations/{case['id']}"
    assert (await officer.post(f"{path}/claim", headers={"If-Match": "*"})).status_code == 200
    async with service.database.transaction() as tx:
        await tx.execute(text("UPDATE registrations SET claim_ends_at = now()"))
    async with working(settings):
        await processes.until(partial(has_status, pseb, path, "submitted"))


async def test_windows_of_rate_limits_that_have_ended_are_dropped(service: Service, settings: Settings) -> None:
    windows = (
        "INSERT INTO rate_windows VALUES ('read', 'x', now() - interval '1 hour', 1, 1), ('read', 'x', now(), 1, 1)"
    )
    async with service.database.transaction() as tx:
        await tx.execute(text(windows))

    async def swept() -> bool:
        async with service.database.transaction(read_only=True) as tx:
            return bool(await tx.scalar(text("SELECT count(*) = 1 FROM rate_windows")))

    assert not await swept()
    async with working(settings):
        await processes.until(swept)


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux has it")
async def test_a_worker_and_what_works_beside_it_give_way_to_who_is_asked_something(settings: Settings) -> None:
    with processes.running("worker", processes.environment(settings)) as worker:
        of_worker = psutil.Process(worker.pid)

        async def has_begun() -> bool:
            return bool(of_worker.children())

        await processes.until(has_begun)
        found = {os.sched_getscheduler(each.pid) for each in (of_worker, *of_worker.children(recursive=True))}
        assert found == {os.SCHED_BATCH}


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_stops_within_seconds_of_being_told_to_even_in_the_middle_of_an_upload(
    service: Service, settings: Settings, pseb: Caller, signal_: signal.Signals
) -> None:
    location = await send(pseb, "many-", rows=1_500)
    process = processes.start("worker", processes.environment(settings, UPLOAD_CHUNK_ROWS="10"))
    try:
        upload: dict[str, Any] = {}

        async def begun() -> bool:
            upload.update((await pseb.get(location)).json())
            return bool(upload["rows_done"] >= 20)

        await processes.until(begun)
        told = time.monotonic()
        process.send_signal(signal_)
        assert await asyncio.to_thread(process.wait, 20) == 0
        assert time.monotonic() - told < 10
    finally:
        processes.kill(process)
    stopped = (await pseb.get(location)).json()
    assert stopped["status"] == "processing"
    await service.ingest_all()
    assert (await pseb.get(location)).json()["counts"]["created"] == 1_500
