"""Single decisions: required fields, permitted officers, and results."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from app.partners.rules import PartnerKind
from tests.support import cases
from tests.support.service import Caller, Service

REASON = {"reason_codes": ["misuse"]}
LONG_AGO = "2020-01-01T00:00:00Z"
REFUSED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"action": None}, {"/action": "missing_field"}),
    ({"action": "ban"}, {"/action": "invalid_value"}),
    ({"action": "reject"}, {"/reason_codes": "missing_field"}),
    ({"action": "reject", "reason_codes": []}, {"/reason_codes": "missing_field"}),
    ({"action": "request_information"}, {"/reason_codes": "missing_field"}),
    ({"action": "suspend"}, {"/reason_codes": "missing_field", "/legal_basis": "missing_field"}),
    ({"action": "revoke", **REASON}, {"/legal_basis": "missing_field"}),
    ({"action": "revoke", **REASON, "legal_basis": "  "}, {"/legal_basis": "missing_field"}),
    ({"action": "reject", "reason_codes": ["other"]}, {"/note": "missing_field"}),
    ({"action": "approve", "reason_codes": ["other"]}, {"/note": "missing_field"}),
    ({"action": "reject", "reason_codes": ["bored"]}, {"/reason_codes/0": "invalid_value"}),
    ({"action": "reject", "reason_codes": "misuse"}, {"/reason_codes": "invalid_value"}),
    ({"action": "reject", "reason_codes": ["misuse"] * 13}, {"/reason_codes": "invalid_value"}),
    ({"action": "reject", **REASON, "note": "x" * 2001}, {"/note": "invalid_value"}),
    ({"action": "reject", **REASON, "note": "\u0000"}, {"/note": "invalid_value"}),
    ({"action": "reject", **REASON, "expires_at": "2090-01-01T00:00:00Z"}, {"/expires_at": "invalid_value"}),
    ({"action": "reinstate", "expires_at": "2090-01-01T00:00:00Z"}, {"/expires_at": "invalid_value"}),
    ({"action": "approve", "expires_at": LONG_AGO}, {"/expires_at": "invalid_value"}),
    ({"action": "approve", "expires_at": "2090-01-01T00:00:00"}, {"/expires_at": "invalid_value"}),
    ({"action": "approve", "expires_at": "9999-12-31T23:59:59+00:00"}, {"/expires_at": "invalid_value"}),
    ({"action": "approve", "registration_id": "x"}, {"/registration_id": "invalid_value"}),
    ({"action": "approve", "officer": "me"}, {"/officer": "invalid_value"}),
]


async def post(officer: Caller, body: dict[str, Any], tag: str | None = "*") -> Any:
    return await officer.post("/v1/review-decisions", json=body, headers={"If-Match": tag} if tag else {})


async def test_missing_fields_of_a_decision_are_named_and_nothing_is_decided(pseb: Caller, officer: Caller) -> None:
    case = await cases.submitted(pseb)
    for verdict, expected in REFUSED:
        answer = await post(officer, {"registration_id": case["id"], **verdict})
        assert (answer.status_code, cases.codes(answer)) == (422, expected), verdict
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json() == case
    assert (await officer.get("/v1/review-decisions")).json()["items"] == []


async def test_a_decision_is_of_the_version_that_the_officer_read(pseb: Caller, officer: Caller) -> None:
    case = await cases.submitted(pseb)
    body = {"registration_id": case["id"], "action": "approve"}
    for tag, status, code in ((None, 428, "precondition_required"), ('"2"', 412, "version_mismatch")):
        answer = await post(officer, body, tag)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    unknown = await post(officer, {**body, "registration_id": str(uuid4())})
    assert (unknown.status_code, cases.codes(unknown)) == (404, {"/registration_id": "not_found"})
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json() == case


async def test_only_officers_decide_and_read_decisions(service: Service, pseb: Caller, nayatel: Caller) -> None:
    case = await cases.submitted(pseb)
    reader = await service.caller("pta", PartnerKind.REGULATOR, client="clerk", scopes=["reviews:read"])
    for caller in (pseb, nayatel, reader):
        for answer in (
            await cases.decide(caller, case, "approve"),
            await caller.post(
                "/v1/review-decisions/batch",
                json={"selection": {"registration_ids": [case["id"]]}, "action": "approve"},
            ),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await pseb.get("/v1/review-decisions")).json()["code"] == "forbidden"
    assert (await reader.get("/v1/review-decisions")).status_code == 200


async def test_an_officer_cannot_decide_what_the_officers_own_client_submitted(
    service: Service, officer: Caller
) -> None:
    case = await cases.submitted(officer)
    answer = await cases.decide(officer, case, "approve")
    assert (answer.status_code, answer.json()["code"]) == (403, "self_review")
    colleague = await service.officer("pta-officer-2")
    assert (await cases.decide(colleague, case, "approve")).status_code == 201


async def test_a_claimed_case_can_be_decided_only_by_the_officer_who_claimed_it(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    claimed = (await officer.post(f"/v1/registrations/{case['id']}/claim", headers={"If-Match": "*"})).json()
    answer = await cases.decide(await service.officer("pta-officer-2"), claimed, "approve")
    assert (answer.status_code, answer.json()["code"]) == (409, "claimed_by_another")
    assert (await cases.decide(officer, claimed, "approve")).status_code == 201
    read = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    assert (read["status"], read["claimed_by"]) == ("approved", None)


async def test_a_decision_names_officer_action_and_reasons_and_the_submitter_reads_them(
    pseb: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    why = {"reason_codes": ["document_missing", "other"], "note": "The lease.\nAnd a plan.", "legal_basis": "S. 5"}
    answer = await cases.decide(officer, case, "request_information", **why)
    decision = answer.json()
    assert answer.status_code == 201
    assert decision.items() >= {**why, "registration_id": case["id"], "action": "request_information"}.items()
    assert (decision["officer"], decision["expires_at"]) == (str(officer.credentials.id), None)
    assert (await officer.get(answer.headers["Location"])).json() == decision

    read = (await pseb.get(f"/v1/registrations/{case['id']}")).json()
    assert read.items() >= {**why, "status": "information_requested", "expires_at": None, "version": 2}.items()
    assert read["decided_at"] is not None


async def test_an_approval_lasts_365_days_unless_it_says_otherwise(pseb: Caller, officer: Caller) -> None:
    usual = await cases.approved(pseb, officer)
    decided, expires = (datetime.fromisoformat(usual[name]) for name in ("decided_at", "expires_at"))
    assert abs(expires - decided - timedelta(days=365)) < timedelta(seconds=5)

    case = await cases.submitted(pseb)
    until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    assert (await cases.decide(officer, case, "approve", expires_at=until)).status_code == 201
    read = (await pseb.get(f"/v1/registrations/{case['id']}")).json()
    assert datetime.fromisoformat(read["expires_at"]) == datetime.fromisoformat(until)

    suspended = (await cases.decide(officer, read, "suspend", **REASON, legal_basis="Order 1")).json()
    assert suspended["expires_at"] is None
    read = (await pseb.get(f"/v1/registrations/{case['id']}")).json()
    await cases.decide(officer, read, "reinstate")
    again = (await pseb.get(f"/v1/registrations/{case['id']}")).json()
    assert (again["status"], again["expires_at"]) == ("approved", read["expires_at"])
