"""Wrong secrets from the address of a proxy, behind which all callers stand."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest

from app.partners.rules import PartnerKind
from tests.attacks import served
from tests.attacks.witness import Report
from tests.support import feed
from tests.support.service import Service

GRANT = {"grant_type": "client_credentials"}
SECONDS = 6
GUESSERS = 4


@pytest.mark.timeout(120)
async def test_right_secrets_go_on_beside_wrong_ones_from_the_same_address(
    witness: Callable[[], AbstractContextManager[Report]], service: Service, url: str
) -> None:
    nayatel = await service.credentials("nayatel", PartnerKind.OPERATOR, operator="nayatel")
    await feed.published(service, *feed.addresses(3))
    right, wrong = (nayatel.client_id, nayatel.client_secret), (nayatel.client_id, "wrong")

    async def attack() -> tuple[Counter[int], Counter[int], float]:
        guessed, answered, slowest = Counter[int](), Counter[int](), 0.0
        ends = time.monotonic() + SECONDS

        async def guess(http: httpx.AsyncClient, number: int) -> None:
            while time.monotonic() < ends:
                names = (wrong, (f"nobody.{number}", "wrong"))
                guessed.update([(await http.post("/oauth/token", data=GRANT, auth=auth)).status_code for auth in names])
                guessed[(await http.get(feed.FEED, auth=wrong)).status_code] += 1

        async def log_in(http: httpx.AsyncClient) -> None:
            nonlocal slowest
            while time.monotonic() < ends:
                began = time.monotonic()
                answered[(await http.post("/oauth/token", data=GRANT, auth=right)).status_code] += 1
                answered[(await http.get(feed.FEED, auth=right)).status_code] += 1
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.1)

        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            await asyncio.gather(log_in(http), *(guess(http, number) for number in range(GUESSERS)))
        return guessed, answered, slowest

    guessed, answered, _ = await served.survive(witness, attack)
    assert guessed[429] > 0
    assert guessed.total() > 60
    assert set(guessed) <= {401, 429}
    assert set(answered) == {200}
