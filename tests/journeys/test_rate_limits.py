"""Processes that share a database share each quota: together they let through what it says and no more."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from app.core.settings import Settings
from tests.support import processes
from tests.support.service import Caller

QUOTA = 200
FEW = 5
PATH = "/v1/tracks"


def serving(settings: Settings, **changes: str) -> Iterator[list[str]]:
    """Two API processes of one service."""
    environment = {"PUBLIC_URL": settings.public_url, **changes}
    ports = processes.free_port(), processes.free_port()
    started = [
        processes.start("serve", processes.environment(settings, PORT=str(port), **environment)) for port in ports
    ]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    try:
        for url, process in zip(urls, started, strict=True):
            processes.wait_until_live(url, process)
        yield urls
    finally:
        for process in started:
            processes.kill(process)


@pytest.fixture
def both(settings: Settings) -> Iterator[list[str]]:
    """Two processes with a day's quota, so that no window ends within the test."""
    yield from serving(settings, RATE_LIMIT_READ=str(QUOTA), RATE_LIMIT_WINDOW_SECONDS="86400")


@pytest.fixture
def quick(settings: Settings) -> Iterator[list[str]]:
    """Two processes with a small quota for every few seconds."""
    yield from serving(settings, RATE_LIMIT_READ=str(FEW), RATE_LIMIT_WINDOW_SECONDS="3")


async def asked(url: str, caller: Caller, times: int) -> list[httpx.Response]:
    """Send so many requests, eight at a time, and return the responses."""
    turn = asyncio.Semaphore(8)

    async def ask(http: httpx.AsyncClient) -> httpx.Response:
        async with turn:
            return await http.get(PATH)

    headers = {"Authorization": f"Bearer {caller.token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
        return await asyncio.gather(*(ask(http) for _ in range(times)))


async def test_two_processes_never_let_more_through_than_the_quota(both: list[str], pseb: Caller) -> None:
    answers = [each for found in await asyncio.gather(*(asked(url, pseb, QUOTA) for url in both)) for each in found]
    assert Counter(each.status_code for each in answers) == {200: QUOTA, 429: QUOTA}
    refused = [each for each in answers if each.status_code == 429]
    assert all(0 < int(each.headers["Retry-After"]) <= 86_400 for each in refused)


async def test_after_the_seconds_of_retry_after_a_request_passes_everywhere(quick: list[str], pseb: Caller) -> None:
    for _ in range(2):
        refused: list[httpx.Response] = []
        while not refused:
            found = await asyncio.gather(*(asked(url, pseb, FEW) for url in quick))
            refused = [each for answers in found for each in answers if each.status_code == 429]
        seconds = int(refused[-1].headers["Retry-After"])
        assert 0 < seconds <= 3
        await asyncio.sleep(seconds)
        again = [(await asked(url, pseb, 1))[0].status_code for url in quick]
        assert again == [200, 200]
