"""Polling the event log: one order, no event skipped, and only the events that concern the partner."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import httpx

from app.events import store
from app.events.store import NewEvent
from app.partners.rules import PartnerKind
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

PATH = "/v1/events"


async def _record(service: Service, *names: str, **business: Any) -> None:
    async with service.database.transaction() as tx:
        await store.record(tx, None, [NewEvent(name, **business) for name in names])


def _names(events: Sequence[dict[str, Any]], prefix: str = "test.") -> list[str]:
    return [event["name"] for event in events if event["name"].startswith(prefix)]


async def _read(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = await caller.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def _refused(answer: httpx.Response, pointer: str) -> bool:
    return answer.status_code == 422 and cases.codes(answer) == {pointer: "invalid_value"}


async def test_an_unknown_position_is_refused(pseb: Caller) -> None:
    assert _refused(await pseb.get(PATH, params={"after": str(uuid4())}), "/query/after")
    assert _refused(await pseb.get(PATH, params={"after": "last"}), "/query/after")
    assert _refused(await pseb.get(PATH, params={"cursor": "x"}), "/query/cursor")
    for limit in ("0", "501", "x"):
        assert _refused(await pseb.get(PATH, params={"limit": limit}), "/query/limit")
    assert _refused(await pseb.get(PATH, params={"since": "now"}), "/query/since")


async def test_nobody_reads_the_log_without_its_scope(service: Service, pseb: Caller) -> None:
    narrow = await service.token(pseb.credentials, "registrations:read")
    answer = await service.http.get(PATH, headers={"Authorization": f"Bearer {narrow}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_no_position_is_returned_beyond_an_event_that_is_yet_to_commit(service: Service, pasha: Caller) -> None:
    await _record(service, "test.first")
    start = (await wait_for_event(pasha, "test.first"))[-1]["id"]
    async with service.database.transaction() as late:
        await store.record(late, None, [NewEvent("test.late")])
        await late.flush()
        await _record(service, "test.early")
        assert await _read(pasha, after=start) == []
        answer = await pasha.get(PATH, params={"after": start})
        assert answer.json()["next_cursor"] == start
    await wait_for_event(pasha, "test.early")
    assert _names(await _read(pasha, after=start)) == ["test.late", "test.early"]


async def test_a_reader_that_polls_while_many_write_gets_every_event_once(service: Service, pasha: Caller) -> None:
    async def write(number: int) -> None:
        for step in range(5):
            async with service.database.transaction() as tx:
                await store.record(tx, None, [NewEvent(f"test.{number}.{step}")])
                await asyncio.sleep(0.01 * (number % 3))

    writing = asyncio.gather(*(write(number) for number in range(4)))
    seen: list[str] = []
    cursor: str | None = None
    async with asyncio.timeout(30):
        while len(seen) < 20:
            body = (await pasha.get(PATH, params={"limit": 3, **({"after": cursor} if cursor else {})})).json()
            seen += _names(body["items"])
            cursor = body["next_cursor"]
    await writing
    assert len(set(seen)) == len(seen) == 20
    for number in range(4):
        assert [name for name in seen if name.startswith(f"test.{number}.")] == [f"test.{number}.{t}" for t in range(5)]


async def test_events_of_a_rolled_back_transaction_are_not_recorded(service: Service, pasha: Caller) -> None:
    with suppress(LookupError):
        async with service.database.transaction() as tx:
            await store.record(tx, None, [NewEvent("test.undone")])
            raise LookupError
    await _record(service, "test.done")
    assert _names(await wait_for_event(pasha, "test.done")) == ["test.done"]


async def test_pages_follow_one_another_and_the_last_position_stays_when_nothing_is_new(
    service: Service, pasha: Caller
) -> None:
    await _record(service, *(f"test.{n}" for n in range(5)))
    every = await wait_for_event(pasha, "test.4")
    first = await pasha.get(PATH, params={"limit": 2})
    assert first.json()["next_cursor"] == first.json()["items"][-1]["id"] == every[1]["id"]
    rest = await pasha.get(first.links["next"]["url"].replace("limit=2", "limit=500"))
    assert first.json()["items"] + rest.json()["items"] == every
    last = rest.json()["next_cursor"]
    for name in ("after", "cursor"):
        end = (await pasha.get(PATH, params={name: last})).json()
        assert (end["items"], end["next_cursor"]) == ([], last)
    assert (await pasha.get(PATH, params={"after": every[3]["id"], "cursor": every[0]["id"]})).json()["items"] == every[
        4:
    ]


async def test_each_kind_of_partner_sees_the_events_that_concern_it(
    service: Service, pseb: Caller, pasha: Caller, nayatel: Caller, officer: Caller
) -> None:
    own = pseb.credentials.partner_id
    await _record(service, "test.pseb", partner_id=own, operator="nayatel")
    await _record(service, "test.pasha", partner_id=pasha.credentials.partner_id, operator="ptcl")
    await _record(service, "test.ptcl", operator="ptcl")
    await _record(service, "test.everybody")
    expected = [
        (pseb, ["test.pseb", "test.everybody"]),
        (pasha, ["test.pasha", "test.everybody"]),
        (nayatel, ["test.pseb", "test.everybody"]),
        (officer, ["test.pseb", "test.pasha", "test.ptcl", "test.everybody"]),
    ]
    for caller, names in expected:
        assert _names(await wait_for_event(caller, "test.everybody")) == names


async def test_operators_do_not_see_remarks_and_partners_see_only_their_own_client_ids(
    pseb: Caller, nayatel: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    answer = await cases.decide(officer, case, "reject", reason_codes=["other"], note="The letter is of another year.")
    assert answer.status_code == 201, answer.text
    name = "registration.rejected"
    to_pseb, to_nayatel, to_officer = [
        next(event for event in await wait_for_event(caller, name) if event["name"] == name)
        for caller in (pseb, nayatel, officer)
    ]
    assert to_pseb["details"] == to_officer["details"]
    assert to_pseb["details"]["note"] == "The letter is of another year."
    assert to_nayatel["details"]["reason_codes"] == ["other"]
    assert not {"note", "legal_basis"} & to_nayatel["details"].keys()
    assert to_officer["actor_client_id"] == str(officer.credentials.id)
    assert (to_pseb["actor_client_id"], to_nayatel["actor_client_id"]) == (None, None)
    assert to_pseb["actor_partner_id"] == str(officer.credentials.partner_id)
    submitted = next(event for event in await _read(pseb) if event["name"] == "registration.submitted")
    assert submitted["actor_client_id"] == str(pseb.credentials.id)


async def test_the_history_of_one_subject_does_not_wait_for_others(service: Service, pseb: Caller) -> None:
    async with service.database.transaction() as late:
        await store.record(late, None, [NewEvent("test.late")])
        case = await cases.submitted(pseb)
        history = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    assert [event["name"] for event in history] == ["registration.submitted"]
    assert history[0]["subject_id"] == case["id"]
    assert UUID(history[0]["id"]).version == 7


async def test_ten_thousand_events_are_recorded_in_order_by_one_statement(service: Service, officer: Caller) -> None:
    async with service.database.transaction() as tx:
        await store.record(tx, None, [])
        await store.record(tx, None, [NewEvent(f"test.{n}", details={"n": n}) for n in range(10_000)])
        await store.record(tx, None, [NewEvent("test.after")])
    seen: list[dict[str, Any]] = []
    await wait_for_event(officer, "test.0")
    while not seen or seen[-1]["name"] != "test.after":
        seen += await _read(officer, limit=500, **({"after": seen[-1]["id"]} if seen else {}))
    numbers = [event["details"]["n"] for event in seen if "n" in event["details"]]
    assert numbers == list(range(10_000))


async def test_an_operator_reads_its_own_events_and_those_that_name_it_and_no_others(
    service: Service, pseb: Caller, nayatel: Caller
) -> None:
    other = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl")
    own, others = nayatel.credentials.partner_id, (pseb.credentials.partner_id, other.credentials.partner_id)
    await _record(service, "test.own", partner_id=own)
    await _record(service, "test.named", partner_id=others[0], operator="nayatel")
    for partner_id in others:
        await _record(service, "test.hidden", partner_id=partner_id, details={"note": "x"})
    await _record(service, "test.hidden", operator="ptcl")
    await _record(service, "test.last")
    assert _names(await wait_for_event(nayatel, "test.last")) == ["test.own", "test.named", "test.last"]
