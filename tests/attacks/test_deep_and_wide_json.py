"""JSON of very many values and of very many levels, without a token and with one."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest

from tests.attacks import served
from tests.attacks.witness import Report
from tests.support.service import Caller

BODIES = [b"[[],[]," * 590_000, b"[" * 4_000_000, b'{"a":' * 800_000, b'{"networks":[' + b'"",' * 1_300_000]
SECONDS = 6
Witness = Callable[[], AbstractContextManager[Report]]


async def _attack(url: str, path: str, headers: dict[str, str]) -> set[int]:
    """Send the bodies on several connections for a while; gives the statuses of the answers."""
    statuses: set[int] = set()
    ends = time.monotonic() + SECONDS

    async def repeat(body: bytes) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            while time.monotonic() < ends:
                try:
                    answer = await http.post(
                        path, content=body, headers={"Content-Type": "application/json", **headers}
                    )
                except httpx.TransportError:  # closed before it was sent whole
                    continue
                statuses.add(answer.status_code)

    await asyncio.gather(*(repeat(body) for body in BODIES))
    return statuses


@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", ["/v1/registrations", "/v1/applicants"])
async def test_json_without_a_token_holds_nobody_up(witness: Witness, url: str, path: str) -> None:
    statuses = await served.survive(witness, lambda: _attack(url, path, {}))
    assert statuses <= {401}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", ["/v1/registrations", "/v1/applicants"])
async def test_json_of_a_client_holds_nobody_up(witness: Witness, url: str, path: str, pseb: Caller) -> None:
    headers = {"Authorization": f"Bearer {served.token(url, pseb)}"}
    statuses = await served.survive(witness, lambda: _attack(url, path, headers))
    assert statuses <= {422, 429}
