"""An upload is ingested completely and once, in few statements, wherever its worker stops."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from app.bulk_uploads import store
from app.bulk_uploads.ingestion import ingest as ingesting
from app.bulk_uploads.ingestion import segments
from app.bulk_uploads.ingestion.ingest import ingest
from app.core.database.engine import Database
from tests.support import cases, events, postgres, uploads
from tests.support.service import Caller, Service
from tests.support.statements import record_statements


@pytest.fixture
async def other_database(database_url: str) -> AsyncIterator[Database]:
    """The database handle of another worker."""
    database = Database(postgres.settings_for(database_url))
    yield database
    await database.close()


def rows(count: int, prefix: str = "R") -> list[dict[str, str]]:
    return [uploads.row(f"{prefix}{i:04d}") for i in range(count)]


async def references(caller: Caller) -> list[str]:
    """Return the references of all the caller's registrations, sorted."""
    found: list[str] = []
    path = "/v1/registrations?limit=500"
    while path:
        page = await caller.get(path)
        found += [each["reference"] for each in page.json()["items"]]
        path = page.headers["Link"].partition(">")[0].removeprefix("<") if "Link" in page.headers else ""
    return sorted(found)


async def has_parts(database: Database, upload_id: UUID) -> bool:
    async with database.transaction(read_only=True) as tx:
        return await store.read_part(tx, upload_id, 0) is not None


@pytest.mark.parametrize(
    ("last", "line"),
    [(b'{"reference": "cut', 51), (b"reference,track\n", 51), (b'\n["R"]\n', 52)],
    ids=["cut short", "no JSON", "no object"],
)
async def test_a_file_that_breaks_on_its_last_line_registers_nothing(
    service: Service, pseb: Caller, last: bytes, line: int
) -> None:
    failed = await uploads.ingest(pseb, uploads.ndjson_of(rows(50)) + last, upload_format="ndjson", chunk_rows=10)
    upload_id = UUID(failed["id"])
    assert (failed["status"], failed["rows_done"], failed["counts"]["created"]) == ("failed", 0, 0)
    assert (failed["problem"]["code"], failed["problem"]["status"]) == ("ndjson_malformed", 422)
    assert f"Line {line} " in failed["problem"]["detail"]
    assert failed["completed_at"]
    assert await references(pseb) == []
    assert (await pseb.get("/v1/applicants")).json()["items"] == []
    assert not await has_parts(service.database, upload_id)
    log = [each["name"] for each in await events.wait_for_event(pseb, "bulk_upload.failed")]
    assert log[-2:] == ["bulk_upload.received", "bulk_upload.failed"]


async def test_a_header_without_rows_completes_at_once(service: Service, pseb: Caller) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of([]))
    assert (done["status"], done["counts"]["total"]) == ("completed", 0)
    assert done["bytes_done"] == done["bytes"]


async def test_two_workers_on_one_upload_register_each_row_once(
    service: Service, pseb: Caller, other_database: Database
) -> None:
    upload_id = await uploads.submit(pseb, uploads.csv_of(rows(60)))
    results = await asyncio.gather(
        ingest(service.database, upload_id, 7, 1_000), ingest(other_database, upload_id, 7, 1_000)
    )
    assert sorted(results) == [False, True]
    done = await uploads.get(pseb, upload_id)
    assert (done["status"], done["rows_done"], done["counts"]["created"]) == ("completed", 60, 60)
    assert await references(pseb) == [f"R{i:04d}" for i in range(60)]
    assert not await ingest_again(other_database, pseb, upload_id)


async def ingest_again(database: Database, caller: Caller, upload_id: UUID) -> bool:
    """Ingest an upload once more, and return whether that changed it."""
    before = await uploads.get(caller, upload_id)
    await ingest(database, upload_id, 7, 1_000)
    return before != await uploads.get(caller, upload_id)


async def test_a_worker_that_lost_its_lock_stores_nothing_of_its_chunk(
    service: Service, pseb: Caller, other_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.submit(pseb, uploads.csv_of(rows(30)))
    process = ingesting._process_rows
    calls = 0

    async def overtaken(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:  # its connection with the lock is lost: another worker continues from the checkpoint
            await postgres.execute(
                service.settings.database_url,
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            )
            assert await ingest(other_database, upload_id, 10, 1_000)
        return await process(*arguments)

    monkeypatch.setattr(ingesting, "_process_rows", overtaken)
    with pytest.raises(DBAPIError):
        await ingest(service.database, upload_id, 10, 1_000)
    done = await uploads.get(pseb, upload_id)
    assert (done["status"], done["rows_done"], done["counts"]["created"]) == ("completed", 30, 30)
    assert await references(pseb) == [f"R{i:04d}" for i in range(30)]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("stop_at", ["_process_rows", "save_outcomes", "_checkpoint", "_complete"])
async def test_an_ingest_that_stops_anywhere_continues_without_loss_or_duplicates(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch, stop_at: str, dry_run: bool
) -> None:
    mixed = [{**row, "email": "@"} if i % 5 == 0 else row for i, row in enumerate(rows(25))]
    answer = await uploads.send(pseb, uploads.csv_of(mixed), dry_run=dry_run)
    upload_id = UUID(answer.json()["id"])
    step = getattr(ingesting, stop_at)
    calls = 0

    async def stopping(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        result = await step(*arguments) if stop_at != "_complete" else None
        if calls == (1 if stop_at == "_complete" else 2):
            raise asyncio.CancelledError
        return result

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, stop_at, stopping)
        with pytest.raises(asyncio.CancelledError):
            await ingest(service.database, upload_id, 10, 1_000)
    assert (await uploads.get(pseb, upload_id))["status"] == "processing"

    await service.ingest_all(10)
    done = await uploads.get(pseb, upload_id)
    assert done["status"] == "completed"
    assert done["counts"] == uploads.counts(25, created=20, refused=5)
    listed = (await pseb.get(f"/v1/bulk-uploads/{upload_id}/rows")).json()["items"]
    assert [row["line"] for row in listed] == list(range(2, 27))
    assert len(await references(pseb)) == (0 if dry_run else 20)
    assert not await has_parts(service.database, upload_id)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_chunk_costs_the_same_statements_whatever_the_number_of_its_rows(
    service: Service, pseb: Caller, dry_run: bool
) -> None:
    sent: list[list[str]] = []
    for count in (10, 500):
        mixed = rows(count, f"S{count}-")
        mixed[0] |= {"email": "@"}
        await uploads.send(pseb, uploads.csv_of(mixed), dry_run=dry_run)
        async with record_statements(service.database) as statements:
            await service.ingest_all()
        # parts are fetched concurrently, and the fetch of the part after the last may be cancelled before it is sent
        sent.append(sorted(each for each in statements if "FROM bulk_upload_parts" not in each))
    assert sent[0] == sent[1]


async def test_the_last_row_about_an_applicant_wins_over_the_chunks_before(pseb: Caller) -> None:
    first = uploads.row("R1")
    addresses = ("one@example.pk", "two@example.pk", "one@example.pk")
    rows_ = [{**first, "reference": f"R{i}", "networks": cases.address(), "email": address}
             for i, address in enumerate(addresses)]  # fmt: skip
    done = await uploads.ingest(pseb, uploads.csv_of(rows_), chunk_rows=1)
    assert done["counts"]["created"] == 3
    (applicant,) = (await pseb.get("/v1/applicants")).json()["items"]
    assert (applicant["email"], applicant["version"]) == ("one@example.pk", 3)


@pytest.mark.slow
async def test_a_large_file_is_read_by_a_subprocess_with_the_same_outcomes(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MIN_SUBPROCESS_BYTES", 0)
    mixed = [{**row, "email": "@"} if i % 5 == 0 else row for i, row in enumerate(rows(25))]
    done = await uploads.ingest(pseb, uploads.csv_of(mixed), chunk_rows=4)
    assert done["counts"] == uploads.counts(25, created=20, refused=5)
    assert len(await references(pseb)) == 20


async def test_the_end_of_an_upload_is_an_event_with_its_counts(pseb: Caller) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of(rows(2)))
    event = (await events.wait_for_event(pseb, "bulk_upload.completed"))[-1]
    assert event["subject_id"] == done["id"]
    assert {name: event["details"][name] for name in ("total", "created", "refused")} == {
        "total": 2,
        "created": 2,
        "refused": 0,
    }


async def test_a_file_of_too_many_rows_fails_as_a_whole_and_says_so(service: Service, pseb: Caller) -> None:
    at_the_limit, over = uploads.csv_of(rows(10, "A")), uploads.csv_of(rows(11, "B"))
    for body in (at_the_limit, over):
        await ingest(service.database, await uploads.submit(pseb, body), 5, 10)
    done, failed = (await pseb.get("/v1/bulk-uploads")).json()["items"]
    assert (done["status"], done["counts"]["created"]) == ("completed", 10)
    assert (failed["status"], failed["problem"]["code"]) == ("failed", "too_many_rows")
    assert "10 rows" in failed["problem"]["detail"]
    assert await references(pseb) == [f"A{i:04d}" for i in range(10)]
