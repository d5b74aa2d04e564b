"""Failover that lost publications: no process continues with a list that the database does not have."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.allowlist import publisher
from app.allowlist import service as allowlist
from app.allowlist.publisher import Publisher
from app.allowlist.snapshot import InvalidSnapshot
from app.health import store as health
from tests.support import feed
from tests.support.failover import fail_over, replica
from tests.support.feed import FEED, addresses, digest_of, events, execute, granted, metric, published, serving
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service

A, B, C, D = addresses(4)
MEND = "UPDATE publications SET digest = reverse(digest) WHERE serial = 2"


async def published_by_another(service: Service, *networks: str) -> None:
    """Publish as a worker that has just started, without a notification to the reader."""
    await granted(service, networks)
    assert await Publisher(service.database).publish()


async def begun(service: Service) -> str:
    """Give the feed a new session, as the operator's command does, and return it."""
    async with service.database.transaction() as tx:
        return str(await allowlist.begin_session(tx))


async def check(caller: Caller, network: str) -> bool:
    answer = await caller.get(f"{FEED}/check?address={network.removesuffix('/32')}")
    allowed: bool = answer.json()["allowed"]
    return allowed


async def ready(service: Service) -> httpx.Response:
    async with service.database.transaction() as tx:
        await health.record_heartbeat(tx, uuid4())
    return await service.http.get("/health/ready")


@pytest.fixture
async def before(service: Service, nayatel: Caller) -> dict[str, Any]:
    """The list of serial 2, after a failover to a copy of serial 1."""
    await published(service, A)
    copy = await replica(service)
    await published(service, B)
    shown = await nayatel.get(FEED)
    assert shown.json()["networks"] == [A, B]
    assert (await nayatel.get(f"{FEED}/manifest")).status_code == 200
    await fail_over(service, copy)
    return {**shown.json(), "etag": shown.headers["etag"], "diverged": metric("allowlist_diverged_total")}


async def assert_reported(service: Service, before: dict[str, Any], serial: int = 2) -> None:
    """Assert that the divergence is counted once and reported by a process that is ready."""
    assert metric("allowlist_diverged_total") == before["diverged"] + 1
    answer = await ready(service)
    assert answer.status_code == 200, answer.text
    assert answer.json()["diverged"]["serial"] == serial


async def test_a_reader_replaces_a_list_that_the_database_does_not_have_at_its_serial(
    service: Service, nayatel: Caller, before: dict[str, Any]
) -> None:
    await published_by_another(service, C)
    reader = service.app.state.reader
    for _ in range(3):
        await reader.refresh()
    now = await nayatel.get(FEED, headers={"If-None-Match": before["etag"]})
    assert (now.status_code, now.json()["serial"], now.json()["networks"]) == (200, 2, [A, C])
    assert now.json()["digest"] == digest_of([A, C])
    assert now.headers["warning"].startswith("110 ")  # until there is a new session
    assert (await check(nayatel, B), await check(nayatel, C)) == (False, True)
    assert (await nayatel.get(FEED, headers={"If-None-Match": now.headers["etag"]})).status_code == 304
    for format_name in ("json", "text", "nftables"):
        then = await nayatel.get(f"{FEED}/snapshots/2?format={format_name}")
        assert (B[:-3] in then.text, C[:-3] in then.text) == (False, True)
    assert [each["network"] for each in (await nayatel.get(f"{FEED}/deltas/2")).json()["removed"]] == []
    assert (await nayatel.get(f"{FEED}/deltas/2")).json()["added"] == [C]
    await assert_reported(service, before)


async def test_the_manifest_is_that_of_the_list_after_the_failover(
    service: Service, nayatel: Caller, before: dict[str, Any]
) -> None:
    await published_by_another(service, C)
    await service.app.state.reader.refresh()
    said = await feed.manifest_of(nayatel)
    assert (said["serial"], said["digest"]) == (2, digest_of([A, C]))


async def test_a_reader_that_is_ahead_of_the_database_goes_back_to_its_newest_serial(
    service: Service, nayatel: Caller, before: dict[str, Any]
) -> None:
    reader = service.app.state.reader
    for _ in range(3):
        await reader.refresh()
    now = await feed.listed(nayatel)
    assert (now["serial"], now["networks"]) == (1, [A])
    assert not await check(nayatel, B)
    delta = await nayatel.get(f"{FEED}/delta?session={before['session']}&since=2")
    assert (delta.status_code, delta.json()["code"]) == (410, "snapshot_required")
    session = await begun(service)
    await published_by_another(service, C)
    await reader.refresh()
    now = await feed.listed(nayatel)
    assert (now["session"], now["serial"], now["networks"]) == (session, 2, [A, C])
    await assert_reported(service, before)


async def test_later_serials_are_not_applied_to_a_list_that_was_lost(
    service: Service, nayatel: Caller, before: dict[str, Any]
) -> None:
    await published_by_another(service, C)
    await published_by_another(service, D)
    await service.app.state.reader.refresh()
    assert (await feed.listed(nayatel))["networks"] == [A, C, D]
    assert (await nayatel.get(f"{FEED}/deltas/2")).json()["added"] == [C]
    await assert_reported(service, before)


async def test_the_same_list_published_again_under_its_serial_is_another_representation(
    service: Service, nayatel: Caller, before: dict[str, Any]
) -> None:
    await published_by_another(service, B)
    await service.app.state.reader.refresh()
    now = await nayatel.get(FEED, headers={"If-None-Match": before["etag"]})
    assert now.status_code == 200  # the time of its publication is in it
    assert now.json()["digest"] == before["digest"]
    assert now.json()["published_at"] != before["published_at"]


async def test_a_client_that_sends_the_digest_of_another_history_is_told_to_fetch_the_whole_list(
    service: Service, nayatel: Caller, before: dict[str, Any]
) -> None:
    await published_by_another(service, C)
    await published_by_another(service, D)
    await service.app.state.reader.refresh()
    empty = digest_of([])
    for since, digest, status in (
        (0, empty, 200),
        (0, digest_of([A]), 410),
        (1, digest_of([A]), 200),
        (1, digest_of([B]), 410),
        (2, before["digest"], 410),
        (2, digest_of([A, C]), 200),
        (3, digest_of([A, C, D]), 200),
        (3, digest_of([A, B, D]), 410),
        (4, digest_of([A, C, D]), 410),
    ):
        path = f"{FEED}/delta?session={before['session']}&since={since}&digest={digest}"
        answer = await nayatel.get(path, headers={"Prefer": "wait=30"} if status == 410 else {})
        assert answer.status_code == status, (since, answer.text)
    unusable = await nayatel.get(f"{FEED}/delta?session={before['session']}&since=2&digest=abc")
    assert unusable.status_code == 422


async def test_a_wait_ends_when_the_list_is_replaced(service: Service, nayatel: Caller, before: dict[str, Any]) -> None:
    wait = nayatel.get(f"{FEED}/delta?session={before['session']}&since=2", headers={"Prefer": "wait=60"})
    waiting = asyncio.create_task(wait)
    await asyncio.sleep(0.2)
    await published_by_another(service, C)
    await service.app.state.reader.refresh()
    answer = await asyncio.wait_for(waiting, 10)
    assert (answer.status_code, answer.json()["code"]) == (410, "snapshot_required")


async def test_a_publisher_with_a_lost_publication_in_memory_publishes_again_under_a_new_session_only(
    service: Service, nayatel: Caller, before: dict[str, Any]
) -> None:
    await published_by_another(service, C)
    await granted(service, [D])
    for _ in range(3):
        assert await service.publisher.publish() is None  # it had published serial 2
    (refused,) = await events(service, "allowlist.publication_refused")
    assert refused["check"] == "feed_behind"
    assert await Publisher(service.database).publish() is None
    assert metric("allowlist_diverged_total") == before["diverged"] + 1
    session = await begun(service)
    publication = await service.publisher.publish()
    assert publication
    assert (publication.serial, publication.previous_digest) == (3, digest_of([A, C]))
    assert publication.digest == digest_of([A, C, D])
    await service.app.state.reader.refresh()
    assert (await feed.listed(nayatel))["session"] == session


async def test_a_publisher_that_is_ahead_of_the_database_publishes_again_under_a_new_session_only(
    service: Service, before: dict[str, Any]
) -> None:
    await granted(service, [C])
    assert await service.publisher.publish() is None
    assert metric("allowlist_diverged_total") == before["diverged"] + 1
    await begun(service)
    publication = await service.publisher.publish()
    assert publication
    assert (publication.serial, publication.digest) == (2, digest_of([A, C]))


async def test_what_one_process_served_keeps_every_publisher_from_its_serial_until_there_is_a_new_session(
    service: Service, nayatel: Caller, before: dict[str, Any]
) -> None:
    reader, fresh = service.app.state.reader, Service(service.settings)
    await reader.refresh()
    await granted(service, [C])
    assert await Publisher(service.database).publish() is None
    await fresh.app.state.reader.refresh()  # a process that has served nothing
    bearer = {"Authorization": f"Bearer {nayatel.token}"}
    for each in (service, fresh):
        assert (await each.http.get(FEED, headers=bearer)).headers["warning"].startswith("110 ")
        told = await each.http.get("/health/ready/feed")
        assert (told.status_code, told.json()["behind"], told.json()["serial"]) == (200, True, 1)
    session = await begun(service)
    assert await Publisher(service.database).publish()
    for each in (service, fresh):
        await each.app.state.reader.refresh()
        shown = await each.http.get(FEED, headers=bearer)
        assert "warning" not in shown.headers
        assert (shown.json()["session"], shown.json()["networks"]) == (session, [A, C])
        assert not (await each.http.get("/health/ready/feed")).json()["behind"]
    (event,) = await events(service, "allowlist.session_begun")
    assert event == {"session": session}
    await fresh.close()


async def test_after_a_promotion_publishing_waits_for_the_reports_of_what_was_served(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PROMOTED_SECONDS", 1.0)
    await published(service, A)
    await execute(service, "UPDATE allowlist_sessions SET timeline = '0000002A'")  # of the server before
    await granted(service, [B])
    assert await service.publisher.publish() is None
    assert await events(service, "allowlist.publication_refused") == []
    await asyncio.sleep(1.1)
    publication = await service.publisher.publish()
    assert publication
    assert publication.serial == 2


@pytest.mark.parametrize("fault", ["DELETE FROM publications WHERE serial = 2", "DELETE FROM publications", MEND])
async def test_a_list_stays_and_the_process_says_so_while_the_list_in_the_database_has_a_wrong_digest(
    service: Service, nayatel: Caller, fault: str
) -> None:
    await published(service, A)
    await published(service, B)
    held, counted = await nayatel.get(FEED), metric("allowlist_diverged_total")
    await execute(service, "CREATE TABLE kept AS SELECT * FROM publications")
    await execute(service, fault)
    for _ in range(3):
        with pytest.raises(InvalidSnapshot):
            await service.app.state.reader.refresh()
    shown = await nayatel.get(FEED)
    assert (shown.status_code, shown.content) == (200, held.content)
    assert shown.headers["warning"].startswith("110 ")
    assert "age" in shown.headers
    told = await service.http.get("/health/ready/feed")
    assert (told.status_code, told.json()["diverged"]) == (200, True)
    assert (await ready(service)).status_code == 200
    assert metric("allowlist_diverged_total") == counted + 1
    # a caller that is ahead makes the process look, and is answered all the same
    ahead = await nayatel.get(f"{FEED}/delta?session={held.json()['session']}&since=3")
    assert ahead.status_code == 410

    await execute(service, "DELETE FROM publications")
    await execute(service, "INSERT INTO publications SELECT * FROM kept")
    await service.app.state.reader.refresh()
    assert "warning" not in (await nayatel.get(FEED)).headers
    assert not (await service.http.get("/health/ready/feed")).json()["diverged"]
    assert (await ready(service)).json()["diverged"]["serial"] == 2


async def test_a_serial_with_a_wrong_digest_is_not_served(service: Service, nayatel: Caller) -> None:
    for network in (A, B, C):
        await published(service, network)
    await execute(service, MEND)
    fresh = Service(service.settings)  # which has not published it itself
    await fresh.app.state.reader.refresh()
    bearer = {"Authorization": f"Bearer {nayatel.token}"}
    answer = await fresh.http.get(f"{FEED}/snapshots/2", headers=bearer)
    await fresh.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_new_session_is_no_divergence(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    counted = metric("allowlist_diverged_total")
    session = await feed.new_session(service)
    await service.app.state.reader.refresh()
    assert await published(service, B) == 2
    assert (await feed.listed(nayatel))["session"] == str(session)
    assert metric("allowlist_diverged_total") == counted
    assert (await ready(service)).json()["diverged"] is None


async def test_a_served_process_stops_allowing_what_was_lost_within_seconds(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    copy = await replica(service)
    await published(service, B)
    bearer = {"Authorization": f"Bearer {nayatel.token}"}
    others = [Service(settings_for(service.settings.database_url)) for _ in range(2)]
    async with (
        serving(others[0].app) as first,
        serving(others[1].app) as second,
        httpx.AsyncClient(headers=bearer) as http,
    ):
        tags = {(await http.get(f"{url}{FEED}")).headers["etag"] for url in (first, second)}
        assert len(tags) == 1
        await fail_over(service, copy)
        await published_by_another(service, C)
        deadline = time.monotonic() + 10
        for url in (first, second):
            while not (await http.get(f"{url}{FEED}/check?address={C[:-3]}")).json()["allowed"]:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert not (await http.get(f"{url}{FEED}/check?address={B[:-3]}")).json()["allowed"]
            held = await http.get(f"{url}{FEED}", headers={"If-None-Match": tags.copy().pop()})
            assert (held.status_code, held.json()["networks"]) == (200, [A, C])
        assert len({(await http.get(f"{url}{FEED}")).headers["etag"] for url in (first, second)}) == 1
    for each in others:
        await each.close()
