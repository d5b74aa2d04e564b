"""Announced suspensions and revocations: given, put off, cancelled, carried out, void."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.registrations import expiry
from app.reviews import notices
from tests.support import cases
from tests.support.service import Caller, Service

DAY = timedelta(days=1)
WHY = {"reason_codes": ["misuse"], "note": "Answer the letter.", "legal_basis": "Order 1"}
BATCH = "/v1/review-decisions/batch"


def within(days: float) -> str:
    return (datetime.now(UTC) + days * DAY).isoformat()


async def read(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await caller.get(f"/v1/registrations/{case['id']}")).json()
    return found


async def announced(officer: Caller, case: dict[str, Any], days: float, action: str = "suspend") -> dict[str, Any]:
    """The decision of which notice was given."""
    answer = await cases.decide(officer, await read(officer, case), action, **WHY, effective_at=within(days))
    assert answer.status_code == 201, answer.text
    decision: dict[str, Any] = answer.json()
    return decision


async def decision_of(officer: Caller, decision: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await officer.get(f"/v1/review-decisions/{decision['id']}")).json()
    return found


async def cancel(officer: Caller, decision: dict[str, Any], **headers: str) -> Any:
    return await officer.post(f"/v1/review-decisions/{decision['id']}/cancel", headers=headers)


async def take_effect(service: Service) -> int:
    async with service.database.transaction() as tx:
        return await notices.take_effect(tx)


async def last_event(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await caller.get(f"/v1/registrations/{case['id']}/history")).json()["items"][-1]
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"action": "approve", "effective_at": within(1)}, {"/effective_at": "invalid_value"}),
        ({"action": "reinstate", "effective_at": within(1)}, {"/effective_at": "invalid_value"}),
        ({"action": "suspend", **WHY, "effective_at": "tomorrow"}, {"/effective_at": "invalid_value"}),
        ({"action": "suspend", **WHY, "effective_at": "2026-12-05T09:00:00"}, {"/effective_at": "invalid_value"}),
        ({"action": "suspend", **WHY, "effective_at": "2020-01-01T00:00:00Z"}, {"/effective_at": "invalid_value"}),
        ({"action": "revoke", **WHY, "effective_at": within(-0.001)}, {"/effective_at": "invalid_value"}),
        (
            {"action": "suspend", "effective_at": within(1), "expires_at": within(1), "grace_days": 1},
            {
                "/reason_codes": "missing_field",
                "/legal_basis": "missing_field",
                "/expires_at": "invalid_value",
                "/grace_days": "invalid_value",
            },
        ),
    ],
    ids=["approve", "reinstate", "no time", "no zone", "long ago", "just over", "all at once"],
)
async def test_a_time_that_a_decision_cannot_have_is_refused(
    pseb: Caller, officer: Caller, given: dict[str, Any], expected: dict[str, str]
) -> None:
    case = await cases.approved(pseb, officer)
    body = {"registration_id": case["id"], **given}
    answer = await officer.post("/v1/review-decisions", json=body, headers={"If-Match": "*"})
    assert (answer.status_code, cases.codes(answer)) == (422, expected)
    many = {"selection": {"registration_ids": [case["id"]]}, **given}
    answer = await officer.post(BATCH, json=many)
    assert (answer.status_code, cases.codes(answer)) == (422, expected)
    assert await read(officer, case) == case


async def test_the_future_is_the_registers(service: Service, pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    await service.move_clock(2 * DAY)
    answer = await cases.decide(officer, case, "suspend", **WHY, effective_at=within(1))
    assert (answer.status_code, cases.codes(answer)) == (422, {"/effective_at": "invalid_value"})
    await service.move_clock(-2 * DAY)
    assert (await cases.decide(officer, case, "suspend", **WHY, effective_at=within(-1))).status_code == 201


async def test_an_announced_suspension_gives_notice_and_changes_nothing_else(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    await service.publish()
    decision = await announced(officer, case, 7)
    assert decision.items() >= {**WHY, "action": "suspend", "expires_at": None, "in_effect_at": None}.items()
    assert (decision["cancelled_at"], decision["cancelled_by"], decision["voided_at"]) == (None, None, None)
    notice = {"decision_id": decision["id"], "action": "suspend", "effective_at": decision["effective_at"]}
    seen = await read(pseb, case)
    assert seen == {
        **case,
        "notice": notice,
        "version": case["version"] + 1,
        "updated_at": seen["updated_at"],
    }
    assert (await read(nayatel, case))["notice"] == notice
    assert (await pseb.get("/v1/registrations?status=approved")).json()["items"] == [seen]
    event = await last_event(officer, case)
    assert (event["name"], event["actor_client_id"]) == ("registration.notice_given", str(officer.credentials.id))
    batch_id = decision["batch_id"]
    assert event["details"] == {"status": "approved", "batch_id": batch_id, **WHY, **notice, **cases.content(case)}
    of_operator = (await last_event(nayatel, case))["details"]
    assert "note" not in of_operator
    assert "legal_basis" not in of_operator
    assert (await take_effect(service), await service.publish()) == (0, None)


async def test_a_notice_is_put_off_and_never_brought_forward(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    first = await announced(officer, case, 7)
    for given in ({"effective_at": within(6.9)}, {}):
        for action in ("suspend", "revoke"):
            answer = await cases.decide(officer, await read(officer, case), action, **WHY, **given)
            assert (answer.status_code, answer.json()["code"]) == (409, "notice_shortened")
            body = {"selection": {"registration_ids": [case["id"]]}, "action": action, **WHY, **given}
            assert (await officer.post(BATCH, json=body)).json()["reasons"] == {"notice_shortened": 1}
    assert (await read(officer, case))["notice"]["decision_id"] == first["id"]

    same = await cases.decide(officer, await read(officer, case), "revoke", **WHY, effective_at=first["effective_at"])
    assert same.status_code == 201
    later = await announced(officer, case, 9)
    assert (await read(pseb, case))["notice"]["decision_id"] == later["id"]
    for replaced in (first, same.json()):
        found = await decision_of(officer, replaced)
        assert found["cancelled_at"] is not None
        assert (found["cancelled_by"], found["in_effect_at"]) == (str(officer.credentials.id), None)
    assert (await last_event(pseb, case))["details"]["decision_id"] == later["id"]


async def test_a_decision_takes_effect_at_its_time_as_one_made_then_by_its_officer(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    keeper = await cases.approved(pseb, officer)
    case = await cases.approved(pseb, officer)
    await service.publish()
    decision = await announced(officer, case, 7)
    await service.move_clock(7 * DAY)
    assert (await take_effect(service), await take_effect(service)) == (1, 0)
    seen = await read(pseb, case)
    assert seen.items() >= {**WHY, "status": "suspended", "notice": None, "version": case["version"] + 2}.items()
    done = await decision_of(officer, decision)
    assert done == {**decision, "in_effect_at": done["in_effect_at"]}
    assert datetime.fromisoformat(done["in_effect_at"]) >= datetime.fromisoformat(decision["effective_at"])
    assert done["in_effect_at"] == seen["decided_at"]
    event = await last_event(officer, case)
    assert event["name"] == "registration.suspended"
    assert (event["actor_client_id"], event["actor_partner_id"]) == (
        str(officer.credentials.id),
        str(officer.credentials.partner_id),
    )
    batch_id = decision["batch_id"]
    assert event["details"] == {"status": "suspended", "batch_id": batch_id, **WHY, **cases.content(case)}
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed) == (0, 1)
    assert (await nayatel.get("/v1/allowlist?format=text")).text.splitlines() == keeper["networks"]
    assert (await cases.decide(officer, seen, "reinstate")).status_code == 201


async def test_decisions_of_several_officers_take_effect_together_each_with_its_own_reasons(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    other = await service.officer("pta-officer-2")
    made = [await cases.approved(pseb, officer) for _ in range(4)]
    for number, (case, decider) in enumerate(zip(made, (officer, other) * 2, strict=True)):
        why = {"reason_codes": ["other"], "note": f"Number {number}", "legal_basis": "Order 1"}
        action = "suspend" if number < 3 else "revoke"
        await cases.decide(decider, case, action, **why, effective_at=within(1))
    await service.move_clock(DAY)
    assert await take_effect(service) == 4
    seen = [await read(pseb, case) for case in made]
    assert [each["note"] for each in seen] == [f"Number {number}" for number in range(4)]
    assert [each["status"] for each in seen] == ["suspended"] * 3 + ["revoked"]
    actors = [(await last_event(officer, case))["actor_client_id"] for case in made]
    assert actors == [str(officer.credentials.id), str(other.credentials.id)] * 2


async def test_an_announced_batch_is_held_like_any_mass_change_and_single_decisions_are_not(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    made = [await cases.approved(pseb, officer) for _ in range(25)]
    await service.publish()
    ids = [each["id"] for each in made[:12]]
    body = {"selection": {"registration_ids": ids}, "action": "suspend", **WHY, "effective_at": within(1)}
    assert (await officer.post(BATCH, json=body)).json()["counts"]["decided"] == 12
    for case in made[12:24]:
        await announced(officer, case, 3)
    await service.move_clock(DAY)
    assert (await take_effect(service), await service.publish()) == (12, None)
    (held,) = (await officer.get("/v1/allowlist/held")).json()["items"]
    assert (held["kind"], held["count"]) == ("removal", 12)
    answer = await officer.post(f"/v1/allowlist/held/{held['id']}/release")
    assert (answer.status_code, answer.json()["code"]) == (403, "self_review")
    await service.move_clock(3 * DAY)
    assert await take_effect(service) == 12
    publication = await service.publish()
    assert publication is not None
    assert publication.removed == 12


async def test_a_cancelled_notice_never_takes_effect(service: Service, pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    await service.publish()
    decision = await announced(officer, case, 7)
    answer = await cancel(await service.officer("pta-officer-2"), decision)
    assert answer.status_code == 200, answer.text
    cancelled = answer.json()
    assert cancelled["cancelled_at"] is not None
    assert cancelled["cancelled_by"] not in (None, str(officer.credentials.id))
    assert (await cancel(officer, decision)).json() == cancelled == await decision_of(officer, decision)
    seen = await read(pseb, case)
    assert (seen["status"], seen["notice"], seen["version"]) == ("approved", None, case["version"] + 2)
    event = await last_event(officer, case)
    assert (event["name"], event["actor_client_id"]) == ("registration.notice_cancelled", cancelled["cancelled_by"])
    notice = {"decision_id": decision["id"], "action": "suspend", "effective_at": decision["effective_at"]}
    assert event["details"] == {"status": "approved", **notice, **cases.content(case)}
    await service.move_clock(8 * DAY)
    assert (await take_effect(service), await service.publish()) == (0, None)
    assert (await cases.decide(officer, seen, "suspend", **WHY)).status_code == 201


async def test_what_is_not_pending_or_not_the_officers_to_cancel_is_not_cancelled(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    (approval,) = (await officer.get(f"/v1/review-decisions?registration_id={case['id']}")).json()["items"]
    refused = await cancel(officer, approval)
    assert (refused.status_code, refused.json()["code"]) == (409, "decision_not_pending")
    decision = await announced(officer, case, 1)
    assert (await cancel(pseb, decision)).json()["code"] == "forbidden"
    unknown = await officer.post(f"/v1/review-decisions/{uuid4()}/cancel")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    await service.move_clock(DAY)
    await take_effect(service)
    late = await cancel(officer, decision)
    assert (late.status_code, late.json()["code"]) == (409, "decision_not_pending")

    own = await cases.submitted(officer)
    colleague = await service.officer("pta-officer-2")
    await cases.decide(colleague, own, "approve")
    answer = await cancel(officer, await announced(colleague, own, 30))
    assert (answer.status_code, answer.json()["code"]) == (403, "self_review")


async def test_a_cancellation_is_repeated_by_its_key(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    decision = await announced(officer, case, 7)
    first, again = [await cancel(officer, decision, **{"Idempotency-Key": "once"}) for _ in range(2)]
    assert first.text == again.text
    history = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    assert [each["name"] for each in history].count("registration.notice_cancelled") == 1


async def test_the_notice_of_a_case_that_ended_before_is_void(service: Service, pseb: Caller, officer: Caller) -> None:
    expiring = await cases.submitted(pseb)
    await cases.decide(officer, expiring, "approve", expires_at=within(2), grace_days=1)
    given_back = await cases.approved(pseb, officer)
    made = {"expired": expiring, "surrendered": given_back}
    decisions = {name: await announced(officer, case, 5) for name, case in made.items()}
    async with service.database.transaction() as tx:
        ended = text("UPDATE registrations SET status = 'surrendered' WHERE id = :id")
        await tx.execute(ended, {"id": given_back["id"]})
    await service.move_clock(6 * DAY)
    assert await take_effect(service) == 1  # the other one has not ended by its date yet
    async with service.database.transaction() as tx:
        assert await expiry.move_due(tx) == 1
    assert (await take_effect(service), await take_effect(service)) == (1, 0)
    for status, case in made.items():
        seen, decision = await read(pseb, case), await decision_of(officer, decisions[status])
        assert (seen["status"], seen["notice"]) == (status, None)
        assert decision["voided_at"] is not None
        assert (decision["in_effect_at"], decision["cancelled_at"]) == (None, None)
        late = await cancel(officer, decision)
        assert (late.status_code, late.json()["code"]) == (409, "decision_not_pending")


async def test_a_case_that_has_ended_shows_no_notice_before_it_is_void_either(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    decision = await announced(officer, case, 5)
    async with service.database.transaction() as tx:
        await tx.execute(text("UPDATE registrations SET status = 'surrendered'"))
    assert (await read(pseb, case))["notice"] is None
    assert (await cancel(officer, decision)).json()["code"] == "decision_not_pending"


async def test_a_suspended_case_may_be_announced_to_be_revoked_also_when_it_is_reinstated_meanwhile(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    still, reinstated = [await cases.approved(pseb, officer) for _ in range(2)]
    for case in (still, reinstated):
        await cases.decide(officer, case, "suspend", **WHY)
        await announced(officer, case, 5, "revoke")
    await cases.decide(officer, await read(officer, reinstated), "reinstate")
    assert [(await read(pseb, case))["status"] for case in (still, reinstated)] == ["suspended", "approved"]
    assert [(await read(pseb, case))["notice"]["action"] for case in (still, reinstated)] == ["revoke"] * 2
    await service.move_clock(5 * DAY)
    assert await take_effect(service) == 2
    assert [(await read(pseb, case))["status"] for case in (still, reinstated)] == ["revoked"] * 2


async def test_an_immediate_decision_after_the_announced_time_takes_its_place(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    decision = await announced(officer, case, 1)
    await service.move_clock(DAY)
    assert (await cases.decide(officer, await read(officer, case), "revoke", **WHY)).status_code == 201
    assert (await decision_of(officer, decision))["cancelled_at"] is not None
    assert await take_effect(service) == 0
    assert (await read(pseb, case))["status"] == "revoked"


async def test_a_notice_passes_to_the_case_that_replaces_its_own(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    old = await cases.approved(pseb, officer)
    notice = await announced(officer, old, 10)
    body = {**cases.registration(old["applicant_id"], networks=old["networks"]), "replaces": old["id"]}
    new = (await pseb.post("/v1/registrations", json=body)).json()
    assert (await cases.decide(officer, new, "approve")).status_code == 201
    new = await read(pseb, new)
    assert new["notice"] is not None
    assert (new["notice"]["decision_id"], new["notice"]["action"]) == (notice["id"], "suspend")
    assert (await read(pseb, old))["notice"] is None
    await service.move_clock(timedelta(days=11))
    await take_effect(service)
    assert (await read(pseb, new))["status"] == "suspended"
    assert (await read(pseb, old))["status"] == "superseded"
    assert (await decision_of(officer, notice))["in_effect_at"] is not None
    assert (await last_event(pseb, new))["details"]["reason_codes"] == notice["reason_codes"]


async def test_a_notice_that_has_passed_on_is_cancelled_by_its_decision(pseb: Caller, officer: Caller) -> None:
    old = await cases.approved(pseb, officer)
    notice = await announced(officer, old, 10)
    body = {**cases.registration(old["applicant_id"], networks=old["networks"]), "replaces": old["id"]}
    new = (await pseb.post("/v1/registrations", json=body)).json()
    assert (await cases.decide(officer, new, "approve")).status_code == 201
    assert (await cancel(officer, notice)).status_code == 200
    assert (await read(pseb, new))["notice"] is None
    assert (await last_event(pseb, new))["name"] == "registration.notice_cancelled"


async def test_a_dry_run_announces_nothing(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    body = {"selection": {"registration_ids": [case["id"]]}, "action": "suspend", **WHY, "effective_at": within(1)}
    tried = (await officer.post(BATCH, json={**body, "dry_run": True})).json()
    assert tried["counts"] == {"selected": 1, "decided": 1, "refused": 0}
    assert await read(officer, case) == case
    assert len((await officer.get("/v1/review-decisions")).json()["items"]) == 1
