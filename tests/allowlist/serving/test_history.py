"""Lists of earlier serials: what a caller holds is not made for it, and what is made is made seldom and apart."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from app.allowlist.serving import history
from app.allowlist.serving.representations import Representation
from app.core.limits.work_slots import WorkSlots
from tests.support import feed
from tests.support.feed import FEED, addresses, published
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service
from tests.support.statements import counted

WIDTH = 300
SERIALS = 45
LIST = "string_agg"  # only the statement that reads a list of an earlier serial has it


class Builds:
    """Counts the representations that are made of earlier lists, and holds them up until they may go on."""

    def __init__(self) -> None:
        self.made = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, *args: Any, **kwargs: Any) -> Representation:
        self.made += 1
        self.go_on.wait(20)
        return Representation(*args, **kwargs)


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """A service with a long history that keeps the delta of one serial."""
    service = Service(settings_for(database_url, deltas_kept=1))
    await published(service, *addresses(WIDTH, start=1))
    await feed.long_history(service, 2, SERIALS, WIDTH)
    await service.app.state.reader.refresh()
    yield service
    await service.close()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Builds]:
    builds = Builds()
    monkeypatch.setattr(history, "Representation", builds)
    yield builds
    builds.go_on.set()


@contextmanager
def held_up(builds: Builds) -> Iterator[None]:
    builds.go_on.clear()
    try:
        yield
    finally:
        builds.go_on.set()


async def connections_given_back(service: Service) -> bool:
    """Whether no request has a connection, once those that had one are done with it."""
    for _ in range(200):
        await asyncio.sleep(0.01)
        if service.app.state.database.engine.pool.checkedout() == 0:
            return True
    return False


async def test_a_list_that_is_not_as_it_was_published_is_not_served(service: Service, nayatel: Caller) -> None:
    await feed.execute(service, "UPDATE allowlist_entries SET network = '154.200.1.1' WHERE added_serial = 3")
    for serial in (4, 2):
        answer = await nayatel.get(f"{FEED}/snapshots/{serial}")
        assert answer.status_code == {4: 503, 2: 200}[serial]
    assert (await nayatel.get(f"{FEED}/snapshots/{SERIALS + 1}")).json()["code"] == "not_found"


async def test_what_a_caller_holds_of_an_old_list_is_neither_made_nor_read(
    service: Service, nayatel: Caller, builds: Builds
) -> None:
    tag = (await nayatel.get(f"{FEED}/snapshots/3?format=text")).headers["ETag"]
    assert builds.made == 1
    fresh = Service(service.settings)
    await fresh.app.state.reader.refresh()
    caller = Caller(fresh, nayatel.credentials, nayatel.token)
    async with counted(fresh.app.state.database) as sent:
        for _ in range(20):
            held = await caller.get(f"{FEED}/snapshots/3?format=text", headers={"If-None-Match": tag})
            assert (held.status_code, held.headers["ETag"]) == (304, tag)
            assert "immutable" in held.headers["Cache-Control"]
    assert builds.made == 1
    assert not [each for each in sent if "allowlist_entries" in each]
    assert len([each for each in sent if "publications" in each]) == 1
    for path, held_tag in ((f"{FEED}/snapshots/3?format=text", "*"), (f"{FEED}/snapshots/3?format=csv", tag)):
        status = (await caller.get(path, headers={"If-None-Match": held_tag})).status_code
        assert status == (304 if held_tag == "*" else 200)
    await fresh.close()


async def test_what_a_caller_holds_of_a_delta_is_not_made(service: Service, nayatel: Caller) -> None:
    path = f"{FEED}/deltas/{SERIALS}"
    whole = await nayatel.get(path)
    held = await nayatel.get(path, headers={"If-None-Match": whole.headers["ETag"]})
    assert (whole.status_code, held.status_code, held.content) == (200, 304, b"")
    other = await nayatel.get(f"{FEED}/snapshots/{SERIALS}", headers={"If-None-Match": whole.headers["ETag"]})
    assert other.status_code == 200


async def test_an_old_list_is_made_once_however_many_ask_for_it(
    service: Service, nayatel: Caller, builds: Builds
) -> None:
    async with counted(service.app.state.database) as sent:
        answers = await asyncio.gather(*(nayatel.get(f"{FEED}/snapshots/3") for _ in range(30)))
        texts = await asyncio.gather(*(nayatel.get(f"{FEED}/snapshots/3?format=text") for _ in range(10)))
    assert {each.status_code for each in (*answers, *texts)} == {200}
    assert texts[0].text.splitlines() == addresses(WIDTH, start=3)
    assert builds.made == 2
    assert len([each for each in sent if LIST in each]) == 1


async def test_forty_who_ask_for_old_lists_leave_the_connections_to_others(
    service: Service, nayatel: Caller, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.app.state.history, "_slots", WorkSlots(patience=0.5))
    others = [await service.caller("ptcl", client=f"ptcl-{n}") for n in range(3)]
    callers = [nayatel, *others]
    with held_up(builds):
        asking = [
            asyncio.create_task(callers[n % 4].get(f"{FEED}/snapshots/{n + 2}", headers={"If-None-Match": '"other"'}))
            for n in range(40)
        ]
        assert await connections_given_back(service)
        assert await service.token(nayatel.credentials)
        await asyncio.sleep(0.6)
    answers: list[httpx.Response] = await asyncio.gather(*asking)
    refused = [each for each in answers if each.status_code == 503]
    assert {each.status_code for each in answers} == {200, 503}
    assert all(int(each.headers["Retry-After"]) > 0 for each in refused)
    assert builds.made == len(answers) - len(refused)
    assert (await nayatel.get(f"{FEED}/snapshots/9")).status_code == 200


async def test_the_list_in_force_is_not_made_for_a_caller_that_holds_it(service: Service, nayatel: Caller) -> None:
    tag = (await nayatel.get(f"{FEED}?format=cisco")).headers["ETag"]
    fresh = Service(service.settings)
    reader = fresh.app.state.reader
    await reader.refresh()
    caller = Caller(fresh, nayatel.credentials, nayatel.token)
    assert (await caller.get(f"{FEED}?format=cisco", headers={"If-None-Match": tag})).status_code == 304
    gzipped = "gzip" in tag
    assert reader.representations.get(reader.current(), "cisco", None, gzipped=gzipped) is None
    await fresh.close()


async def test_catching_up_from_far_back_is_worked_out_once_for_all_who_ask(database_url: str) -> None:
    service = Service(settings_for(database_url, deltas_kept=SERIALS))
    caller = await service.officer()
    await published(service, *addresses(WIDTH, start=1))
    await feed.long_history(service, 2, SERIALS, WIDTH)
    reader = service.app.state.reader
    await reader.refresh()
    path = f"{FEED}/delta?session={reader.current().session}&since=1"
    first, second = await asyncio.gather(caller.get(path), caller.get(path))
    assert first.json()["added"] == addresses(SERIALS - 1, start=WIDTH + 1)
    pieces = service.app.state.history._deltas
    assert (first.content, len(pieces._kept)) == (second.content, 1)
    await service.close()
