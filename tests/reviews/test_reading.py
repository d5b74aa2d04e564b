"""Reading decisions and reason codes."""

from uuid import uuid4

from tests.support import cases
from tests.support.service import Caller, Service

REASONS = {
    "document_missing", "document_unreadable", "operator_mismatch", "subscriber_unknown", "certificate_expired",
    "address_shared", "address_reassigned", "purpose_not_permitted", "duplicate", "misuse", "applicant_request",
    "other",
}  # fmt: skip


async def test_unusable_filters_and_unknown_ids_are_refused(officer: Caller) -> None:
    for query, expected in (
        ("action=ban", {"/query/action": "invalid_value"}),
        ("officer=me", {"/query/officer": "invalid_value"}),
        ("decided_from=yesterday", {"/query/decided_from": "invalid_value"}),
        ("decided_before=2026-01-01T00:00:00", {"/query/decided_before": "invalid_value"}),
        ("reason=other", {"/query/reason": "invalid_value"}),
    ):
        answer = await officer.get(f"/v1/review-decisions?{query}")
        assert (answer.status_code, cases.codes(answer)) == (422, expected)
    assert (await officer.get(f"/v1/review-decisions/{uuid4()}")).json()["code"] == "not_found"


async def test_decisions_are_found_by_registration_action_officer_batch_and_time(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    other = await service.officer("pta-officer-2")
    case = await cases.approved(pseb, officer)
    await cases.decide(other, case, "suspend", reason_codes=["misuse"], legal_basis="Order 1")
    await cases.approved(pseb, other)
    made = (await officer.get("/v1/review-decisions")).json()["items"]
    approved, suspended, second = made
    assert [each["action"] for each in made] == ["approve", "suspend", "approve"]
    for query, expected in (
        ({"registration_id": case["id"]}, [approved, suspended]),
        ({"action": "approve"}, [approved, second]),
        ({"officer": str(other.credentials.id)}, [suspended, second]),
        ({"batch_id": suspended["batch_id"]}, [suspended]),
        ({"decided_from": suspended["decided_at"]}, [suspended, second]),
        ({"decided_before": suspended["decided_at"]}, [approved]),
        ({"decided_from": "2090-01-01T00:00:00+05:00"}, []),
    ):
        assert (await officer.get("/v1/review-decisions", params=query)).json()["items"] == expected, query
    first = await officer.get("/v1/review-decisions?limit=2")
    rest = await officer.get(first.links["next"]["url"])
    assert first.json()["items"] + rest.json()["items"] == made


async def test_every_caller_reads_each_reason_code_with_a_hint(pseb: Caller) -> None:
    assert (await pseb.service.http.get("/v1/review-decisions/reason-codes")).status_code == 401
    items = (await pseb.get("/v1/review-decisions/reason-codes")).json()["items"]
    assert {each["code"] for each in items} == REASONS
    assert all(each["hint"].endswith(".") for each in items)
