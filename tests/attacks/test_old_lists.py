"""Callers who ask for lists of earlier serials, which have to be made again, keep nobody from the service."""

import asyncio
import time

import httpx
import pytest

from tests.attacks.witness import Brief, witnessing
from tests.support import cases, feed
from tests.support.feed import FEED, addresses
from tests.support.service import Caller, Service

pytestmark = pytest.mark.slow

WIDTH = 20_000
SERIALS = 40
CALLERS = 40
SECONDS = 6.0
PACE_SECONDS = 1 / 3
TOKEN_SECONDS = 2.0
ATTEMPTS = 4


@pytest.fixture
async def history(service: Service) -> None:
    """A list of 20,000 networks with forty serials behind it."""
    await feed.published(service, *addresses(WIDTH, start=1))
    await feed.long_history(service, 2, SERIALS, WIDTH)


class Attack:
    """Forty callers at three requests a second, and one who requests a token meanwhile."""

    def __init__(self, url: str, caller: Caller) -> None:
        self._url = url
        self._caller = caller
        self._ends = 0.0
        self.statuses: list[int] = []
        self.tokens: list[float] = []

    async def run(self, fields: dict[str, str], *, query: str) -> None:
        """Ask until the time is over, each caller for serial after serial."""
        self._ends = time.monotonic() + SECONDS
        limits = httpx.Limits(max_connections=CALLERS)
        who = self._caller.credentials
        basic = (who.client_id, who.client_secret)
        async with httpx.AsyncClient(base_url=self._url, auth=basic, headers=fields, limits=limits, timeout=30) as http:
            await http.get(FEED)  # from now on the credentials are known
            await asyncio.gather(self._token(), *(self._ask(http, n, query) for n in range(CALLERS)))

    async def _ask(self, http: httpx.AsyncClient, first: int, query: str) -> None:
        serial = first
        while time.monotonic() < self._ends:
            answer = await http.get(f"{FEED}/snapshots/{serial % (SERIALS - 1) + 1}{query}")
            self.statuses.append(answer.status_code)
            serial += 1
            await asyncio.sleep(PACE_SECONDS)

    async def _token(self) -> None:
        who = self._caller.credentials
        async with httpx.AsyncClient(base_url=self._url, auth=(who.client_id, who.client_secret), timeout=30) as http:
            while time.monotonic() < self._ends:
                began = time.monotonic()
                answer = await http.post("/oauth/token", data={"grant_type": "client_credentials"})
                assert answer.status_code == 200, answer.text
                self.tokens.append(time.monotonic() - began)
                await asyncio.sleep(PACE_SECONDS)


async def bystander(service: Service, url: str, name: str) -> Brief:
    """A caller during an attack who has submitted nothing yet."""
    caller = await service.caller(name)
    applicant = await caller.post("/v1/applicants", json=cases.company())
    return Brief(url, caller.credentials.client_id, caller.credentials.client_secret, applicant.json()["id"])


async def statuses_during(service: Service, url: str, caller: Caller, tag: str, query: str) -> list[int]:
    """The statuses that the attackers got in an attack beside which everybody else was served in time.

    A machine that is busy with something else gets more than one attempt.
    """
    for attempt in range(ATTEMPTS):
        attack = Attack(url, caller)
        with witnessing(await bystander(service, url, f"bystander-{attempt}")) as report:
            await attack.run({"If-None-Match": tag}, query=query)
        try:
            report.assert_served()
            assert max(attack.tokens) < TOKEN_SECONDS, f"a token took {max(attack.tokens):.2f} s"
        except AssertionError:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            break
    assert len(attack.statuses) > CALLERS
    return attack.statuses


async def test_callers_that_hold_old_lists_are_told_so_and_nobody_waits(
    history: None, service: Service, url: str, nayatel: Caller
) -> None:
    assert set(await statuses_during(service, url, nayatel, "*", "?format=text")) == {304}


async def test_old_lists_that_have_to_be_made_again_keep_nobody_waiting(
    history: None, service: Service, url: str, nayatel: Caller
) -> None:
    statuses = await statuses_during(service, url, nayatel, '"another"', "?format=mikrotik")
    assert {200} <= set(statuses) <= {200, 503}
