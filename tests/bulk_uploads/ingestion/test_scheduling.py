"""The order of uploads, and the attempts that fail a file."""

import asyncio
import os
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.bulk_uploads.ingestion import chunks, scheduling, segments
from app.bulk_uploads.ingestion import ingest as ingesting
from app.bulk_uploads.ingestion.ingest import ingest
from app.bulk_uploads.readers.rows import Position
from app.bulk_uploads.rules import OPENING_WORKBOOK, READING_FILE
from app.bulk_uploads.store import find_unfinished, read_part
from tests.support import events, postgres, uploads
from tests.support.service import Caller, Service


def body(rows: int, prefix: str = "R") -> bytes:
    return uploads.csv_of([uploads.row(f"{prefix}{i:03d}") for i in range(rows)])


async def killed(service: Service, upload_id: UUID) -> UUID:
    """Begin an attempt and leave it like a killed worker; return its id."""
    attempt = uuid4()
    await scheduling._begin_attempt(service.database, upload_id, attempt)
    return attempt


async def kills(service: Service, upload_id: UUID) -> tuple[int, int, bool]:
    """Return the kills at the latest place and in total, and whether an attempt is open."""
    async with service.database.transaction(read_only=True) as tx:
        upload = await find_unfinished(tx, upload_id)
        assert upload is not None
        return upload.killed_there, upload.kills, upload.attempt_id is not None


async def due(service: Service, *, is_small: bool = True) -> list[UUID]:
    async with service.database.transaction(read_only=True) as tx:
        return [each.id for each in await scheduling.list_due(tx, is_small=is_small)]


async def test_partners_are_served_in_turn_however_many_uploads_one_has(
    service: Service, pseb: Caller, pasha: Caller
) -> None:
    first, second, third = [await uploads.submit(pseb, body(1, f"{i}-")) for i in range(3)]
    other, later = [await uploads.submit(pasha, body(1, f"{i}-")) for i in range(2)]
    taken = []
    while waiting := await due(service):
        await ingest(service.database, waiting[0], 10, 10)
        taken.append(waiting[0])
    assert taken in (
        [first, other, second, later, third],
        [other, first, later, second, third],
    )


async def test_small_and_large_uploads_are_scheduled_separately(
    service: Service, pseb: Caller, pasha: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.bulk_uploads.rules.SMALL_LINES", 5)
    large, small = [await uploads.submit(pseb, body(rows, f"{rows}-")) for rows in (9, 1)]
    other = await uploads.submit(pasha, body(9))
    assert await due(service) == [small]
    await ingest(service.database, small, 10, 10)
    await ingest(service.database, other, 10, 10)
    more = await uploads.submit(pasha, body(9, "more-"))
    assert await due(service, is_small=False) == [large, more]


async def test_an_upload_that_kills_its_worker_three_times_fails_and_says_so(service: Service, pseb: Caller) -> None:
    upload_id = await uploads.submit(pseb, body(3))
    for _ in range(3):
        await killed(service, upload_id)
    assert (await uploads.get(pseb, upload_id))["status"] == "received"
    await service.ingest_all()
    failed = await uploads.get(pseb, upload_id)
    assert (failed["status"], failed["rows_done"], failed["problem"]["code"]) == ("failed", 0, "processing_aborted")
    assert "3 times in a row while it read the file" in failed["problem"]["detail"]
    async with service.database.transaction(read_only=True) as tx:
        assert await read_part(tx, upload_id, 0) is None
    event = (await events.wait_for_event(pseb, "bulk_upload.failed"))[-1]
    assert (event["subject_id"], event["details"]["code"]) == (str(upload_id), "processing_aborted")


async def test_kills_with_progress_between_them_do_not_fail_an_upload(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.submit(pseb, body(60))
    with monkeypatch.context() as patched:
        patched.setattr(scheduling, "_end_attempt", nothing)  # as if the worker had been killed where it stopped
        process, stops = ingesting._process_rows, iter(range(1, 9))
        for stop_after in stops:
            calls = 0

            async def stopping(*arguments: Any, stop_after: int = stop_after) -> Any:
                nonlocal calls
                calls += 1
                if calls > (stop_after % 2):
                    raise asyncio.CancelledError
                return await process(*arguments)

            patched.setattr(ingesting, "_process_rows", stopping)
            with pytest.raises(asyncio.CancelledError):
                await ingest(service.database, upload_id, 10, 100)
    assert (await kills(service, upload_id))[1] == 7
    await service.ingest_all(10)
    done = await uploads.get(pseb, upload_id)
    assert (done["status"], done["counts"]["created"]) == ("completed", 60)


async def nothing(*_: Any) -> None:
    """Replace what a killed worker does not do."""


async def test_a_dry_run_that_is_killed_at_the_same_row_each_time_fails_although_it_restarts(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.submit(pseb, body(30), dry_run=True)
    process = ingesting._process_rows

    async def stopping(*arguments: Any) -> Any:
        if (await uploads.get(pseb, upload_id))["rows_done"] == 20:
            raise asyncio.CancelledError
        return await process(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(scheduling, "_end_attempt", nothing)
        patched.setattr(ingesting, "_process_rows", stopping)
        for _ in range(3):
            with pytest.raises(asyncio.CancelledError):
                await ingest(service.database, upload_id, 10, 100)
        await ingest(service.database, upload_id, 10, 100)
    failed = await uploads.get(pseb, upload_id)
    assert (failed["status"], failed["problem"]["code"]) == ("failed", "processing_aborted")
    assert "after 20 rows" in failed["problem"]["detail"]


async def test_stopping_a_worker_and_an_outage_do_not_count_as_kills(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.submit(pseb, body(3))
    await killed(service, upload_id)
    for fault in (asyncio.CancelledError, ConnectionError, asyncio.CancelledError, ConnectionError):

        async def end(*_: Any, fault: type[BaseException] = fault) -> Any:
            raise fault

        with monkeypatch.context() as patched:
            patched.setattr(ingesting, "_process_rows", end)
            with pytest.raises(fault):
                await ingest(service.database, upload_id, 10, 100)
        assert await kills(service, upload_id) == (1, 1, False)
    await service.ingest_all()
    assert (await uploads.get(pseb, upload_id))["status"] == "completed"


async def test_a_worker_that_another_counted_as_killed_corrects_the_count_when_it_ends(
    service: Service, pseb: Caller
) -> None:
    upload_id = await uploads.submit(pseb, body(3))
    attempt = await killed(service, upload_id)  # it lost its connection, but lives
    await killed(service, upload_id)
    assert await kills(service, upload_id) == (1, 1, True)
    await scheduling._end_attempt(service.database, upload_id, attempt)
    assert await kills(service, upload_id) == (0, 0, True)


async def test_opening_a_workbook_and_reading_it_are_distinct_places(service: Service, pseb: Caller) -> None:
    answer = await uploads.send(pseb, uploads.xlsx_of([uploads.row("A")]), upload_format="xlsx")
    upload_id = UUID(answer.json()["id"])
    await killed(service, upload_id)

    async def place() -> int | None:
        async with service.database.transaction(read_only=True) as tx:
            upload = await find_unfinished(tx, upload_id)
            assert upload is not None
            return upload.attempt_place

    assert await place() == OPENING_WORKBOOK
    await postgres.execute(service.settings.database_url, "UPDATE bulk_uploads SET columns = '{track}'")
    await killed(service, upload_id)
    assert await place() == READING_FILE
    assert await kills(service, upload_id) == (1, 1, True)


class DyingReader(segments.SegmentReader):
    """A reader whose process ends, as by a file that crashes it."""

    def read(self, body: bytes, start: Position) -> segments.SegmentRows:  # noqa: ARG002 - the reader's interface
        """End the process."""
        os._exit(9)


@pytest.mark.slow
async def test_a_file_that_kills_the_subprocess_that_reads_it_fails_too(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.submit(pseb, body(3))
    monkeypatch.setattr(segments, "MIN_SUBPROCESS_BYTES", 0)
    monkeypatch.setattr(chunks, "SegmentReader", DyingReader)
    for _ in range(3):
        with pytest.raises(Exception, match="terminated abruptly"):
            await ingest(service.database, upload_id, 10, 100)
    await ingest(service.database, upload_id, 10, 100)
    failed = await uploads.get(pseb, upload_id)
    assert (failed["status"], failed["problem"]["code"]) == ("failed", "processing_aborted")
