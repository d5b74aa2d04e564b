"""Deltas: the changes since a serial merged into one, and waiting for the next serial."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.allowlist.delta import MIN_CHANGES_KEPT, Delta, DeltaLog, merge_deltas
from app.allowlist.serving import router
from tests.support import cases, feed
from tests.support.feed import FEED, addresses, digest_of, granted, published, withdrawn
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service

A, B, C, D = addresses(4)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
NETWORKS = st.sampled_from(addresses(6))


def delta(serial: int) -> Delta:
    return Delta(serial, NOW, [], [], "")


@pytest.fixture
async def forgetful(database_url: str) -> AsyncIterator[Service]:
    """A service that keeps the deltas of two serials."""
    service = Service(settings_for(database_url, deltas_kept=2))
    yield service
    await service.close()


@given(st.sets(NETWORKS), st.lists(st.sets(NETWORKS), max_size=8))
def test_merged_deltas_lead_to_the_same_list_as_the_deltas_one_by_one(start: set[str], lists: list[set[str]]) -> None:
    steps, held = [], start
    for serial, after in enumerate(lists, start=1):
        gone = [{"network": network, "reason": f"in {serial}"} for network in sorted(held - after)]
        steps.append(Delta(serial, NOW, sorted(after - held), gone, ""))  # type: ignore[arg-type]  # plain dicts
        held = after
    added, removed = merge_deltas(steps)
    went = {removal["network"] for removal in removed}
    assert len(set(added)) == len(added)
    assert len(went) == len(removed)
    assert set(added) == held - start
    assert went == start - held


def test_a_gap_in_the_serials_drops_the_deltas_before_it() -> None:
    log = DeltaLog(10)
    for serial in (1, 2, 4, 5):
        log.append(delta(serial), 1)
    assert [each.serial for each in log] == [4, 5]
    assert log.since(2) is None
    assert log.get(2) is None
    assert log.get(4) is not None


def test_an_empty_log_has_no_deltas() -> None:
    assert DeltaLog(10).since(1) is None
    assert DeltaLog(10).get(1) is None


def test_a_log_keeps_a_bounded_number_of_deltas() -> None:
    log = DeltaLog(2)
    for serial in range(1, 6):
        log.append(delta(serial), 1)
    assert [each.serial for each in log] == [4, 5]


def test_a_log_keeps_no_more_changes_than_the_list_has_networks() -> None:
    log, many = DeltaLog(100), addresses(MIN_CHANGES_KEPT)
    for serial in range(1, 6):
        log.append(Delta(serial, NOW, many, [], ""), 3 * MIN_CHANGES_KEPT)
    assert [each.serial for each in log] == [3, 4, 5]
    log.append(delta(6), 2 * MIN_CHANGES_KEPT)
    assert [each.serial for each in log] == [4, 5, 6]
    log.append(Delta(7, NOW, [*many, D], [], ""), 1)
    assert list(log) == []
    log.append(delta(8), 1)
    assert [each.serial for each in log] == [8]


async def test_another_session_needs_the_snapshot(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    answer = await nayatel.get(f"{FEED}/delta?session={uuid4()}&since=1", headers={"Prefer": "wait=30"})
    assert answer.status_code == 410
    assert answer.json()["code"] == "snapshot_required"


async def test_a_serial_whose_successors_are_not_kept_needs_the_snapshot(forgetful: Service) -> None:
    caller = await forgetful.officer()
    for network in (A, B, C, D):
        await published(forgetful, network)
    session = (await feed.listed(caller))["session"]
    assert (await caller.get(f"{FEED}/delta?session={session}&since=1")).status_code == 410
    kept = (await caller.get(f"{FEED}/delta?session={session}&since=2")).json()
    assert kept["added"] == [C, D]
    assert (await caller.get(f"{FEED}/deltas/2")).json()["code"] == "snapshot_required"
    assert (await caller.get(f"{FEED}/deltas/3")).json()["added"] == [C]

    restarted = Service(forgetful.settings)
    await restarted.app.state.reader.refresh()
    assert [each.serial for each in restarted.app.state.reader.deltas] == [3, 4]
    await restarted.close()


async def test_a_serial_that_was_never_published_needs_the_snapshot(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    session = (await feed.listed(nayatel))["session"]
    assert (await nayatel.get(f"{FEED}/delta?session={session}&since=2")).status_code == 410
    assert (await nayatel.get(f"{FEED}/deltas/2")).status_code == 410


async def test_a_serial_newer_than_this_process_has_is_read_from_the_database(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    session = (await feed.listed(nayatel))["session"]
    await granted(service, [B])
    await service.publisher.publish()  # and no refresh
    answer = (await nayatel.get(f"{FEED}/delta?session={session}&since=2")).json()
    assert (answer["to"], answer["added"], answer["removed"]) == (2, [], [])


async def test_a_delta_omits_changes_that_cancel_out_and_gives_the_reason_of_each_removal(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    suspended = await cases.approved(pseb, officer)
    keeper = await cases.approved(pseb, officer)
    await service.publish()
    before = await feed.listed(nayatel)

    why = {"reason_codes": ["misuse"], "legal_basis": "Order 12/2026"}
    passing = await cases.approved(pseb, officer)
    assert (await cases.decide(officer, suspended, "suspend", **why)).status_code == 201
    await service.publish()
    read = (await officer.get(f"/v1/registrations/{suspended['id']}")).json()
    assert (await cases.decide(officer, read, "reinstate")).status_code == 201
    assert (await cases.decide(officer, passing, "revoke", **why)).status_code == 201
    assert (await cases.decide(officer, case, "revoke", **why)).status_code == 201
    last = await cases.approved(pseb, officer)
    await service.publish()

    answer = (await nayatel.get(f"{FEED}/delta?session={before['session']}&since=1")).json()
    assert (answer["session"], answer["from"], answer["to"]) == (before["session"], 1, 3)
    assert answer["added"] == last["networks"]
    assert answer["removed"] == [{"network": case["networks"][0], "reason": "revoked"}]
    after = await feed.listed(nayatel)
    assert sorted(after["networks"]) == sorted(keeper["networks"] + suspended["networks"] + last["networks"])
    assert answer["digest"] == after["digest"] == digest_of(after["networks"])
    step = (await nayatel.get(f"{FEED}/delta?session={before['session']}&since=2")).json()
    assert {removal["network"] for removal in step["removed"]} == {case["networks"][0], passing["networks"][0]}


async def test_at_the_current_serial_the_delta_is_empty(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    held = await feed.listed(nayatel)
    answer = await nayatel.get(f"{FEED}/delta?session={held['session']}&since=1")
    body = {"session": held["session"], "from": 1, "to": 1, "added": [], "removed": [], "digest": held["digest"]}
    assert answer.json() == body
    assert "preference-applied" not in answer.headers


async def test_waiting_ends_as_soon_as_there_is_a_newer_serial(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    session = (await feed.listed(nayatel))["session"]
    path = f"{FEED}/delta?session={session}&since=1"
    waiting = [asyncio.create_task(nayatel.get(path, headers={"Prefer": "wait=30"})) for _ in range(20)]
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in waiting)
    began = time.monotonic()
    await published(service, B)
    answers = await asyncio.gather(*waiting)
    assert time.monotonic() - began < 2
    for answer in answers:
        assert (answer.json()["to"], answer.json()["added"]) == (2, [B])
        assert answer.headers["preference-applied"] == "wait=30"
    late = await nayatel.get(path, headers={"Prefer": "respond-async, wait=30"})
    assert late.json()["to"] == 2


async def test_a_wait_without_a_newer_serial_is_bounded_and_gives_an_empty_delta(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "MAX_WAIT_SECONDS", 1)
    await published(service, A)
    session = (await feed.listed(nayatel))["session"]
    began = time.monotonic()
    answer = await nayatel.get(f"{FEED}/delta?session={session}&since=1", headers={"Prefer": "wait=600"})
    assert 0.9 < time.monotonic() - began < 3
    assert answer.headers["preference-applied"] == "wait=1"
    assert (answer.json()["to"], answer.json()["added"]) == (1, [])


async def test_while_the_whole_list_is_reloaded_every_delta_still_leads_to_its_digest(
    service: Service, nayatel: Caller
) -> None:
    held = {}
    for n, network in enumerate(addresses(8)):
        await published(service, network)
        held[n + 1] = set((await feed.listed(nayatel))["networks"])
    reader, stop = service.app.state.reader, asyncio.Event()

    async def consume(since: int) -> int:
        answered = 0
        while not stop.is_set():
            await asyncio.sleep(0)
            session = reader.current().session
            answer = await nayatel.get(f"{FEED}/delta?session={session}&since={since}")
            if answer.status_code == 410:
                continue
            body = answer.json()
            now = held[since] | set(body["added"]) - {each["network"] for each in body["removed"]}
            assert digest_of(sorted(now, key=lambda text: int(text.rpartition(".")[2][:-3]))) == body["digest"]
            answered += 1
        return answered

    consuming = asyncio.gather(*(consume(since) for since in (1, 3, 5)))
    try:
        for _ in range(10):
            await feed.new_session(service)
            await reader.refresh()
    finally:
        stop.set()
    assert min(await consuming) > 0


async def test_revoked_addresses_that_are_granted_anew_do_not_show_in_the_delta(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A, B)
    session = (await feed.listed(nayatel))["session"]
    await withdrawn(service, [A])
    await service.publish()
    await published(service, A)
    answer = (await nayatel.get(f"{FEED}/delta?session={session}&since=1")).json()
    assert (answer["to"], answer["added"], answer["removed"]) == (3, [], [])
