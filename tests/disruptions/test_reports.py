"""Whoever is registered and blocked all the same says so, learns at once what the register knows, and is answered."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.enforcers import service as enforcers
from app.partners.rules import PartnerKind
from tests.enforcers.test_confirmations import confirm, item, newest
from tests.support import cases
from tests.support.disruptions import (
    LATER,
    REPORTS,
    act,
    address_of,
    body_of,
    in_force,
    opened,
    sent,
    sent_by_receipt,
    sweep,
)
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

NOW = datetime.now(UTC).isoformat()


async def events_of(caller: Caller, pattern: str = "disruption.*") -> list[str]:
    items = (await caller.get(f"/v1/events?type={pattern}&limit=500")).json()["items"]
    return [each["type"] for each in items]


async def test_an_address_in_force_is_reported_to_its_operator_and_due_in_four_hours(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await in_force(service, pseb, officer)
    report = await sent(pseb, body_of(address_of(case), offset=LATER, protocol="wireguard"))
    assert (report["verdict"], report["reason"], report["status"]) == ("in_force", "listed", "open")
    assert (report["operator"], report["registration_id"], report["by_receipt"]) == ("nayatel", case["id"], False)
    due = datetime.fromisoformat(report["due_at"]) - datetime.fromisoformat(report["reported_at"])
    assert due == timedelta(hours=4)
    (seen,) = (await nayatel.get(REPORTS)).json()["items"]
    assert seen == {**report, "registration_id": None, "by_receipt": None}
    await wait_for_event(nayatel, "disruption.opened")
    assert await events_of(nayatel) == await events_of(pseb) == ["disruption.opened"]


async def test_what_just_came_on_the_list_is_newly_in_force(service: Service, pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    await service.publish()
    report = await sent(pseb, body_of(address_of(case)))
    assert (report["verdict"], report["status"]) == ("newly_in_force", "open")


async def test_an_address_that_changed_hands_by_a_renewal_is_not_new(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await in_force(service, pseb, officer)
    successor = cases.registration(case["applicant_id"], networks=case["networks"], replaces=case["id"])
    renewed = await pseb.post("/v1/registrations", json=successor)
    assert renewed.status_code == 201, renewed.text
    receipt = renewed.json()["receipt"]
    assert (await cases.decide(officer, renewed.json(), "approve")).status_code == 201
    await service.publish()
    body = body_of(address_of(case), offset=LATER + timedelta(seconds=1))
    assert (await sent(pseb, body))["verdict"] == "in_force"
    assert (await sent_by_receipt(service, receipt, body))["verdict"] == "in_force"


async def test_an_address_that_is_not_registered_is_answered_and_bothers_no_operator(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    report = await sent(pseb, body_of(cases.address()))
    assert (report["verdict"], report["status"], report["due_at"]) == ("not_registered", "answered", None)
    assert (report["operator"], report["registration_id"]) == ("nayatel", None)  # by announced prefix
    assert (await sent(pseb, body_of("9.9.9.9")))["operator"] is None
    await wait_for_event(pseb, "disruption.answered")
    assert (await nayatel.get(REPORTS)).json()["items"] == []
    assert (await nayatel.get(f"{REPORTS}/{report['id']}")).status_code == 404
    assert await events_of(nayatel) == []
    assert len((await officer.get(REPORTS)).json()["items"]) == 2


@pytest.mark.parametrize(
    ("action", "reason"),
    [("suspend", "suspended"), ("revoke", "revoked"), ("", "under_review"), ("reject", "rejected")],
)
async def test_an_address_not_in_force_is_answered_with_the_reason_and_the_time(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller, action: str, reason: str
) -> None:
    case = await cases.submitted(pseb)
    await cases.approved(pseb, officer)
    if action in ("suspend", "revoke"):
        case = (await cases.decide(officer, case, "approve")).json() and (
            await officer.get(f"/v1/registrations/{case['id']}")
        ).json()
        await service.publish()
    if action:
        why = {"reason_codes": ["misuse"], **({"legal_basis": "Order 1"} if action in ("suspend", "revoke") else {})}
        assert (await cases.decide(officer, case, action, **why)).status_code == 201
        await service.publish()
    report = await sent(pseb, body_of(address_of(case)))
    assert (report["verdict"], report["reason"], report["status"]) == ("not_in_force", reason, "answered")
    assert report["since"] is not None
    assert (await nayatel.get(REPORTS)).json()["items"] == []


async def test_the_verdict_is_that_of_the_time_of_the_disruption(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await in_force(service, pseb, officer)
    await service.move_clock(timedelta(hours=2))
    revoked = await cases.decide(officer, case, "revoke", reason_codes=["misuse"], legal_basis="Order 1")
    assert revoked.status_code == 201
    then = body_of(address_of(case), offset=-timedelta(days=2))
    assert (await sent(pseb, then))["verdict"] == "not_in_force"
    assert (await sent(pseb, then))["reason"] == "not_submitted"
    assert (await sent(pseb, body_of(address_of(case), offset=LATER)))["verdict"] == "in_force"


async def test_an_operator_that_is_behind_or_diverged_is_named_so(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    await cases.approved(pseb, officer)
    await service.publish()
    old = await newest(nayatel)
    await confirm(nayatel, item(old))
    case = await in_force(service, pseb, officer)
    await enforcers.sweep(service.database)
    behind = await sent(pseb, body_of(address_of(case), offset=LATER))
    assert behind["verdict"] == "operator_behind"
    await confirm(nayatel, item({**old, "digest": "0" * 64}))
    assert (await sent(pseb, body_of(address_of(case), offset=LATER)))["verdict"] == "operator_diverged"
    await confirm(nayatel, item(await newest(nayatel)))
    assert (await sent(pseb, body_of(address_of(case), offset=LATER)))["verdict"] == "in_force"
    # as of then it was behind, whatever it is now
    await service.move_clock(LATER + timedelta(minutes=30))
    await confirm(nayatel, item(await newest(nayatel)))
    at = {"observed_from": behind["observed_from"]}
    assert (await sent(pseb, {**body_of(address_of(case)), **at}))["verdict"] in ("operator_behind", "in_force")


async def test_a_report_is_acknowledged_closed_and_opened_again(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    report = await opened(service, pseb, officer)
    acknowledged = (await act(nayatel, report, "acknowledge")).json()
    assert (acknowledged["status"], acknowledged["version"]) == ("acknowledged", 2)
    assert acknowledged["acknowledged_at"]
    assert acknowledged["due_at"] == report["due_at"]
    finding = {"finding": "was_behind", "note": "One edge had an old list."}
    closed = (await act(nayatel, acknowledged, "findings", finding)).json()
    assert (closed["status"], closed["finding"], closed["note"]) == ("closed", *finding.values())
    read = (await pseb.get(f"{REPORTS}/{report['id']}")).json()
    assert (read["status"], read["note"]) == ("closed", finding["note"])
    reopened = await act(pseb, read, "reopen", {})
    assert reopened.status_code == 200, reopened.text
    again = reopened.json()
    assert (again["status"], again["finding"], again["ended_at"], again["acknowledged_at"]) == (
        "open",
        None,
        None,
        None,
    )
    assert again["due_at"] >= report["due_at"]
    await wait_for_event(pseb, "disruption.reopened")
    names = ["opened", "acknowledged", "closed", "reopened"]
    assert await events_of(pseb) == await events_of(nayatel) == [f"disruption.{each}" for each in names]


async def test_a_closed_report_can_be_opened_again_for_72_hours(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    first = await opened(service, pseb, officer)
    closed = (await act(nayatel, first, "findings", {"finding": "fixed"})).json()
    await service.move_clock(LATER + timedelta(hours=73))
    late = await act(pseb, closed, "reopen", {})
    assert (late.status_code, late.json()["code"]) == (409, "report_state")
    await service.move_clock(LATER + timedelta(hours=71))
    assert (await act(pseb, closed, "reopen", {})).status_code == 200


async def test_the_regulator_is_told_once_that_a_finding_is_overdue(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    late, answered = await opened(service, pseb, officer), await opened(service, pseb, officer)
    assert (await act(nayatel, answered, "findings", {"finding": "not_ours"})).status_code == 200
    assert (await act(nayatel, late, "acknowledge")).status_code == 200
    await sweep(service)
    await service.move_clock(LATER + timedelta(hours=4, minutes=1))
    await sweep(service)
    await sweep(service)
    log = await wait_for_event(officer, "disruption.overdue")
    assert [each["subject_id"] for each in log if each["type"] == "disruption.overdue"] == [late["id"]]
    read = (await nayatel.get(f"{REPORTS}/{late['id']}")).json()
    assert read["overdue_at"]
    assert (await act(nayatel, read, "findings", {"finding": "upstream"})).status_code == 200


async def test_the_holder_of_a_receipt_reports_without_a_token_and_opens_again(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, nayatel: Caller
) -> None:
    case, receipt = await cases.with_receipt(pseb)
    _, others_receipt = await cases.with_receipt(pasha)
    await cases.decide(officer, case, "approve")
    await service.publish()
    await service.move_clock(LATER)
    report = await sent_by_receipt(service, receipt, body_of(address_of(case), offset=LATER))
    assert (report["verdict"], report["status"], report["operator"]) == ("in_force", "open", "nayatel")
    assert (report["registration_id"], report["by_receipt"]) == (None, None)
    (own,) = (await pseb.get(REPORTS)).json()["items"]
    assert (own["registration_id"], own["by_receipt"]) == (case["id"], True)
    assert (await pasha.get(REPORTS)).json()["items"] == []
    closed = (await act(nayatel, report, "findings", {"finding": "fixed"})).json()
    headers, path = {"If-Match": f'"{closed["version"]}"'}, f"{REPORTS}/{report['id']}/reopen"
    refused = await service.http.post(path, json={"receipt": others_receipt}, headers=headers)
    assert refused.status_code == 404
    assert (await service.http.post(path, json={}, headers=headers)).status_code == 401
    assert (await service.http.post(path, json={"receipt": receipt}, headers=headers)).status_code == 200


async def test_a_repeated_report_is_replayed_with_a_token_and_with_a_receipt(service: Service, pseb: Caller) -> None:
    case, receipt = await cases.with_receipt(pseb)
    body, headers = body_of(address_of(case)), {"Idempotency-Key": "once"}
    first, again = [await pseb.post(REPORTS, json=body, headers=headers) for _ in range(2)]
    assert (again.status_code, again.json()) == (201, first.json())
    sent = {**body, "receipt": receipt}
    first, again = [await service.http.post(REPORTS, json=sent, headers=headers) for _ in range(2)]
    assert (again.status_code, again.json()) == (201, first.json())
    assert len((await pseb.get(REPORTS)).json()["items"]) == 2


@pytest.mark.parametrize("limit", ["MAX_PENDING", "MAX_BY_RECEIPT"])
async def test_reports_are_bounded(
    service: Service, pseb: Caller, officer: Caller, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(f"app.disruptions.rules.{limit}", 1)
    case, receipt = await cases.with_receipt(pseb)
    await cases.decide(officer, case, "approve")
    await service.publish()
    body = {**body_of(address_of(case)), **({"receipt": receipt} if limit == "MAX_BY_RECEIPT" else {})}
    send = service.http.post if limit == "MAX_BY_RECEIPT" else pseb.post
    assert (await send(REPORTS, json=body)).status_code == 201
    refused = await send(REPORTS, json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "disruption_limit")


SOUND = {"address": "203.99.50.5", "observed_from": NOW, "symptom": "slow"}
REFUSALS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "nothing": ({}, dict.fromkeys(("/address", "/observed_from", "/symptom"), "missing_field")),
    "wrong values": (
        {
            "address": "203.99.50.5/24",
            "observed_from": "yesterday",
            "observed_until": 5.5,
            "symptom": "gone",
            "protocol": "tcp",
            "operator": "x" * 101,
            "far_end": "198.51.100.1",
        },
        {
            "/address": "network_malformed",
            **dict.fromkeys(("/observed_from", "/symptom", "/protocol", "/operator", "/far_end"), "invalid_value"),
        },
    ),
    "an end before the beginning": (
        {**SOUND, "observed_until": (datetime.now(UTC) - timedelta(hours=1)).isoformat()},
        {"/observed_until": "invalid_value"},
    ),
    "times to come and no such operator": (
        {
            **SOUND,
            "observed_from": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "observed_until": (datetime.now(UTC) + timedelta(hours=2)).isoformat(),
            "operator": "nobody",
        },
        {"/observed_from": "invalid_value", "/observed_until": "invalid_value", "/operator": "unknown_operator"},
    ),
    "too long ago": (
        {**SOUND, "observed_from": (datetime.now(UTC) - timedelta(days=31)).isoformat()},
        {"/observed_from": "invalid_value"},
    ),
    "a token and a receipt": ({**SOUND, "receipt": "PK-7H3KQ9-M2QXW8RT-5"}, {"/receipt": "invalid_value"}),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_wrong_report_is_refused_with_all_its_errors_and_changes_nothing(pseb: Caller, name: str) -> None:
    body, errors = REFUSALS[name]
    refused = await pseb.post(REPORTS, json=body)
    assert refused.status_code == 422
    assert cases.codes(refused).items() >= errors.items()
    assert (await pseb.get(REPORTS)).json()["items"] == []


async def test_without_a_token_and_a_receipt_nothing_is_taken(service: Service, nayatel: Caller) -> None:
    assert (await service.http.post(REPORTS, json=SOUND)).status_code == 401
    assert (await service.http.get(REPORTS)).status_code == 401
    unknown = await service.http.post(REPORTS, json={**SOUND, "receipt": "PK-7H3KQ9-M2QXW8RT-5"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_receipt")
    wrong = await service.http.post(REPORTS, json=SOUND, headers={"Authorization": "Bearer x"})
    assert wrong.status_code == 401
    assert (await nayatel.post(REPORTS, json=SOUND)).status_code == 403


async def test_only_the_operator_of_a_report_answers_it_in_its_order(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, nayatel: Caller
) -> None:
    ptcl = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl")
    regulator = await service.caller(
        "pta",
        PartnerKind.REGULATOR,
        client="all",
        person="All",
        scopes=["disruptions:answer", "disruptions:write", "registrations:read"],
    )
    report = await opened(service, pseb, officer)
    finding = {"finding": "fixed"}
    for action, body in (("acknowledge", None), ("findings", finding)):
        assert (await act(ptcl, report, action, body)).status_code == 404
        assert (await act(pseb, report, action, body)).status_code == 403
        assert (await act(regulator, report, action, body)).json()["code"] == "report_state"
        assert (await act(nayatel, report, action, body, **{"If-Match": '"9"'})).status_code == 412
        without = await nayatel.post(f"{REPORTS}/{report['id']}/{action}", json=body)
        assert without.status_code == 428
    assert cases.codes(await act(nayatel, report, "findings", {"finding": "lost", "who": "x"})) == {
        "/finding": "invalid_value",
        "/who": "invalid_value",
    }
    assert (await act(pseb, report, "reopen", {})).json()["code"] == "report_state"
    assert (await act(pasha, report, "reopen", {})).status_code == 404
    assert (await act(regulator, report, "reopen", {})).json()["code"] == "report_state"
    acknowledged = (await act(nayatel, report, "acknowledge")).json()
    assert (await act(nayatel, acknowledged, "acknowledge")).json()["code"] == "report_state"
    closed = (await act(nayatel, acknowledged, "findings", finding)).json()
    assert (await act(nayatel, closed, "findings", finding)).json()["code"] == "report_state"
    answered = await sent(pseb, body_of(cases.address()))
    assert (await act(pseb, answered, "reopen", {})).json()["code"] == "report_state"


async def test_reports_are_filtered_and_paged(service: Service, pseb: Caller, officer: Caller) -> None:
    report = await opened(service, pseb, officer)
    others = [await sent(pseb, body_of(cases.address(), symptom="slow")) for _ in range(3)]

    async def ids(query: str) -> list[str]:
        return [each["id"] for each in (await pseb.get(f"{REPORTS}?{query}")).json()["items"]]

    assert await ids("status=open") == await ids("verdict=in_force") == [report["id"]]
    assert await ids("symptom=slow&status=answered&status=closed") == [each["id"] for each in reversed(others)]
    assert len(await ids("operator=nayatel")) == 4
    page = (await pseb.get(f"{REPORTS}?limit=3")).json()
    assert await ids(f"limit=3&cursor={page['next_cursor']}") == [report["id"]]
    wrong = await pseb.get(f"{REPORTS}?status=lost&operator=nayatel")
    assert cases.codes(wrong) == {"/query/status": "invalid_value"}
    assert cases.codes(await pseb.get(f"{REPORTS}?operator=nobody")) == {"/query/operator": "unknown_operator"}
