"""A switchover of the database ends no process and no loop; a failover that loses publications ends their session."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import httpx
import pytest

from app.allowlist import publisher
from app.allowlist import service as allowlist
from app.allowlist.publisher import Publisher
from app.partners.rules import PartnerKind
from tests.support import cases, postgres, processes
from tests.support.service import Caller, Service
from tests.support.standby import Pair, primary_and_standby

AWAY = {503}


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary and its standby."""
    with primary_and_standby() as pair:
        yield pair


async def _is_listed(http: httpx.AsyncClient, network: str) -> bool:
    answer = await http.get("/v1/allowlist?format=text")
    return answer.status_code == 200 and network in answer.text.splitlines()


async def _decided(pseb: Caller, officer: Caller) -> str:
    network: str = (await cases.approved(pseb, officer))["networks"][0]
    return network


@pytest.mark.slow
async def test_after_a_switchover_workers_publish_and_api_processes_hear_of_it(pair: Pair) -> None:
    url = pair.url_of_both("primary")
    settings = postgres.settings_for(url)
    service = Service(settings)
    # polls so seldom that only a listener which is connected again brings the news
    seldom = {"POLL_SECONDS": "60"}
    with ExitStack() as stack:
        worker = stack.enter_context(processes.running("worker", processes.environment(settings, **seldom)))
        api = await asyncio.to_thread(stack.enter_context, processes.serving(settings, **seldom))
        pseb, officer = await service.caller("pseb"), await service.officer()
        firewall = await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel")
        login = (firewall.credentials.client_id, firewall.credentials.client_secret)
        async with httpx.AsyncClient(base_url=api, auth=login, timeout=30) as http:
            before = await _decided(pseb, officer)
            await processes.until(partial(_is_listed, http, before), 20)

            statuses: list[int] = []
            switching = asyncio.create_task(asyncio.to_thread(pair.switch_over))
            while not switching.done():
                answers = [await http.get("/v1/allowlist"), await http.get("/v1/allowlist/publications")]
                statuses += [each.status_code for each in answers]
                await asyncio.sleep(0.02)
            await switching
            assert set(statuses) - {200} <= AWAY

            async def ready() -> bool:
                return (await http.get("/health/ready")).status_code == 200

            await processes.until(ready, 20)
            after = await _decided(pseb, officer)
            await processes.until(partial(_is_listed, http, after), 40)  # workers wait for reports of what was served
            assert await _is_listed(http, before)
        assert worker.poll() is None
    await service.close()


@pytest.mark.slow
async def test_after_a_failover_that_lost_a_publication_its_serial_is_not_given_out_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PROMOTED_SECONDS", 3.0)
    service = Service(postgres.settings_for(pair.url_of_both("primary")))
    reader, another = service.app.state.reader, Publisher(service.database)
    pseb, officer = await service.caller("pseb"), await service.officer()
    kept = await _decided(pseb, officer)
    assert await service.publish()
    await pair.detach_standby()
    lost = await _decided(pseb, officer)
    published = await service.publish()
    assert published
    assert published.serial == 2
    await asyncio.to_thread(pair.switch_over)

    async def is_back() -> bool:
        return (await service.http.get("/health/ready")).status_code == 200

    await processes.until(is_back, 20)
    after = await _decided(pseb, officer)
    assert await another.publish() is None  # it waits for what the processes report
    await reader.refresh()
    await asyncio.sleep(3.1)
    assert await another.publish() is None
    told = (await service.http.get("/health/ready/feed")).json()
    assert (told["serial"], told["behind"]) == (1, True)
    async with service.database.transaction() as tx:
        session = await allowlist.begin_session(tx)
    publication = await another.publish()
    assert publication
    await reader.refresh()
    assert (reader.current().session, reader.current().serial) == (session, 2)
    assert set(reader.current().networks) == {kept, after}
    assert lost not in reader.current().networks
    await service.close()
