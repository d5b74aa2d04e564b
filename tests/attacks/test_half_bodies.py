"""Bodies that are all but whole: they take no memory of the service, and hold nobody up."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.attacks import served
from tests.attacks.witness import Report
from tests.support.service import Caller

SENDERS = 60
SIZE = 4 * 1024 * 1024
Witness = Callable[[], AbstractContextManager[Report]]


async def _attack(url: str, head: bytes, size: int, senders: int) -> tuple[float, set[int | None]]:
    """Send all but one byte of bodies; gives the MiB by which the process grew, and what was answered."""
    before = served.memory_of(url)
    held = [await served.connected(url) for _ in range(senders)]
    whole = head + f"Host: x\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * (size - 1)
    sending = [asyncio.create_task(served.send(each, whole)) for each in held]
    await asyncio.sleep(5)
    grown = served.memory_of(url) - before
    statuses = {await served.status_of(each, seconds=0.01) for each in held}
    for task in sending:
        task.cancel()
    for each in held:
        each.close()
    return grown, statuses


@pytest.mark.timeout(120)
async def test_bodies_of_nobody_known_are_answered_and_not_held(witness: Witness, url: str) -> None:
    head = b"POST /v1/registrations HTTP/1.1\r\nContent-Type: application/json\r\n"
    grown, statuses = await served.survive(witness, lambda: _attack(url, head, SIZE, SENDERS))
    assert statuses <= {0, 401}
    assert grown < 40


@pytest.mark.timeout(120)
async def test_bodies_of_one_client_share_its_budget(witness: Witness, url: str, pseb: Caller) -> None:
    fields = f"Content-Type: application/json\r\nAuthorization: Bearer {served.token(url, pseb)}\r\n"
    head = f"POST /v1/registrations HTTP/1.1\r\n{fields}".encode()
    grown, statuses = await served.survive(witness, lambda: _attack(url, head, SIZE, SENDERS))
    assert statuses <= {None, 0, 429}
    assert grown < 80


@pytest.mark.timeout(120)
async def test_half_forms_on_every_connection_keep_nobody_from_a_token(witness: Witness, url: str) -> None:
    head = b"POST /oauth/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    grown, _ = await served.survive(witness, lambda: _attack(url, head, 16_000, 1_100))
    assert grown < 120
