"""Callers that ask for much and take nothing of it, more than there are connections."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.attacks import served
from tests.attacks.witness import Report

READERS = 1_100  # more than MAX_CONNECTIONS
MUCH = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.timeout(180)
async def test_nobody_new_is_refused_for_readers_that_take_nothing(
    witness: Callable[[], AbstractContextManager[Report]], url: str
) -> None:
    before, held = served.memory_of(url), []
    with witness() as report:
        for _ in range(READERS):
            held.append(await served.connected(url, window=4_096))
            await served.send(held[-1], MUCH)
        await asyncio.sleep(5)
        grown = served.memory_of(url) - before
    for each in held:
        each.close()
    print(f"liveness {max(report.liveness, default=0):.2f} submission {max(report.submissions, default=0):.2f} "
          f"failures {len(report.failures)} grown {grown:.0f} MiB")  # fmt: skip
    report.assert_served()
    assert grown < 250  # of 1,100 answers of 0.4 MB each


@pytest.mark.timeout(180)
async def test_silent_connections_make_room_for_new_ones(
    witness: Callable[[], AbstractContextManager[Report]], url: str
) -> None:
    held = []
    with witness() as report:
        for _ in range(2 * READERS):
            held.append(await served.connected(url))
        await asyncio.sleep(3)
    for each in held:
        each.close()
    report.assert_served()
