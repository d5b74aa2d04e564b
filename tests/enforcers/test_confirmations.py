"""Enforcers say which list they have applied, and learn how far behind they are."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.enforcers import rules, service
from app.partners.rules import PartnerKind
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.feed import FEED, addresses, published, withdrawn
from tests.support.service import BASE_URL, Caller, Service

CONFIRMATIONS = f"{FEED}/confirmations"
A, B, C, D = addresses(4)


async def newest(caller: Caller) -> dict[str, Any]:
    """What an enforcer says of the newest list."""
    feed = (await caller.get(FEED)).json()
    return {name: feed[name] for name in ("session", "serial", "digest")}


def item(of: dict[str, Any], enforcer: str = "edge-1", **changes: Any) -> dict[str, Any]:
    applied_at = datetime.now(UTC).isoformat()
    return {"enforcer": enforcer, **of, "applied_at": applied_at, **changes}


async def confirm(caller: Caller, *items: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await caller.post(CONFIRMATIONS, json={"items": items})
    assert answer.status_code == 201, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def states(caller: Caller, query: str = "grade=applied") -> dict[str, str]:
    items = (await caller.get(f"{FEED}/enforcers?{query}")).json()["items"]
    return {each["enforcer"]: each["state"] for each in items}


async def event_types(caller: Caller) -> list[str]:
    """The changes of state that the caller reads in the log, in order."""
    items = (await caller.get("/v1/events?type=enforcer.*")).json()["items"]
    return [each["type"] for each in items]


async def test_an_enforcer_with_the_newest_list_is_in_step(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    (told,) = await confirm(nayatel, item(await newest(nayatel)))
    assert told == {
        "enforcer": "edge-1",
        "in_step": True,
        "behind_serials": 0,
        "behind_seconds": 0,
        "matches": True,
    }
    assert await states(nayatel) == {"edge-1": "in_step"}


async def test_results_come_in_the_order_of_the_request(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    old = await newest(nayatel)
    await published(service, B)
    names = ["z", "a", "m"]
    told = await confirm(nayatel, *(item(old, name) for name in names), item(await newest(nayatel), "b"))
    assert [each["enforcer"] for each in told] == [*names, "b"]
    assert [each["behind_serials"] for each in told] == [1, 1, 1, 0]
    assert all(each["matches"] for each in told)


async def test_it_is_behind_five_minutes_after_a_publication_that_it_lacks_and_not_before(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    old = await newest(nayatel)
    await published(service, B)
    (told,) = await confirm(nayatel, item(old))
    assert (told["in_step"], told["behind_serials"]) == (True, 1)
    await service.move_clock(timedelta(minutes=6))
    (told,) = await confirm(nayatel, item(old))
    assert (told["in_step"], told["behind_serials"]) == (False, 1)
    assert 350 < told["behind_seconds"] < 420
    (told,) = await confirm(nayatel, item(await newest(nayatel)))
    assert (told["in_step"], told["behind_serials"]) == (True, 0)
    await wait_for_event(nayatel, "enforcer.in_step")
    assert await event_types(nayatel) == ["enforcer.behind", "enforcer.in_step"]


@pytest.mark.parametrize(
    "wrong", [{"digest": "0" * 64}, {"session": str(uuid4())}, {"serial": 99}], ids=["digest", "session", "serial"]
)
async def test_a_list_that_was_never_published_so_is_recorded_as_diverged(
    service: Service, nayatel: Caller, wrong: dict[str, Any]
) -> None:
    await published(service, A)
    (told,) = await confirm(nayatel, item({**await newest(nayatel), **wrong}))
    assert (told["matches"], told["in_step"]) == (False, False)
    (line,) = (await nayatel.get(f"{FEED}/enforcers?state=diverged")).json()["items"]
    assert (line["enforcer"], line["matches"]) == ("edge-1", False)
    event = (await wait_for_event(nayatel, "enforcer.diverged"))[-1]
    assert event["details"]["enforcer"] == "edge-1"


async def test_before_the_first_publication_no_list_matches(service: Service, nayatel: Caller) -> None:
    body = item({"session": str(uuid4()), "serial": 1, "digest": "0" * 64})
    (told,) = await confirm(nayatel, body)
    assert (told["matches"], told["behind_serials"]) == (False, 0)


async def test_an_earlier_confirmation_that_arrives_late_changes_nothing(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    old = item(await newest(nayatel))
    await published(service, B)
    await confirm(nayatel, item(await newest(nayatel)))
    (told,) = await confirm(nayatel, old)
    assert (told["behind_serials"], told["in_step"]) == (0, True)


async def test_silence_is_noticed_by_the_sweep_and_said_once(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    await confirm(nayatel, item(await newest(nayatel)))
    assert await service_sweep(service) == 0
    await service.move_clock(timedelta(minutes=61))
    assert (await service_sweep(service), await service_sweep(service)) == (1 + 0, 0)
    await wait_for_event(nayatel, "enforcer.silent")
    assert await event_types(nayatel) == ["enforcer.silent"]
    assert await states(nayatel) == {"edge-1": "silent"}
    await confirm(nayatel, item(await newest(nayatel)))
    assert await states(nayatel) == {"edge-1": "in_step"}


async def test_the_sweep_notices_who_is_behind(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    await confirm(nayatel, item(await newest(nayatel), "left"), item(await newest(nayatel), "kept"))
    await published(service, B)
    await confirm(nayatel, item(await newest(nayatel), "kept"))
    await service.move_clock(timedelta(minutes=6))
    assert await service_sweep(service) == 1
    assert await states(nayatel) == {"left": "behind", "kept": "in_step"}
    assert await service_sweep(service) == 0


async def service_sweep(of: Service) -> int:
    return await service.sweep(of.database)


async def test_every_enforcer_is_swept_however_many_stay_as_they_are(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.enforcers.service.SWEPT_AT_ONCE", 2)
    await published(service, A)
    wrong = {**await newest(nayatel), "digest": "0" * 64}
    await confirm(nayatel, *(item(wrong, f"wrong-{number}") for number in range(5)))
    await confirm(nayatel, item(await newest(nayatel), "late"))
    await published(service, B)
    await service.move_clock(timedelta(minutes=6))
    assert await service_sweep(service) == 1


async def test_an_enforcer_that_is_silent_for_a_month_is_forgotten(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    await confirm(nayatel, item(await newest(nayatel)))
    await service.move_clock(timedelta(minutes=61))
    await service_sweep(service)
    await service.move_clock(timedelta(days=31))
    await service_sweep(service)
    assert await states(nayatel) == {}


async def test_an_operator_has_a_bounded_number_of_enforcers_and_the_known_ones_still_confirm(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.enforcers.service.MAX_ENFORCERS", 2)
    await published(service, A)
    of = await newest(nayatel)
    await confirm(nayatel, item(of, "a"), item(of, "b"))
    refused = await nayatel.post(CONFIRMATIONS, json={"items": [item(of, "b"), item(of, "c")]})
    assert (refused.status_code, refused.json()["code"]) == (409, "enforcer_limit")
    await confirm(nayatel, item(of, "a"), item(of, "b"))


async def test_a_thousand_enforcers_confirm_at_once(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    of = await newest(nayatel)
    items = [item(of, f"edge-{number}") for number in range(rules.MAX_CONFIRMATIONS)]
    told = await confirm(nayatel, *items)
    assert len(told) == rules.MAX_CONFIRMATIONS
    assert all(each["in_step"] for each in told)
    refused = await nayatel.post(CONFIRMATIONS, json={"items": [*items, item(of, "one-more")]})
    assert cases.codes(refused) == {"/items": "invalid_value"}


async def test_a_repeated_request_is_replayed(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    body, headers = {"items": [item(await newest(nayatel))]}, {"Idempotency-Key": "once"}
    first = await nayatel.post(CONFIRMATIONS, json=body, headers=headers)
    again = await nayatel.post(CONFIRMATIONS, json=body, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_firewall_confirms_by_http_basic(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    login = (nayatel.credentials.client_id, nayatel.credentials.client_secret)
    body = {"items": [item(await newest(nayatel))]}
    answer = await service.http.post(f"{BASE_URL}{CONFIRMATIONS}", json=body, auth=login)
    assert answer.status_code == 201


REFUSALS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "nothing": ({"items": []}, {"/items": "missing_field"}),
    "no items": ({}, {"/items": "missing_field"}),
    "an empty item": (
        {"items": [{}]},
        {f"/items/0/{name}": "missing_field" for name in ("enforcer", "session", "serial", "digest", "applied_at")},
    ),
    "wrong values": (
        {
            "items": [
                {
                    "enforcer": "x" * 101,
                    "session": "1",
                    "serial": 0,
                    "digest": "0" * 63,
                    "applied_at": "yesterday",
                    "colour": "red",
                }
            ]
        },
        {
            f"/items/0/{name}": "invalid_value"
            for name in ("enforcer", "session", "serial", "digest", "applied_at", "colour")
        },
    ),
    "a serial as text": (
        {"items": [item({"session": str(uuid4()), "serial": "1", "digest": "0" * 64})]},
        {"/items/0/serial": "invalid_value"},
    ),
    "one enforcer twice": (
        {"items": [item({"session": str(uuid4()), "serial": 1, "digest": "0" * 64}) for _ in range(2)]},
        {"/items/1/enforcer": "invalid_value"},
    ),
    "a time to come": (
        {
            "items": [
                item(
                    {"session": str(uuid4()), "serial": 1, "digest": "0" * 64},
                    applied_at=(datetime.now(UTC) + timedelta(minutes=30)).isoformat(),
                )
            ]
        },
        {"/items/0/applied_at": "invalid_value"},
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_wrong_confirmation_is_refused_with_all_its_errors_and_changes_nothing(
    service: Service, nayatel: Caller, name: str
) -> None:
    body, errors = REFUSALS[name]
    refused = await nayatel.post(CONFIRMATIONS, json=body)
    assert (refused.status_code, cases.codes(refused)) == (422, errors)
    assert await states(nayatel) == {}


async def test_only_an_operator_with_the_scope_confirms_and_for_itself(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    await published(service, A)
    body = {"items": [item(await newest(nayatel))]}
    reader = await service.caller("nayatel", client="reader", scopes=["allowlist:read"])
    regulator = await service.caller(
        "pta", PartnerKind.REGULATOR, client="all", person="All", scopes=["allowlist:confirm", "allowlist:read"]
    )
    for caller in (pseb, officer, reader, regulator):
        refused = await caller.post(CONFIRMATIONS, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert await states(officer) == {}
    assert (await service.http.post(CONFIRMATIONS, json=body)).status_code == 401


async def test_two_operators_use_one_name_without_meeting(service: Service, nayatel: Caller, officer: Caller) -> None:
    ptcl = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl")
    await published(service, A)
    of = await newest(nayatel)
    await confirm(nayatel, item(of))
    await confirm(ptcl, item({**of, "digest": "0" * 64}))
    assert (await states(nayatel), await states(ptcl)) == ({"edge-1": "in_step"}, {"edge-1": "diverged"})
    lines = (await officer.get(f"{FEED}/enforcers?grade=applied")).json()["items"]
    assert {each["operator"]: each["state"] for each in lines} == {"nayatel": "in_step", "ptcl": "diverged"}
    await wait_for_event(ptcl, "enforcer.diverged")
    assert await event_types(nayatel) == []


async def test_a_list_that_shrank_is_compared_by_its_digest(service: Service, nayatel: Caller) -> None:
    await published(service, A, B)
    old = await newest(nayatel)
    await withdrawn(service, [B])
    await service.publish()
    (told,) = await confirm(nayatel, item({**await newest(nayatel), "digest": old["digest"]}))
    assert not told["matches"]
