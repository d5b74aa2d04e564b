"""Lists of earlier serials: built once, a few at a time, and not for clients that have them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from app.allowlist.formats import Selection
from app.allowlist.serving import history
from app.allowlist.serving.representations import Representation
from app.allowlist.serving.work_slots import WorkSlots
from tests.support import feed
from tests.support.feed import FEED, addresses, published
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service
from tests.support.statements import record_statements

WIDTH = 300
SERIALS = 45
LIST = "string_agg"  # only the statement that reads a list of an earlier serial has it


class Builds:
    """Counts the representations built of earlier lists, and delays them until ``go_on`` is set."""

    def __init__(self) -> None:
        self.count = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, *args: Any, **kwargs: Any) -> Representation:
        self.count += 1
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
def delayed(builds: Builds) -> Iterator[None]:
    builds.go_on.clear()
    try:
        yield
    finally:
        builds.go_on.set()


async def connections_are_released(service: Service) -> bool:
    """True once no request has a connection."""
    for _ in range(200):
        await asyncio.sleep(0.01)
        if service.app.state.database.engine.pool.checkedout() == 0:
            return True
    return False


async def test_an_earlier_list_with_a_wrong_digest_is_not_served(service: Service, nayatel: Caller) -> None:
    await feed.execute(service, "UPDATE allowlist_entries SET network = '154.200.1.1' WHERE added_serial = 3")
    for serial in (4, 2):
        answer = await nayatel.get(f"{FEED}/snapshots/{serial}")
        assert answer.status_code == {4: 503, 2: 200}[serial]
    assert (await nayatel.get(f"{FEED}/snapshots/{SERIALS + 1}")).json()["code"] == "not_found"


async def test_a_304_for_an_earlier_list_neither_reads_nor_builds_it(
    service: Service, nayatel: Caller, builds: Builds
) -> None:
    tag = (await nayatel.get(f"{FEED}/snapshots/3?format=text")).headers["ETag"]
    assert builds.count == 1
    fresh = Service(service.settings)
    await fresh.app.state.reader.refresh()
    caller = Caller(fresh, nayatel.credentials, nayatel.token)
    async with record_statements(fresh.app.state.database) as sent:
        for _ in range(20):
            held = await caller.get(f"{FEED}/snapshots/3?format=text", headers={"If-None-Match": tag})
            assert (held.status_code, held.headers["ETag"]) == (304, tag)
            assert "immutable" in held.headers["Cache-Control"]
    assert builds.count == 1
    assert not [each for each in sent if "allowlist_entries" in each]
    assert len([each for each in sent if "publications" in each]) == 1
    for path, held_tag in ((f"{FEED}/snapshots/3?format=text", "*"), (f"{FEED}/snapshots/3?format=csv", tag)):
        status = (await caller.get(path, headers={"If-None-Match": held_tag})).status_code
        assert status == (304 if held_tag == "*" else 200)
    await fresh.close()


async def test_a_download_of_an_earlier_list_goes_on_where_it_broke_off(nayatel: Caller) -> None:
    plain = {"Accept-Encoding": "identity"}
    for path in (f"{FEED}/snapshots/3?format=text", f"{FEED}/deltas/{SERIALS}"):
        whole = await nayatel.get(path, headers=plain)
        size = len(whole.content)
        assert whole.headers["Accept-Ranges"] == "bytes"
        rest = {**plain, "Range": "bytes=7-", "If-Range": whole.headers["ETag"]}
        part = await nayatel.get(path, headers=rest)
        assert (part.status_code, part.content) == (206, whole.content[7:])
        assert part.headers["Content-Range"] == f"bytes 7-{size - 1}/{size}"
        behind = await nayatel.get(path, headers={**plain, "Range": f"bytes={size}-"})
        assert (behind.status_code, behind.json()["code"]) == (416, "range_not_satisfiable")
        assert behind.headers["Content-Range"] == f"bytes */{size}"
        other = await nayatel.get(path, headers={**rest, "If-Range": '"other"'})
        assert (other.status_code, other.content) == (200, whole.content)
        held = await nayatel.get(path, headers={**rest, "If-None-Match": whole.headers["ETag"]})
        assert held.status_code == 304
    newest = await nayatel.get(FEED, headers={"Range": "bytes=0-1"})
    assert (newest.status_code, "accept-ranges" in newest.headers) == (200, False)


async def test_a_delta_gets_304_only_for_its_own_tag(service: Service, nayatel: Caller) -> None:
    path = f"{FEED}/deltas/{SERIALS}"
    whole = await nayatel.get(path)
    held = await nayatel.get(path, headers={"If-None-Match": whole.headers["ETag"]})
    assert (whole.status_code, held.status_code, held.content) == (200, 304, b"")
    other = await nayatel.get(f"{FEED}/snapshots/{SERIALS}", headers={"If-None-Match": whole.headers["ETag"]})
    assert other.status_code == 200


async def test_concurrent_requests_for_an_earlier_list_build_it_once(
    service: Service, nayatel: Caller, builds: Builds
) -> None:
    async with record_statements(service.app.state.database) as sent:
        answers = await asyncio.gather(*(nayatel.get(f"{FEED}/snapshots/3") for _ in range(30)))
        texts = await asyncio.gather(*(nayatel.get(f"{FEED}/snapshots/3?format=text") for _ in range(10)))
    assert {each.status_code for each in (*answers, *texts)} == {200}
    assert texts[0].text.splitlines() == addresses(WIDTH, start=3)
    assert builds.count == 2
    assert len([each for each in sent if LIST in each]) == 1


async def test_forty_who_ask_for_old_lists_leave_the_connections_to_others(
    service: Service, nayatel: Caller, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.app.state.history, "_slots", WorkSlots(patience=0.5))
    others = [await service.caller("ptcl", client=f"ptcl-{n}") for n in range(3)]
    callers = [nayatel, *others]
    with delayed(builds):
        asking = [
            asyncio.create_task(callers[n % 4].get(f"{FEED}/snapshots/{n + 2}", headers={"If-None-Match": '"other"'}))
            for n in range(40)
        ]
        assert await connections_are_released(service)
        assert await service.token(nayatel.credentials)
        await asyncio.sleep(0.6)
    answers: list[httpx.Response] = await asyncio.gather(*asking)
    refused = [each for each in answers if each.status_code == 503]
    assert {each.status_code for each in answers} == {200, 503}
    assert all(int(each.headers["Retry-After"]) > 0 for each in refused)
    assert builds.count == len(answers) - len(refused)
    assert (await nayatel.get(f"{FEED}/snapshots/9")).status_code == 200


async def test_a_304_for_the_newest_list_does_not_build_it(service: Service, nayatel: Caller) -> None:
    tag = (await nayatel.get(f"{FEED}?format=cisco")).headers["ETag"]
    fresh = Service(service.settings)
    reader = fresh.app.state.reader
    await reader.refresh()
    caller = Caller(fresh, nayatel.credentials, nayatel.token)
    assert (await caller.get(f"{FEED}?format=cisco", headers={"If-None-Match": tag})).status_code == 304
    gzipped = "gzip" in tag
    assert reader.representations.get(reader.current().version, "cisco", Selection(), gzipped=gzipped) is None
    await fresh.close()


async def test_concurrent_requests_for_a_long_delta_build_it_once(database_url: str) -> None:
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
