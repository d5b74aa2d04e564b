"""Callers within a second share one read and its error."""

import asyncio
from contextlib import suppress

import pytest

from app.core.limits.shared_read import SharedRead


class Source:
    """A source that counts its reads."""

    def __init__(self) -> None:
        self.read = 0
        self.fails = False

    async def __call__(self) -> int:
        self.read += 1
        reading = self.read
        await asyncio.sleep(0)
        if self.fails:
            raise OSError
        return reading


async def test_callers_at_the_same_time_or_soon_after_share_one_read() -> None:
    source = Source()
    shared = SharedRead(source, 60)
    assert await asyncio.gather(*(shared.get() for _ in range(50))) == [1] * 50
    assert await shared.get() == 1


async def test_it_reads_again_after_its_time() -> None:
    shared = SharedRead(Source(), 0)
    assert [await shared.get(), await shared.get()] == [1, 2]


async def test_a_failure_is_shared_and_does_not_stay() -> None:
    source = Source()
    source.fails = True
    shared = SharedRead(source, 60)
    failed = await asyncio.gather(*(shared.get() for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in failed] == [OSError] * 5
    assert source.read == 1
    source.fails = False
    shared = SharedRead(source, 0)
    assert await shared.get() == 2


async def test_one_that_leaves_does_not_take_the_reading_from_the_others() -> None:
    shared = SharedRead(Source(), 60)
    leaving, staying = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        leaving.result()
