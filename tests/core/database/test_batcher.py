"""A batcher delays no single item, returns each outcome to its caller, and isolates errors."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from app.core.database.batcher import PAUSE_SECONDS, Batcher
from app.core.errors import Unavailable


class Work:
    """Doubles numbers, a batch at a time, once it is allowed to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.may_go_on.wait()
        if 13 in numbers:
            raise ValueError("thirteen")
        if 404 in numbers:
            raise ConnectionError("the database is away")
        return [2 * number for number in numbers]


async def _under_way(work: Work, batcher: Batcher[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    """Return tasks that wait for these numbers while another is worked on."""
    work.may_go_on.clear()
    first = asyncio.create_task(batcher.process(0))
    await asyncio.sleep(0.01)
    tasks = [asyncio.create_task(batcher.process(number)) for number in numbers]
    await asyncio.sleep(0.01)
    assert work.batches == [[0]]
    work.may_go_on.set()
    assert await first == 0
    return tasks


async def test_a_fault_of_one_item_is_not_raised_for_another() -> None:
    work = Work()
    tasks = await _under_way(work, Batcher(work.double, 10), 1, 13, 2)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == (2, 4)
    assert isinstance(outcomes[1], ValueError)
    assert work.batches == [[0], [1, 13, 2], [1], [13], [2]]


async def test_an_outage_is_everybodys_and_the_next_are_served_again() -> None:
    work = Work()
    batcher = Batcher(work.double, 10)
    tasks = await _under_way(work, batcher, 1, 404, 2)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError] * 3
    assert work.batches == [[0], [1, 404, 2]]
    assert await batcher.process(3) == 6


async def test_a_cancelled_caller_does_not_affect_the_others() -> None:
    work = Work()
    batcher = Batcher(work.double, 10)
    work.may_go_on.clear()
    tasks = [asyncio.create_task(batcher.process(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    tasks[1].cancel()
    work.may_go_on.set()
    assert await tasks[2] == 6
    assert [number for batch in work.batches for number in batch] == [1, 2, 3]
    await asyncio.sleep(10 * PAUSE_SECONDS)
    assert batcher.is_idle


async def test_what_comes_meanwhile_goes_next_and_at_most_so_many_at_once() -> None:
    work = Work()
    tasks = await _under_way(work, Batcher(work.double, 2), 1, 2, 3)
    assert await asyncio.gather(*tasks) == [2, 4, 6]
    assert work.batches == [[0], [1, 2], [3]]


async def test_a_single_item_is_processed_alone_and_at_once() -> None:
    work = Work()
    batcher = Batcher(work.double, 10)
    assert [await batcher.process(number) for number in (1, 2)] == [2, 4]
    assert work.batches == [[1], [2]]


async def test_callers_that_call_again_at_once_are_in_one_batch() -> None:
    work = Work()
    batcher = Batcher(work.double, 10)

    async def ask(number: int) -> None:
        for _ in range(3):
            await batcher.process(number)

    await asyncio.gather(*map(ask, (1, 2, 3)))
    assert [sorted(batch) for batch in work.batches] == [[1, 2, 3]] * 3


async def test_a_batch_does_not_have_the_context_of_one_request() -> None:
    request_id = ContextVar("request_id", default="nobody's")
    said = []

    async def look(items: Sequence[int]) -> Sequence[int]:
        said.append(request_id.get())
        return items

    request_id.set("the first one's")
    await Batcher(look, 10).process(1)
    assert said == ["nobody's"]


async def test_an_error_is_raised_for_its_caller() -> None:
    async def refuse(_: Sequence[int]) -> Sequence[int]:
        raise Unavailable

    with pytest.raises(Unavailable):
        await Batcher(refuse, 10).process(1)
