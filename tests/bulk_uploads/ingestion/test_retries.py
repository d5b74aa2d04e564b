"""An upload with an internal error is retried, and its submitter sees why it is delayed."""

import asyncio
import errno
import gc
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.bulk_uploads.ingestion import chunks
from app.bulk_uploads.ingestion import ingest as ingesting
from app.bulk_uploads.ingestion.ingest import ingest
from app.bulk_uploads.ingestion.segments import SegmentReader
from app.bulk_uploads.models import BulkUpload
from app.core.database.engine import Database
from tests.support import postgres, uploads
from tests.support.service import Caller, Service


def rows(count: int) -> list[dict[str, str]]:
    return [uploads.row(f"R{i:04d}") for i in range(count)]


async def test_an_upload_with_an_internal_error_says_so_and_is_retried(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.submit(pseb, uploads.csv_of(rows(25)))
    process = ingesting._process_rows

    async def faulty(*arguments: Any) -> Any:
        if (await uploads.get(pseb, upload_id))["rows_done"] == 10:
            raise ZeroDivisionError
        return await process(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, "_process_rows", faulty)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await ingest(service.database, upload_id, 10, 1_000)
    delayed = await uploads.get(pseb, upload_id)
    assert (delayed["status"], delayed["problem"]["code"]) == ("processing", "internal")
    assert "after 10 rows" in delayed["problem"]["detail"]
    await service.ingest_all(10)
    assert (await uploads.get(pseb, upload_id))["rows_done"] == 10

    await postgres.execute(service.settings.database_url, "UPDATE bulk_uploads SET retry_at = now()")
    await service.ingest_all(10)
    done = await uploads.get(pseb, upload_id)
    assert (done["status"], done["problem"], done["counts"]["created"]) == ("completed", None, 25)


async def test_reads_ahead_of_an_internal_error_are_cancelled(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.submit(pseb, uploads.csv_of(rows(25)))
    unhandled: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    fetch, process = chunks._fetch, ingesting._process_chunks

    async def lose_later_parts(database: Database, upload_id: UUID, position: int) -> bytes | None:
        if position:
            raise ConnectionError
        return await fetch(database, upload_id, position)

    async def process_with_losses(*arguments: Any) -> None:
        monkeypatch.setattr(chunks, "_fetch", lose_later_parts)
        monkeypatch.setattr(SegmentReader, "read", fault)
        await process(*arguments)

    monkeypatch.setattr(ingesting, "_process_chunks", process_with_losses)
    with pytest.raises(ZeroDivisionError):
        await ingest(service.database, upload_id, 10, 1_000)
    gc.collect()
    await asyncio.sleep(0)
    assert unhandled == []


def fault(*_: Any) -> Any:
    raise ZeroDivisionError


async def test_an_outage_of_the_database_does_not_delay_an_upload(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.submit(pseb, uploads.csv_of(rows(3)))

    async def lost(*_: Any) -> Any:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, "_process_rows", lost)
        with pytest.raises(ConnectionError):
            await ingest(service.database, upload_id, 10, 1_000)
    assert (await uploads.get(pseb, upload_id))["problem"] is None
    await service.ingest_all(10)
    assert (await uploads.get(pseb, upload_id))["status"] == "completed"


@pytest.mark.parametrize(("dry_run", "pauses"), [(False, [5, 5, 10]), (True, [5, 10, 20])])
async def test_progress_resets_the_retry_delay_except_in_a_dry_run(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch, dry_run: bool, pauses: list[int]
) -> None:
    upload_id = await uploads.submit(pseb, uploads.csv_of(rows(25)), dry_run=dry_run)
    process, fails_at, waited = ingesting._process_rows, [0, 10, 10], []

    async def faulty(*arguments: Any) -> Any:
        if (await uploads.get(pseb, upload_id))["rows_done"] == fails_at[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return await process(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, "_process_rows", faulty)
        while fails_at:
            began = datetime.now(UTC)
            with pytest.raises(OSError, match="No space"):
                await ingest(service.database, upload_id, 10, 1_000)
            async with service.database.transaction(read_only=True) as tx:
                retry_at = await tx.scalar(select(BulkUpload.retry_at))
            assert retry_at is not None
            waited.append(5 * round((retry_at - began).total_seconds() / 5))
            fails_at.pop(0)
    assert waited == pauses
    assert (await uploads.get(pseb, upload_id))["problem"]["code"] == "internal"
