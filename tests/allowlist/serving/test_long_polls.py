"""Requests that wait for a delta: limited per client, and cancelled when the client disconnects."""

import asyncio
from collections import Counter

import pytest
from starlette.requests import ClientDisconnect

from app.allowlist.serving.long_polls import LongPolls
from app.partners.rules import PartnerKind
from tests.support import feed, processes
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service

WAIT = {"Prefer": "wait=30"}


async def _path(caller: Caller) -> str:
    held = (await caller.get(feed.FEED)).json()
    return f"{feed.FEED}/delta?session={held['session']}&since={held['serial']}"


async def test_the_waiting_requests_of_a_client_are_limited_apart_from_those_of_others(database_url: str) -> None:
    service = Service(settings_for(database_url, max_waits=2))
    await feed.published(service, *feed.addresses(3))
    nayatel = await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel")
    ptcl = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl")
    path, waits = await _path(nayatel), service.app.state.long_polls
    waiting = [asyncio.create_task(each.get(path, headers=WAIT)) for each in (nayatel, nayatel, ptcl)]

    async def all_wait() -> bool:
        return bool(sum(waits._waiting.values()) == len(waiting))

    await processes.until(all_wait)
    refused = await nayatel.get(path, headers=WAIT)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await nayatel.get(path)).status_code == 200  # without waiting
    await feed.published(service, *feed.addresses(4)[3:])
    assert {each.status_code for each in await asyncio.gather(*waiting)} == {200}
    again = asyncio.create_task(nayatel.get(await _path(nayatel), headers=WAIT))
    await asyncio.sleep(0.1)
    assert not again.done()
    again.cancel()
    await service.close()


async def test_a_wait_is_cancelled_when_the_client_disconnects() -> None:
    polls, cancelled = LongPolls(1), asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await polls.wait(_Request(receive), "client", forever())  # type: ignore[arg-type]  # all that is asked of it
    await asyncio.wait_for(cancelled.wait(), 5)
    assert polls._waiting == Counter({"client": 0})


class _Request:
    def __init__(self, receive: object) -> None:
        self.receive = receive
