"""The lanes of a worker: no small file waits behind a large one, or behind those of another partner."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.bulk_uploads.ingestion import ingest as ingesting
from app.bulk_uploads.ingestion import scheduling
from app.bulk_uploads.ingestion.lanes import Lanes
from app.bulk_uploads.ingestion.registering import UploadContext
from tests.support import postgres, processes, uploads
from tests.support.service import Caller, Service

SMALL_LINES = 5


@pytest.fixture
def lanes(service: Service, monkeypatch: pytest.MonkeyPatch) -> Lanes:
    """Lanes for which a file of six lines is large."""
    monkeypatch.setattr("app.bulk_uploads.rules.SMALL_LINES", SMALL_LINES)
    return Lanes(service.database, service.settings)


def body(rows: int, prefix: str = "R") -> bytes:
    return uploads.csv_of([uploads.row(f"{prefix}{i:03d}") for i in range(rows)])


class Gate:
    """Blocks the uploads in ``held`` before their first chunk, as if they took long."""

    def __init__(self, held: set[UUID]) -> None:
        self.held = held
        self.begun = set[UUID]()
        self.opened = asyncio.Event()
        self._process = ingesting._process_rows

    async def process_rows(self, tx: Any, context: UploadContext, *arguments: Any) -> Any:
        self.begun.add(context.upload.id)
        if context.upload.id in self.held:
            await self.opened.wait()
        return await self._process(tx, context, *arguments)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(set())
    monkeypatch.setattr(ingesting, "_process_rows", gate.process_rows)
    return gate


@asynccontextmanager
async def running(*lanes: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run lanes while the block runs."""
    tasks = [asyncio.ensure_future(lane()) for lane in lanes]
    yield
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until_done(caller: Caller, upload_id: UUID) -> None:
    async def is_done() -> bool:
        return bool((await uploads.get(caller, upload_id))["status"] == "completed")

    await processes.until(is_done)


async def until_begun(gate: Gate, upload_id: UUID) -> None:
    async def has_begun() -> bool:
        return upload_id in gate.begun

    await processes.until(has_begun)


async def test_one_row_is_done_while_large_files_of_another_partner_are_under_way(
    pseb: Caller, pasha: Caller, lanes: Lanes, gate: Gate
) -> None:
    large = [await uploads.submit(pseb, body(9, f"{i}-"), dry_run=True) for i in range(12)]
    gate.held.update(large)
    async with running(lanes.process_large):
        await until_begun(gate, large[0])
        one = await uploads.submit(pasha, body(1))
        async with running(lanes.process_small):
            await until_done(pasha, one)
        assert gate.begun == {large[0], one}
        gate.opened.set()
        await until_done(pseb, large[-1])


async def test_a_partner_with_slow_small_files_leaves_a_lane_to_the_others(
    pseb: Caller, pasha: Caller, lanes: Lanes, gate: Gate
) -> None:
    slow = [await uploads.submit(pseb, body(2, f"{i}-")) for i in range(3)]
    gate.held.update(slow)
    async with running(lanes.process_small):
        await until_begun(gate, slow[0])
        one = await uploads.submit(pasha, body(1))
        async with running(lanes.process_small):
            await until_done(pasha, one)
        assert gate.begun == {slow[0], one}
        gate.opened.set()
        await until_done(pseb, slow[-1])


async def test_a_workbook_with_many_rows_is_left_to_the_large_lane(
    service: Service, pseb: Caller, lanes: Lanes
) -> None:
    answer = await uploads.send(pseb, uploads.xlsx_of([uploads.row(f"R{i}") for i in range(9)]), upload_format="xlsx")
    upload_id = UUID(answer.json()["id"])
    await lanes.process_small()
    assert (await uploads.get(pseb, upload_id))["rows_done"] == 0
    async with service.database.transaction(read_only=True) as tx:
        assert [each.id for each in await scheduling.list_due(tx, is_small=False)] == [upload_id]
    await lanes.process_large()
    assert (await uploads.get(pseb, upload_id))["counts"]["created"] == 9


async def test_an_upload_that_cannot_be_ingested_keeps_none_of_its_partner_waiting(
    pseb: Caller, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = [await uploads.submit(pseb, body(1, f"{i}-")) for i in range(2)]
    process = ingesting._process_rows

    async def timing_out(tx: Any, context: UploadContext, *arguments: Any) -> Any:
        if context.upload.id == stuck:
            raise ConnectionError
        return await process(tx, context, *arguments)

    monkeypatch.setattr(ingesting, "_process_rows", timing_out)
    await lanes.process_small()
    states = [(await uploads.get(pseb, each))["status"] for each in (stuck, other)]
    assert states == ["processing", "completed"]


async def test_of_uploads_at_which_workers_were_killed_only_one_at_a_time_is_processed(
    service: Service, pseb: Caller, pasha: Caller, lanes: Lanes, gate: Gate
) -> None:
    suspects = [await uploads.submit(pseb, body(9)), await uploads.submit(pasha, body(1))]
    for upload_id in suspects * 2:
        await scheduling._begin_attempt(service.database, upload_id, uuid4())
    gate.held.update(suspects)
    async with running(lanes.process_large):
        await until_begun(gate, suspects[0])
        await lanes.process_small()
        assert gate.begun == {suspects[0]}
        gate.opened.set()
        await until_done(pseb, suspects[0])
    await lanes.process_small()
    await until_done(pasha, suspects[1])


@pytest.mark.parametrize(("pool", "small"), [(5, 1), (7, 1), (10, 2), (100, 2)])
def test_there_are_as_many_lanes_as_the_pool_has_connections_for(service: Service, pool: int, small: int) -> None:
    settings = postgres.settings_for(service.settings.database_url, database_pool=pool)
    names = [name for name, _ in Lanes(service.database, settings).loops()]
    assert names == ["ingest large", *(f"ingest small {i}" for i in range(small))]
