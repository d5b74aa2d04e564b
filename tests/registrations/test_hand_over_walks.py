"""Random renewals, moves, suspensions and surrenders of one address block, with publications held and released.

At every serial the published networks do not overlap, and an address that a case in force and the one it superseded
both have is on the list.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.registrations import service as registrations
from tests.support import cases, postgres
from tests.support.service import Caller, Service

ANY = {"If-Match": "*"}
NETWORKS = ["0/28", "0/29", "0/30", "4/30", "8/29", "8/30", "12/30", "0/32", "5/32", "9/32", "14/31"]
_blocks = count()


def _span(network: str) -> range:
    first, _, length = network.partition("/")
    return range(int(first), int(first) + 2 ** (32 - int(length)))


def _are_disjoint(networks: Sequence[str]) -> bool:
    listed = [each for network in networks for each in _span(network)]
    return len(set(listed)) == len(listed)


sets = st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=4, unique=True).filter(_are_disjoint)
moves = st.sampled_from(["publish", "pass", "suspend", "surrender", "expire"])
steps = st.one_of(st.tuples(sets, st.sampled_from([0, 5])), moves)


class Walk:
    """A register with one line of cases in a block of its own, and the addresses that must be on the list."""

    def __init__(self, service: Service, caller: Caller, officer: Caller) -> None:
        self.service, self.caller, self.officer = service, caller, officer
        self.hours = 0
        self.case: dict[str, Any] = {}
        self.block = ""

    async def begin(self, networks: Sequence[str]) -> None:
        """Approve and publish the first case of a new line."""
        number = next(_blocks)
        self.block = f"203.99.{number}"
        self.case = await cases.approved(self.caller, self.officer, networks=self.named(networks))
        await self.publish()

    def named(self, networks: Sequence[str]) -> list[str]:
        """Return networks of the block in full."""
        return [f"{self.block}.{each}" for each in networks]

    async def take(self, step: Any) -> None:
        """Take a step, and compare the list after it."""
        if isinstance(step, tuple):
            await self.replace(*step)
        elif step == "pass":
            self.hours += 6
            await self.service.move_clock(timedelta(hours=self.hours))
            async with self.service.database.transaction() as tx:
                await registrations.end_hand_overs(tx)
        elif step != "publish":
            await self.change(step)
        await self.publish()

    async def replace(self, networks: Sequence[str], hours: int) -> None:
        """Replace the newest case, and approve its successor before and after a publication."""
        before = await self.listed() if self.case["status"] == "approved" else set()
        body = cases.registration(self.case["applicant_id"], networks=self.named(networks), replaces=self.case["id"])
        made = await self.caller.post("/v1/registrations", json={**body, "handover_hours": hours})
        if self.case["status"] not in ("approved", "suspended", "expired"):
            assert made.status_code in (409, 422), made.text
            return
        assert made.status_code == 201, made.text
        decided = await cases.decide(self.officer, made.json(), "approve")
        if self.case["status"] == "suspended":
            assert decided.status_code == 409
            await self.caller.post(f"/v1/registrations/{made.json()['id']}/withdraw", headers=ANY)
            current = (await self.officer.get(f"/v1/registrations/{self.case['id']}")).json()
            assert (await cases.decide(self.officer, current, "reinstate")).status_code == 201
            self.case["status"] = "approved"
            return
        assert decided.status_code == 201, decided.text
        self.case = (await self.officer.get(f"/v1/registrations/{made.json()['id']}")).json()
        await self.publish()
        wanted = {address for network in networks for address in _span(network)}
        assert before & wanted <= await self.listed()
        assert wanted <= await self.listed()

    async def change(self, step: str) -> None:
        """Suspend, surrender or expire the newest case."""
        if self.case["status"] != "approved":
            return
        if step == "surrender" and len(self.case["networks"]) > 1:
            body = {"networks": self.case["networks"][:1]}
            answer = await self.caller.post(f"/v1/registrations/{self.case['id']}/surrender", json=body, headers=ANY)
            assert answer.status_code == 200, answer.text
        elif step == "suspend":
            current = (await self.officer.get(f"/v1/registrations/{self.case['id']}")).json()
            grounds = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}
            assert (await cases.decide(self.officer, current, "suspend", **grounds)).status_code == 201
        elif step == "expire":
            self.hours += 24 * 366
            await self.service.move_clock(timedelta(hours=self.hours))
            async with self.service.database.transaction() as tx:
                await registrations.expire(tx)
        self.case = (await self.officer.get(f"/v1/registrations/{self.case['id']}")).json()

    async def publish(self) -> None:
        """Publish; the publisher refuses networks that overlap, and so does the database."""
        await self.service.publish()

    async def listed(self) -> set[int]:
        """Return the addresses of the block on the list, by their last number; no network overlaps another."""
        text = (await self.caller.get("/v1/allowlist?format=text")).text
        own = [line.rpartition(".")[2] for line in text.splitlines() if line.startswith(f"{self.block}.")]
        assert _are_disjoint(own), own
        return {address for network in own for address in _span(network)}


async def _walked(walk: Walk, first: Sequence[str], taken: Sequence[Any]) -> None:
    await walk.begin(first)
    for step in taken:
        await walk.take(step)
        await walk.listed()


async def _opened(server_url: str) -> tuple[Walk, Callable[[], Coroutine[Any, Any, None]]]:
    url = await postgres.clone(server_url)
    service = Service(postgres.settings_for(url, rate_limit_write=0, rate_limit_read=0))
    walk = Walk(service, await service.caller("pseb"), await service.officer())
    await cases.approved(walk.caller, walk.officer)  # so that the list is never empty

    async def close() -> None:
        await service.close()
        await postgres.drop(server_url, url)

    return walk, close


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_address_of_a_case_and_its_successor_is_ever_off_the_list(server_url: str) -> None:
    with asyncio.Runner() as runner:
        walk, close = runner.run(_opened(server_url))

        @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(first=sets, taken=st.lists(steps, min_size=1, max_size=6))
        def holds(first: list[str], taken: list[Any]) -> None:
            runner.run(_walked(walk, first, taken))

        try:
            holds()
        finally:
            runner.run(close())
