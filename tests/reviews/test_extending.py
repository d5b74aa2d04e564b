"""Validity of approvals: extended one by one or as a cohort, with a grace period, and spread in a batch."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.registrations import expiry
from tests.support import cases, uploads
from tests.support.service import Caller, Service

DAY = timedelta(days=1)
BATCH = "/v1/review-decisions/batch"
WHY = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}


def within(days: float) -> str:
    return (datetime.now(UTC) + days * DAY).isoformat()


async def read(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await caller.get(f"/v1/registrations/{case['id']}")).json()
    return found


async def approved(pseb: Caller, officer: Caller, days: float, **verdict: Any) -> dict[str, Any]:
    case = await cases.submitted(pseb)
    answer = await cases.decide(officer, case, "approve", expires_at=within(days), **verdict)
    assert answer.status_code == 201, answer.text
    return await read(officer, case)


async def sweep(service: Service) -> int:
    async with service.database.transaction() as tx:
        return await expiry.move_due(tx)


def between(case: dict[str, Any], start: str, end: str) -> timedelta:
    return datetime.fromisoformat(case[end]) - datetime.fromisoformat(case[start])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"action": "extend"}, {"/expires_at": "missing_field"}),
        ({"action": "extend", "expires_at": within(-1)}, {"/expires_at": "invalid_value"}),
        ({"action": "extend", "expires_at": "2090"}, {"/expires_at": "invalid_value"}),
        ({"action": "extend", "expires_at": "2150-01-01T00:00:00Z"}, {"/expires_at": "invalid_value"}),
        (
            {"action": "extend", "effective_at": within(1), "grace_days": 7},
            {"/expires_at": "missing_field", "/effective_at": "invalid_value", "/grace_days": "invalid_value"},
        ),
        ({"action": "extend", "expires_at": within(900), "reason_codes": ["other"]}, {"/note": "missing_field"}),
        ({"action": "approve", "grace_days": 61}, {"/grace_days": "invalid_value"}),
        ({"action": "approve", "grace_days": -1}, {"/grace_days": "invalid_value"}),
        ({"action": "approve", "grace_days": "14"}, {"/grace_days": "invalid_value"}),
        ({"action": "approve", "grace_days": True}, {"/grace_days": "invalid_value"}),
        ({"action": "approve", "grace_days": 0.5}, {"/grace_days": "invalid_value"}),
        ({"action": "suspend", **WHY, "grace_days": 7}, {"/grace_days": "invalid_value"}),
    ],
    ids=[
        "no end",
        "past",
        "no time",
        "too far",
        "other times",
        "no note",
        "61",
        "-1",
        "text",
        "true",
        "half",
        "suspend",
    ],
)
async def test_a_validity_that_cannot_be_is_refused(
    pseb: Caller, officer: Caller, given: dict[str, Any], expected: dict[str, str]
) -> None:
    case = await cases.approved(pseb, officer)
    body = {"registration_id": case["id"], **given}
    answer = await officer.post("/v1/review-decisions", json=body, headers={"If-Match": "*"})
    assert (answer.status_code, cases.codes(answer)) == (422, expected)
    answer = await officer.post(BATCH, json={"selection": {"registration_ids": [case["id"]]}, **given})
    assert (answer.status_code, cases.codes(answer)) == (422, expected)
    assert await read(officer, case) == case


async def test_an_extension_that_is_none_is_refused(pseb: Caller, officer: Caller) -> None:
    case = await approved(pseb, officer, 30)
    for expires_at in (case["expires_at"], within(29)):
        answer = await cases.decide(officer, case, "extend", expires_at=expires_at)
        assert (answer.status_code, answer.json()["code"]) == (409, "validity_shortened")
        assert case["expires_at"] in answer.json()["detail"]
    assert await read(officer, case) == case


async def test_a_lapsed_case_is_extended_without_a_serial_and_is_reminded_of_anew(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await approved(pseb, officer, 5, grace_days=20)
    await service.publish()
    assert await sweep(service) == 1
    await service.move_clock(6 * DAY)
    assert await sweep(service) == 1
    lapsed = await read(officer, case)
    assert lapsed["status"] == "lapsed"
    until = within(406)
    answer = await cases.decide(officer, lapsed, "extend", expires_at=until, note="Flood relief")
    assert answer.status_code == 201, answer.text
    decision = answer.json()
    assert (decision["action"], decision["grace_days"], decision["note"]) == ("extend", None, "Flood relief")
    assert datetime.fromisoformat(decision["expires_at"]) == datetime.fromisoformat(until)
    extended = await read(officer, case)
    assert (extended["status"], extended["expires_at"]) == ("approved", decision["expires_at"])
    assert (between(extended, "expires_at", "ends_at"), between(extended, "renewable_from", "expires_at")) == (
        20 * DAY,
        60 * DAY,
    )
    event = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"][-1]
    assert event["name"] == "registration.extended"
    dates = {name: extended[name] for name in ("expires_at", "ends_at")}
    assert event["details"].items() >= {"status": "approved", **dates, **cases.content(case)}.items()
    assert (await sweep(service), await service.publish()) == (0, None)
    await service.move_clock(405.5 * DAY)
    assert await sweep(service) == 1


async def test_an_expired_case_is_extended_only_while_its_removal_is_held(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    made = [await approved(pseb, officer, 5) for _ in range(12)]
    alone = await approved(pseb, officer, 50)
    await service.publish()
    await service.move_clock(20 * DAY)
    assert await sweep(service) == 13  # one is reminded
    assert await service.publish() is None
    (held,) = (await officer.get("/v1/allowlist/held")).json()["items"]
    assert held["count"] == 12
    first, second, *others = [await read(officer, case) for case in made]
    assert {each["status"] for each in (first, second, *others)} == {"expired"}
    for case in (first, second):
        assert (await cases.decide(officer, case, "extend", expires_at=within(400))).status_code == 201
        assert (await read(officer, case))["status"] == "approved"
    assert await service.publish() is None
    releaser = await service.officer("pta-officer-2")
    assert (await releaser.post(f"/v1/allowlist/held/{held['id']}/release")).status_code == 200
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed, publication.count) == (0, 10, 3)
    ids = [each["id"] for each in others]
    body = {"selection": {"registration_ids": ids}, "action": "extend", "expires_at": within(400)}
    assert (await officer.post(BATCH, json=body)).json()["reasons"] == {"illegal_transition": 10}
    gone = await cases.decide(officer, others[0], "extend", expires_at=within(400))
    assert (gone.status_code, gone.json()["code"]) == (409, "illegal_transition")
    assert "left the list" in gone.json()["detail"]
    assert (await service.publish(), (await read(officer, alone))["status"]) == (None, "approved")


async def test_a_cohort_is_extended_by_one_call(service: Service, pseb: Caller, officer: Caller) -> None:
    soon = [await approved(pseb, officer, days) for days in (3, 4)]
    later = await approved(pseb, officer, 200)
    await service.publish()
    await service.move_clock(3.5 * DAY)
    await sweep(service)
    body = {
        "selection": {"filter": {"status": ["approved", "lapsed"], "expires_before": within(30)}},
        "action": "extend",
        "expires_at": within(90),
        "reason_codes": ["other"],
        "note": "The deadline is put off for everybody.",
    }
    tried = (await officer.post(BATCH, json={**body, "dry_run": True})).json()
    assert (tried["counts"], tried["statuses"]) == (
        {"selected": 2, "decided": 2, "refused": 0},
        {"approved": 1, "lapsed": 1},
    )
    done = (await officer.post(BATCH, json=body)).json()
    assert done["counts"] == tried["counts"]
    assert {(await read(officer, case))["status"] for case in soon} == {"approved"}
    assert await read(officer, later) == later
    assert await service.publish() is None
    assert (await officer.post(BATCH, json=body)).json()["counts"]["selected"] == 0


async def test_the_approvals_of_a_batch_end_within_30_days_after_a_year_and_each_says_its_own_end(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    upload = await uploads.ingest(pseb, uploads.csv_of([uploads.row(f"ref-{number}") for number in range(300)]))
    selection = {"bulk_upload_id": upload["id"], "status": "submitted"}
    outcome = (await officer.post(BATCH, json={"selection": selection, "action": "approve"})).json()
    assert outcome["counts"]["decided"] == 300
    listed = (await officer.get("/v1/registrations?limit=500")).json()["items"]
    decisions = (await officer.get(f"/v1/review-decisions?batch_id={outcome['batch_id']}&limit=500")).json()["items"]
    ends = {each["id"]: each["expires_at"] for each in listed}
    assert {each["registration_id"]: each["expires_at"] for each in decisions} == ends
    assert {each["grace_days"] for each in decisions} == {14}
    events = (await officer.get("/v1/events?type=registration.approved&limit=500")).json()["items"]
    assert {each["subject_id"]: each["details"]["expires_at"] for each in events} == ends
    lasting = [between(each, "decided_at", "expires_at") for each in listed]
    assert all(365 * DAY <= each < 395 * DAY for each in lasting)
    assert max(Counter(each.days for each in lasting).values()) < 40
    assert len({each.days for each in lasting}) > 25
    assert {between(each, "expires_at", "ends_at") for each in listed} == {14 * DAY}


async def test_an_end_that_a_batch_names_is_that_of_all(pseb: Caller, officer: Caller) -> None:
    made = [await cases.submitted(pseb) for _ in range(3)]
    until = within(100)
    body = {"selection": {"registration_ids": [each["id"] for each in made]}, "action": "approve", "expires_at": until}
    assert (await officer.post(BATCH, json={**body, "grace_days": 3})).json()["counts"]["decided"] == 3
    for case in made:
        seen = await read(officer, case)
        assert datetime.fromisoformat(seen["expires_at"]) == datetime.fromisoformat(until)
        assert between(seen, "expires_at", "ends_at") == 3 * DAY


async def test_an_extension_leaves_a_notice_in_place(pseb: Caller, officer: Caller) -> None:
    case = await approved(pseb, officer, 30)
    await cases.decide(officer, case, "suspend", **WHY, effective_at=within(7))
    announced = await read(officer, case)
    assert (await cases.decide(officer, announced, "extend", expires_at=within(60))).status_code == 201
    assert (await read(officer, case))["notice"] == announced["notice"]
