"""Expensive work has a few slots, and one caller cannot take them from others."""

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest

from app.allowlist.serving.work_slots import WorkSlots
from app.core.errors import Unavailable


async def hold(slots: WorkSlots, caller: str, until: asyncio.Event, log: list[str]) -> None:
    async with slots.slot(caller):
        log.append(caller)
        await until.wait()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_work_that_gets_no_slot_in_time_is_unavailable() -> None:
    slots = WorkSlots(at_once=1, patience=0.01)
    async with slots.slot("a"):
        with pytest.raises(Unavailable):
            async with slots.slot("b"):
                pass
    async with slots.slot("b"):  # nothing was lost
        pass


async def test_one_caller_has_one_slot_and_the_others_get_theirs() -> None:
    slots, until, log = WorkSlots(at_once=2), asyncio.Event(), list[str]()
    greedy = [asyncio.create_task(hold(slots, "greedy", until, log)) for _ in range(5)]
    await settled()
    modest = asyncio.create_task(hold(slots, "modest", until, log))
    await settled()
    assert log == ["greedy", "modest"]
    until.set()
    await asyncio.gather(*greedy, modest)
    assert log.count("greedy") == 5


async def test_a_caller_with_too_much_work_waiting_is_refused_and_nobody_else() -> None:
    slots, until, log = WorkSlots(at_once=2, max_per_caller=3), asyncio.Event(), list[str]()
    waiting = [asyncio.create_task(hold(slots, "greedy", until, log)) for _ in range(3)]
    await settled()
    with pytest.raises(Unavailable):
        async with slots.slot("greedy"):
            pass
    async with slots.slot("modest"):
        pass
    until.set()
    await asyncio.gather(*waiting)


async def test_who_leaves_while_waiting_takes_no_slot_along() -> None:
    slots, until, log = WorkSlots(at_once=1), asyncio.Event(), list[str]()
    first = asyncio.create_task(hold(slots, "a", until, log))
    await settled()
    for caller in ("a", "b"):
        leaving = asyncio.create_task(hold(slots, caller, until, log))
        await settled()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    until.set()
    await first
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(slots.slot("a"))
    assert log == ["a"]


async def test_a_slot_is_held_as_long_as_its_thread_runs_though_the_caller_has_left() -> None:
    slots, go_on = WorkSlots(at_once=1, patience=0.05), threading.Event()
    leaving = asyncio.create_task(slots.in_thread("a", go_on.wait))
    await settled()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    with pytest.raises(Unavailable):
        await slots.in_thread("b", int)
    go_on.set()
    assert await slots.in_thread("b", int) == 0
