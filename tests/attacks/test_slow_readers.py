"""Callers that ask for much and take nothing of it, more than there are connections."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.attacks import served
from tests.attacks.witness import Report

READERS = 1_100  # more than MAX_CONNECTIONS
Witness = Callable[[], AbstractContextManager[Report]]
MUCH = 20 * b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"  # more than a system holds of an answer


@pytest.mark.timeout(180)
async def test_nobody_new_is_refused_for_readers_that_take_nothing(witness: Witness, url: str) -> None:
    async def attack() -> float:
        before, held = served.memory_of(url), []
        for _ in range(READERS):
            held.append(await served.connected(url, window=4_096))
            await served.send(held[-1], MUCH)
        await asyncio.sleep(5)
        grown = served.memory_of(url) - before
        for each in held:
            each.close()
        return grown

    grown = await served.survive(witness, attack)
    assert grown < 250  # of 1,100 answers of 0.4 MB each


@pytest.mark.timeout(180)
async def test_silent_connections_make_room_for_new_ones(witness: Witness, url: str) -> None:
    async def attack() -> None:
        held = []
        for number in range(2 * READERS):
            held.append(await served.connected(url))
            if number % 100 == 0:
                await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        for each in held:
            each.close()

    await served.survive(witness, attack)
