"""Processes that are killed with -9 in the middle of their work lose nothing and do nothing twice."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import func, select, text

from app.bulk_uploads import store as bulk_uploads
from app.bulk_uploads.models import BulkUpload
from app.core.settings import Settings
from app.registrations.models import Registration
from tests.support import events, postgres, processes, uploads
from tests.support.processes import Killable
from tests.support.service import Caller, Service

ROWS = 2_000
KILLS_AT = (100, 500, 900, 1_300, 1_700)


@pytest.fixture
def worker(settings: Settings) -> Iterator[Killable]:
    worker = Killable("worker", processes.environment(settings, UPLOAD_CHUNK_ROWS="50"))
    yield worker
    worker.kill()


@pytest.fixture
def port() -> int:
    return processes.free_port()


@pytest.fixture
def api(settings: Settings, port: int) -> Iterator[Killable]:
    api = Killable("serve", processes.api_environment(settings, port))
    yield api
    api.kill()


async def followed(caller: Caller, location: str, rows_done: int) -> dict[str, Any]:
    """Wait until so many rows of an upload are done, or all, and return it."""
    upload: dict[str, Any] = {}

    async def reached() -> bool:
        upload.update((await caller.get(location)).json())
        return bool(upload["rows_done"] >= rows_done or upload["status"] == "completed")

    await processes.until(reached, 60)
    return upload


async def registered(service: Service, upload_id: str) -> tuple[int, int, int]:
    """Count the registrations of an upload, their references, and the events of submission."""
    of_upload = Registration.bulk_upload_id == UUID(upload_id)
    told = "SELECT count(*) FROM events WHERE name = 'registration.submitted'"
    async with service.database.transaction(read_only=True) as tx:
        counted = await tx.execute(select(func.count(), func.count(Registration.reference.distinct())).where(of_upload))
        made, references = counted.one()
        return made, references, await tx.scalar(text(told)) or 0


@pytest.mark.slow
@pytest.mark.parametrize("dry_run", [False, True], ids=["for real", "dry run"])
async def test_a_worker_killed_again_and_again_takes_every_row_in_once(
    service: Service, pseb: Caller, worker: Killable, dry_run: bool
) -> None:
    rows = [uploads.row(f"R{i:05d}", **({"email": "@"} if i % 10 == 0 else {})) for i in range(ROWS)]
    sent = await uploads.send(pseb, uploads.csv_of(rows), dry_run=dry_run)
    location = sent.headers["Location"]
    killed_midway = 0
    for place in KILLS_AT[:2] if dry_run else KILLS_AT:  # a dry run begins at its first row each time
        worker.start()
        upload = await followed(pseb, location, place)
        worker.kill()
        killed_midway += upload["status"] == "processing"
    assert killed_midway >= 2, "the kills came too late to show anything"

    worker.start()
    done = await followed(pseb, location, ROWS + 1)
    created = ROWS - ROWS // 10
    assert (done["status"], done["rows_done"]) == ("completed", ROWS)
    assert done["counts"] == uploads.counts(ROWS, created=created, refused=ROWS // 10)
    expected = 0 if dry_run else created
    assert await registered(service, done["id"]) == (expected, expected, expected)

    lines: list[int] = []
    path = f"{location}/rows?limit=500"
    while path:
        page = await pseb.get(path)
        lines += [row["line"] for row in page.json()["items"]]
        path = page.headers["Link"].partition(">")[0].removeprefix("<") if "Link" in page.headers else ""
    assert lines == list(range(2, ROWS + 2))
    async with service.database.transaction(read_only=True) as tx:
        assert await bulk_uploads.read_part(tx, UUID(done["id"]), 0) is None


@pytest.mark.slow
async def test_a_file_that_kills_its_worker_three_times_fails_and_the_next_upload_is_taken(
    service: Service, pseb: Caller, pasha: Caller, worker: Killable, database_url: str
) -> None:
    bad = (await uploads.send(pseb, uploads.csv_of([uploads.row("BAD")]))).headers["Location"]
    attempts: set[UUID] = set()

    async def at_its_first_row() -> bool:
        async with service.database.transaction(read_only=True) as tx:
            found = await tx.execute(select(BulkUpload.attempt_id, BulkUpload.attempt_place))
        attempt, place = found.one()
        if place != 0 or attempt is None or attempt in attempts:
            return False
        attempts.add(attempt)
        return True

    holding = await asyncpg.connect(database_url)
    async with holding.transaction():
        await holding.execute("LOCK TABLE applicants")  # the file does not get further
        for _ in range(3):
            worker.start()
            await processes.until(at_its_first_row, 60)
            worker.kill()
    await holding.close()
    sound = (await uploads.send(pasha, uploads.csv_of([uploads.row("SOUND")]))).headers["Location"]
    worker.start()
    assert (await followed(pasha, sound, 2))["counts"]["created"] == 1

    async def has_failed() -> bool:
        return bool((await pseb.get(bad)).json()["status"] == "failed")

    await processes.until(has_failed)
    failed = (await pseb.get(bad)).json()
    assert (failed["problem"]["code"], failed["counts"]["created"]) == ("processing_aborted", 0)
    assert "3 times in a row before it processed the first rows" in failed["problem"]["detail"]
    told = (await events.wait_for_event(pseb, "bulk_upload.failed"))[-1]
    assert told["details"] == {"code": "processing_aborted"}


@pytest.mark.slow
async def test_workers_that_are_told_to_stop_in_the_middle_of_a_file_are_not_held_against_it(
    service: Service, pseb: Caller, worker: Killable, database_url: str
) -> None:
    location = (await uploads.send(pseb, uploads.csv_of([uploads.row("R")]))).headers["Location"]

    async def under_way() -> bool:
        async with service.database.transaction(read_only=True) as tx:
            return await tx.scalar(select(BulkUpload.attempt_place)) == 0

    holding = await asyncpg.connect(database_url)
    async with holding.transaction():
        await holding.execute("LOCK TABLE applicants")
        for _ in range(4):
            process = worker.start()
            await processes.until(under_way, 60)
            process.terminate()
            assert await asyncio.to_thread(process.wait, 30) == 0
            async with service.database.transaction(read_only=True) as tx:
                found = await tx.execute(select(BulkUpload.attempt_id, BulkUpload.kills))
            assert found.one() == (None, 0)
            await postgres.execute(database_url, "UPDATE bulk_uploads SET attempt_place = NULL")
    await holding.close()
    worker.start()
    assert (await followed(pseb, location, 2))["status"] == "completed"


@pytest.mark.slow
async def test_no_upload_that_an_api_acknowledged_is_lost_when_it_is_killed(
    service: Service, settings: Settings, api: Killable, port: int
) -> None:
    url = f"http://127.0.0.1:{port}"
    pseb = await service.credentials("pseb")
    filler = "x" * 1_000
    bodies = [
        uploads.csv_of([uploads.row(f"{name}-{i}", description=filler) for i in range(400)]) for name in range(60)
    ]
    acknowledged: list[dict[str, Any]] = []

    async def post(http: httpx.AsyncClient, body: bytes) -> None:
        answer = await http.post("/v1/bulk-uploads", content=body, headers={"Content-Type": "text/csv"})
        assert answer.status_code == 202, answer.text
        acknowledged.append(answer.json())

    for each in range(3):
        await asyncio.to_thread(processes.wait_until_live, url, api.start())
        form = {"grant_type": "client_credentials", "client_id": pseb.client_id, "client_secret": pseb.client_secret}
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            token = (await http.post("/oauth/token", data=form)).json()["access_token"]
            http.headers["Authorization"] = f"Bearer {token}"
            posts = [asyncio.create_task(post(http, body)) for body in bodies[20 * each : 20 * each + 20]]
            await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(api.kill)
            ends = await asyncio.gather(*posts, return_exceptions=True)
        assert all(end is None or isinstance(end, httpx.TransportError) for end in ends)
        assert any(ends), "the kill came too late to show anything"
    assert acknowledged

    async with service.database.transaction(read_only=True) as tx:
        kept = {str(each.id): each for each in await tx.scalars(select(BulkUpload))}
        whole = "SELECT bulk_upload_id, count(*) FROM bulk_upload_parts GROUP BY 1"
        parts = {str(upload): count for upload, count in await tx.execute(text(whole))}
    assert {each["id"] for each in acknowledged} <= set(kept)
    assert parts.keys() == kept.keys()
    assert all(kept[each["id"]].sha256 == each["sha256"] for each in acknowledged)
    await service.ingest_all()
    async with service.database.transaction(read_only=True) as tx:
        ended = [(each.status, each.created) for each in await tx.scalars(select(BulkUpload))]
    assert set(ended) == {("completed", 400)}
