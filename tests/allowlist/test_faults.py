"""Faults in the database: no invalid list is ever served, and each refusal is recorded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist.publisher import Publisher
from app.allowlist.snapshot import InvalidSnapshot
from tests.support import feed
from tests.support.feed import FEED, addresses, digest_of, events, execute, granted, metric, published, withdrawn
from tests.support.service import Caller, Service

NETWORKS = addresses(40)
LATE = addresses(4, start=5_000)
CHANGE = "UPDATE allowlist_entries SET"
ONE = "network = '154.192.0.9/32'"
FORGET_OVERLAPS = (
    "ALTER TABLE allowlist_entries DROP CONSTRAINT allowlist_entries_granted_no_overlap, "
    "DROP CONSTRAINT allowlist_entries_published_no_overlap"
)
INSERT = (
    "INSERT INTO allowlist_entries (network, registration_id, holder) VALUES ($1::text::cidr, gen_random_uuid(), 'x')"
)


@pytest.fixture
async def published_three(service: Service) -> list[str]:
    """Three serials: the second adds a network, the third removes one."""
    await published(service, *NETWORKS)
    await published(service, LATE[0])
    await withdrawn(service, NETWORKS[:1])
    await service.publish()
    return [*NETWORKS[1:], LATE[0]]


def refusals(*checks: str) -> float:
    return sum(metric("allowlist_publications_refused_total", check=check) for check in checks)


@asynccontextmanager
async def refusing(service: Service, caller: Caller, *checks: str) -> AsyncIterator[None]:
    """Assert that the list stays whatever the block does; the refusal is counted each time and recorded once."""
    before = await feed.listed(caller)
    yield
    for publisher in (service.publisher, Publisher(service.database)):
        counted, said = refusals(*checks), len(await events(service, "allowlist.publication_refused"))
        for _ in range(4):
            assert await publisher.publish() is None
        with suppress(InvalidSnapshot):
            await service.app.state.reader.refresh()
        assert refusals(*checks) == counted + 4
        # once as it was found from memory, and once more if the database read anew says it in other words
        told = (await events(service, "allowlist.publication_refused"))[said:]
        assert 1 <= len(told) <= 2
        assert all(each["check"] in checks and each["detail"] for each in told)
    after = await feed.listed(caller)
    assert after == before
    assert digest_of(after["networks"]) == after["digest"]
    assert (await caller.get(f"{FEED}/publications/{before['serial'] + 1}")).status_code == 404


async def assert_serves_only_published_lists(service: Service, caller: Caller) -> None:
    """Assert that a reader that starts now serves nothing, or lists and deltas as they were published."""
    fresh = Service(service.settings)
    with suppress(InvalidSnapshot):
        await fresh.app.state.reader.refresh()
    again = Caller(fresh, caller.credentials, caller.token)
    answer = await again.get(FEED)
    if answer.status_code != 503:
        body = answer.json()
        recorded = (await caller.get(f"{FEED}/publications/{body['serial']}")).json()
        assert digest_of(body["networks"]) == body["digest"] == recorded["digest"]
        for serial in range(1, body["serial"] + 1):
            said = (await caller.get(f"{FEED}/publications/{serial}")).json()
            delta, then = [await again.get(f"{FEED}/{kind}/{serial}") for kind in ("deltas", "snapshots")]
            if delta.status_code == 200:
                told = delta.json()
                assert (len(told["added"]), len(told["removed"])) == (said["added"], said["removed"])
            if then.status_code == 200:
                assert digest_of(then.json()["networks"]) == said["digest"]
    await fresh.close()


async def test_an_empty_list_is_never_published(service: Service, nayatel: Caller, published_three: list[str]) -> None:
    async with refusing(service, nayatel, "empty"):
        await withdrawn(service, published_three)
    await granted(service, [LATE[1]])
    assert await service.publish()
    assert (await feed.listed(nayatel))["networks"] == [LATE[1]]


async def test_the_first_publication_is_not_of_an_empty_list_either(service: Service, nayatel: Caller) -> None:
    assert await service.publish() is None
    answer = await nayatel.get(FEED)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_removal_of_two_percent_at_once_is_held_and_they_stay_on_the_list(
    service: Service, nayatel: Caller
) -> None:
    many = addresses(1_000)
    await published(service, *many)
    before = await feed.listed(nayatel)
    counted = metric("allowlist_changes_held_total", kind="removal")
    await withdrawn(service, many[:20], in_mass=True)
    assert await service.publish() is None
    assert await feed.listed(nayatel) == before
    assert metric("allowlist_changes_held_total", kind="removal") == counted + 1
    assert (await events(service, "allowlist.held"))[0]["count"] == 20


async def test_growth_that_doubles_the_list_is_held_and_the_list_stays(service: Service, nayatel: Caller) -> None:
    await published(service, *addresses(1_000))
    before = await feed.listed(nayatel)
    counted = metric("allowlist_changes_held_total", kind="growth")
    await granted(service, addresses(1_000, start=1_000), in_mass=True)
    assert await service.publish() is None
    assert await feed.listed(nayatel) == before
    assert metric("allowlist_changes_held_total", kind="growth") == counted + 1
    assert (await events(service, "allowlist.held"))[0]["count"] == 1_000


@pytest.mark.parametrize("network", [NETWORKS[5], "154.192.0.0/28", "154.192.0.0/24"])
async def test_an_entry_that_repeats_or_overlaps_others_is_never_published(
    service: Service, nayatel: Caller, published_three: list[str], network: str
) -> None:
    await execute(service, FORGET_OVERLAPS)
    async with refusing(service, nayatel, "replay_differs"):
        await execute(service, INSERT, network)


async def test_a_publication_that_is_refused_holds_nothing_either(
    service: Service, nayatel: Caller, published_three: list[str]
) -> None:
    counted = metric("allowlist_changes_held_total", kind="removal")
    async with refusing(service, nayatel, "not_publishable"):
        await execute(service, INSERT, "10.0.0.1/32")
        await withdrawn(service, NETWORKS[1:20], in_mass=True)
    assert await events(service, "allowlist.held") == []
    assert metric("allowlist_changes_held_total", kind="removal") == counted


async def test_two_new_entries_that_overlap_are_never_published(
    service: Service, nayatel: Caller, published_three: list[str]
) -> None:
    await execute(service, FORGET_OVERLAPS)
    async with refusing(service, nayatel, "replay_differs"):
        await granted(service, ["154.199.0.0/24", "154.199.0.7/32"])


@pytest.mark.parametrize(
    "network", ["10.0.0.1/32", "192.168.0.0/24", "fe80::1/128", "0.0.0.0/0", "::/0", "154.0.0.0/8"]
)
async def test_a_reserved_or_far_too_wide_network_is_never_published(
    service: Service, nayatel: Caller, published_three: list[str], network: str
) -> None:
    async with refusing(service, nayatel, "not_publishable"):
        await execute(service, FORGET_OVERLAPS)
        await execute(service, INSERT, network)


async def test_an_entry_without_a_network_is_never_published(
    service: Service, nayatel: Caller, published_three: list[str]
) -> None:
    await execute(service, "ALTER TABLE allowlist_entries ALTER network DROP NOT NULL")
    async with refusing(service, nayatel, "not_publishable"):
        await execute(service, INSERT, None)


async def test_an_old_entry_that_loses_its_network_stops_the_next_publication(
    service: Service, nayatel: Caller, published_three: list[str]
) -> None:
    await execute(service, "ALTER TABLE allowlist_entries ALTER network DROP NOT NULL")
    async with refusing(service, nayatel, "replay_differs", "not_a_list"):
        await execute(
            service, "UPDATE allowlist_entries SET network = NULL WHERE network = $1::text::cidr", NETWORKS[7]
        )
        await granted(service, [LATE[1]])
    await assert_serves_only_published_lists(service, nayatel)


@pytest.mark.parametrize(
    ("fault", "checks"),
    [
        ("UPDATE publications SET digest = repeat('0', 64) WHERE serial = 3", {"chain_broken"}),
        ("DELETE FROM publications WHERE serial = 3", {"count_differs", "chain_broken", "replay_differs"}),
        ("DELETE FROM allowlist_feed", {"feed_missing"}),
        # a wrong delta: entries that came or went at another serial than they did, or are another network
        (f"{CHANGE} added_serial = NULL WHERE added_serial = 2", {"replay_differs", "chain_broken"}),
        (f"{CHANGE} removed_serial = 3 WHERE {ONE}", {"count_differs", "chain_broken"}),
        (f"{CHANGE} removed_serial = 2 WHERE added_serial = 2", {"count_differs", "chain_broken"}),
        (f"{CHANGE} removed_serial = NULL WHERE removed_serial = 3", {"replay_differs", "chain_broken"}),
        (f"{CHANGE} network = '154.193.0.9/32' WHERE {ONE}", {"replay_differs", "chain_broken"}),
        (f"DELETE FROM allowlist_entries WHERE {ONE}", {"count_differs", "chain_broken"}),
    ],
)
async def test_a_history_that_was_tampered_with_stops_the_next_publication(
    service: Service, nayatel: Caller, published_three: list[str], fault: str, checks: set[str]
) -> None:
    async with refusing(service, nayatel, *checks):
        await execute(service, fault)
        await granted(service, [LATE[1]])
        await withdrawn(service, [NETWORKS[3]])
    await assert_serves_only_published_lists(service, nayatel)


@pytest.mark.parametrize(
    "fault",
    [
        f"{CHANGE} added_serial = 1 WHERE added_serial = 2",
        f"{CHANGE} added_serial = 3 WHERE added_serial = 2",
        f"{CHANGE} removed_serial = 2 WHERE removed_serial = 3",
    ],
)
async def test_a_delta_whose_entries_do_not_match_its_counts_is_not_served_after_a_start(
    service: Service, nayatel: Caller, published_three: list[str], fault: str
) -> None:
    session = (await feed.listed(nayatel))["session"]
    await execute(service, fault)
    await assert_serves_only_published_lists(service, nayatel)
    fresh = Service(service.settings)
    await fresh.app.state.reader.refresh()
    caller = Caller(fresh, nayatel.credentials, nayatel.token)
    assert (await caller.get(f"{FEED}/delta?session={session}&since=1")).status_code == 410
    assert (await caller.get(f"{FEED}/delta?session={session}&since=3")).json()["added"] == []
    assert (await caller.get(f"{FEED}/manifest")).status_code == 200
    await fresh.close()


async def test_once_the_fault_is_repaired_the_feed_continues_with_the_next_serial(
    service: Service, nayatel: Caller, published_three: list[str]
) -> None:
    wrong = "UPDATE publications SET digest = reverse(digest) WHERE serial = 3"
    async with refusing(service, nayatel, "chain_broken"):
        await execute(service, wrong)
        await granted(service, [LATE[1]])
    await execute(service, wrong)
    publication = await service.publish()
    assert publication
    assert publication.serial == 4
    assert (await feed.listed(nayatel))["networks"] == [*published_three, LATE[1]]


@pytest.mark.slow
async def test_a_table_rewrite_during_publication_never_empties_or_corrupts_the_list(
    service: Service, nayatel: Caller
) -> None:
    held = set(addresses(200))
    await published(service, *held)
    lists = {1: digest_of(addresses(200))}
    reader, stop, seen = service.app.state.reader, asyncio.Event(), dict[int, str]()

    async def rewrite() -> int:
        connection, times = await asyncpg.connect(service.settings.database_url), 0
        while not stop.is_set() or times < 200:
            kind = ("varchar", "text")[times % 2]
            await connection.execute(
                f"ALTER TABLE allowlist_entries ALTER COLUMN holder TYPE {kind} USING holder || ''"
            )
            times += 1
        await connection.close()
        return times

    async def read() -> None:
        while not stop.is_set():
            with suppress(SQLAlchemyError, InvalidSnapshot):
                await reader.refresh()
            body: dict[str, Any] = await feed.listed(nayatel)
            assert digest_of(body["networks"]) == body["digest"]
            assert body["count"] >= 200
            seen[body["serial"]] = body["digest"]
            await asyncio.sleep(0)

    racing = asyncio.gather(rewrite(), read())
    fresh = iter(addresses(200, start=200))
    for n in range(200):
        network = next(fresh)
        await granted(service, [network])
        publisher = service.publisher if n % 3 else Publisher(service.database)
        publication = await publisher.publish()
        assert publication is not None
        assert publication.added == 1
        lists[publication.serial] = publication.digest
    stop.set()
    times, _ = await racing
    assert times >= 200
    assert list(lists) == list(range(1, 202))
    assert all(lists[serial] == digest for serial, digest in seen.items())
    assert await events(service, "allowlist.publication_refused") == []
    await reader.refresh()
    assert (await feed.listed(nayatel))["networks"] == addresses(400)
    chain = (await nayatel.get(f"{FEED}/publications?limit=500")).json()["items"]
    assert all(later["previous_digest"] == before["digest"] for later, before in pairwise(chain))
