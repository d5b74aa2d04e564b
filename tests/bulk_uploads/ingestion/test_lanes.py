"""What a worker has under way at once: no small file waits behind a large one, nor behind another partner's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.bulk_uploads.ingestion import ingest as ingesting
from app.bulk_uploads.ingestion import scheduling
from app.bulk_uploads.ingestion.lanes import Lanes
from app.bulk_uploads.models import BulkUpload
from tests.support import postgres, processes, uploads
from tests.support.service import Caller, Service

SMALL_LINES = 5


@pytest.fixture
def lanes(service: Service, monkeypatch: pytest.MonkeyPatch) -> Lanes:
    """Lanes to which six lines are a large file."""
    monkeypatch.setattr("app.bulk_uploads.rules.SMALL_LINES", SMALL_LINES)
    return Lanes(service.database, service.settings)


def body(rows: int, prefix: str = "R") -> bytes:
    return uploads.csv_of([uploads.row(f"{prefix}{i:03d}") for i in range(rows)])


class Gate:
    """Holds uploads up before their first chunk, as heavy ones are."""

    def __init__(self, held: set[UUID]) -> None:
        self.held = held
        self.begun = set[UUID]()
        self.opened = asyncio.Event()
        self._judge = ingesting._judge

    async def judge(self, tx: Any, principal: Any, upload: BulkUpload, *given: Any) -> Any:
        self.begun.add(upload.id)
        if upload.id in self.held:
            await self.opened.wait()
        return await self._judge(tx, principal, upload, *given)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(set())
    monkeypatch.setattr(ingesting, "_judge", gate.judge)
    return gate


@asynccontextmanager
async def under_way(*takes: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """The lanes at work while the block runs."""
    tasks = [asyncio.ensure_future(take()) for take in takes]
    yield
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def done(caller: Caller, upload_id: UUID) -> None:
    async def is_done() -> bool:
        return bool((await uploads.state(caller, upload_id))["status"] == "completed")

    await processes.until(is_done)


async def begun(gate: Gate, upload_id: UUID) -> None:
    async def has_begun() -> bool:
        return upload_id in gate.begun

    await processes.until(has_begun)


async def test_one_row_is_done_while_large_files_of_another_partner_are_under_way(
    pseb: Caller, pasha: Caller, lanes: Lanes, gate: Gate
) -> None:
    large = [await uploads.received(pseb, body(9, f"{i}-"), dry_run=True) for i in range(12)]
    gate.held.update(large)
    async with under_way(lanes.take_large):
        await begun(gate, large[0])
        one = await uploads.received(pasha, body(1))
        async with under_way(lanes.take_small):
            await done(pasha, one)
        assert gate.begun == {large[0], one}
        gate.opened.set()
        await done(pseb, large[-1])


async def test_a_partner_with_heavy_small_files_leaves_a_lane_to_the_others(
    pseb: Caller, pasha: Caller, lanes: Lanes, gate: Gate
) -> None:
    heavy = [await uploads.received(pseb, body(2, f"{i}-")) for i in range(3)]
    gate.held.update(heavy)
    async with under_way(lanes.take_small):
        await begun(gate, heavy[0])
        one = await uploads.received(pasha, body(1))
        async with under_way(lanes.take_small):
            await done(pasha, one)
        assert gate.begun == {heavy[0], one}
        gate.opened.set()
        await done(pseb, heavy[-1])


async def test_a_workbook_that_turns_out_to_hold_many_rows_is_left_to_the_large_ones(
    service: Service, pseb: Caller, lanes: Lanes
) -> None:
    answer = await uploads.send(pseb, uploads.xlsx_of([uploads.row(f"R{i}") for i in range(9)]), upload_format="xlsx")
    upload_id = UUID(answer.json()["id"])
    await lanes.take_small()
    assert (await uploads.state(pseb, upload_id))["rows_done"] == 0
    async with service.database.transaction(read_only=True) as tx:
        assert [each.id for each in await scheduling.in_turn(tx, is_small=False)] == [upload_id]
    await lanes.take_large()
    assert (await uploads.state(pseb, upload_id))["counts"]["created"] == 9


async def test_an_upload_that_cannot_be_ingested_keeps_none_of_its_partner_waiting(
    pseb: Caller, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, sound = [await uploads.received(pseb, body(1, f"{i}-")) for i in range(2)]
    judge = ingesting._judge

    async def timing_out(tx: Any, principal: Any, upload: BulkUpload, *given: Any) -> Any:
        if upload.id == stuck:
            raise ConnectionError
        return await judge(tx, principal, upload, *given)

    monkeypatch.setattr(ingesting, "_judge", timing_out)
    await lanes.take_small()
    states = [(await uploads.state(pseb, each))["status"] for each in (stuck, sound)]
    assert states == ["processing", "completed"]


async def test_of_uploads_at_which_workers_were_killed_twice_one_at_once_is_tried_again(
    service: Service, pseb: Caller, pasha: Caller, lanes: Lanes, gate: Gate
) -> None:
    suspects = [await uploads.received(pseb, body(9)), await uploads.received(pasha, body(1))]
    for upload_id in suspects * 2:
        await scheduling._begin(service.database, upload_id, uuid4())
    gate.held.update(suspects)
    async with under_way(lanes.take_large):
        await begun(gate, suspects[0])
        await lanes.take_small()
        assert gate.begun == {suspects[0]}
        gate.opened.set()
        await done(pseb, suspects[0])
    await lanes.take_small()
    await done(pasha, suspects[1])


@pytest.mark.parametrize(("pool", "small"), [(5, 1), (7, 1), (10, 2), (100, 2)])
def test_there_are_as_many_lanes_as_the_pool_has_connections_for(service: Service, pool: int, small: int) -> None:
    settings = postgres.settings_for(service.settings.database_url, database_pool=pool)
    names = [name for name, _ in Lanes(service.database, settings).all()]
    assert names == ["ingest large", *(f"ingest small {i}" for i in range(small))]
