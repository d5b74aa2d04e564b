"""An upload that the service fails at goes on by itself, and its submitter is told."""

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
from app.bulk_uploads.models import BulkUpload
from app.core.database.engine import Database
from tests.support import postgres, uploads
from tests.support.service import Caller, Service


def rows(count: int) -> list[dict[str, str]]:
    return [uploads.row(f"R{i:04d}") for i in range(count)]


async def test_an_upload_that_the_service_fails_at_says_so_waits_and_goes_on_by_itself(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.received(pseb, uploads.csv_of(rows(25)))
    judge = ingesting._judge

    async def faulty(*given: Any) -> Any:
        if (await uploads.state(pseb, upload_id))["rows_done"] == 10:
            raise ZeroDivisionError
        return await judge(*given)

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, "_judge", faulty)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await ingest(service.database, upload_id, 10, 1_000)
    held_up = await uploads.state(pseb, upload_id)
    assert (held_up["status"], held_up["problem"]["code"]) == ("processing", "internal")
    assert "after 10 rows" in held_up["problem"]["detail"]
    await service.ingest_all(10)
    assert (await uploads.state(pseb, upload_id))["rows_done"] == 10

    await postgres.execute(service.settings.database_url, "UPDATE bulk_uploads SET retry_at = now()")
    await service.ingest_all(10)
    done = await uploads.state(pseb, upload_id)
    assert (done["status"], done["problem"], done["counts"]["created"]) == ("completed", None, 25)


async def test_what_was_fetched_and_read_ahead_of_a_fault_ends_with_it(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.received(pseb, uploads.csv_of(rows(25)))
    unasked: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unasked.append(context))
    fetch, take = chunks._fetch, ingesting._take_chunks

    async def cut_later(database: Database, upload_id: UUID, position: int) -> bytes | None:
        if position:
            raise ConnectionError
        return await fetch(database, upload_id, position)

    async def take_from_cut(*given: Any) -> None:
        monkeypatch.setattr(chunks, "_fetch", cut_later)
        monkeypatch.setattr(chunks, "read_stretch", fault)
        await take(*given)

    monkeypatch.setattr(ingesting, "_take_chunks", take_from_cut)
    with pytest.raises(ZeroDivisionError):
        await ingest(service.database, upload_id, 10, 1_000)
    gc.collect()
    await asyncio.sleep(0)
    assert unasked == []


def fault(*_: Any) -> Any:
    raise ZeroDivisionError


async def test_an_outage_of_the_database_does_not_put_an_upload_off(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await uploads.received(pseb, uploads.csv_of(rows(3)))

    async def cut(*_: Any) -> Any:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, "_judge", cut)
        with pytest.raises(ConnectionError):
            await ingest(service.database, upload_id, 10, 1_000)
    assert (await uploads.state(pseb, upload_id))["problem"] is None
    await service.ingest_all(10)
    assert (await uploads.state(pseb, upload_id))["status"] == "completed"


@pytest.mark.parametrize(("dry_run", "pauses"), [(False, [5, 5, 10]), (True, [5, 10, 20])])
async def test_who_gets_further_waits_no_longer_for_the_faults_before(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch, dry_run: bool, pauses: list[int]
) -> None:
    upload_id = await uploads.received(pseb, uploads.csv_of(rows(25)), dry_run=dry_run)
    judge, fails_at, waited = ingesting._judge, [0, 10, 10], []

    async def faulty(*given: Any) -> Any:
        if (await uploads.state(pseb, upload_id))["rows_done"] == fails_at[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return await judge(*given)

    with monkeypatch.context() as patched:
        patched.setattr(ingesting, "_judge", faulty)
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
    assert (await uploads.state(pseb, upload_id))["problem"]["code"] == "internal"
