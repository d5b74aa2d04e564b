"""Refusals of a registration that names another to replace, each by its place, and nothing is changed."""

from typing import Any

import pytest

from tests.support import cases
from tests.support.service import Caller

REGISTRATIONS = "/v1/registrations"
UNKNOWN = "019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a"
WRONG_HOURS = {"/replaces": "not_found", "/handover_hours": "invalid_value"}


@pytest.mark.parametrize(
    ("changes", "status", "codes"),
    [
        ({"replaces": UNKNOWN}, 404, {"/replaces": "not_found"}),
        ({"replaces": "x"}, 422, {"/replaces": "invalid_value"}),
        ({"replaces": UNKNOWN, "operator": "nobody"}, 422, {"/replaces": "not_found", "/operator": "unknown_operator"}),
        ({"replaces": UNKNOWN, "networks": ["x"]}, 422, {"/replaces": "not_found", "/networks/0": "network_malformed"}),
        ({"replaces": UNKNOWN, "handover_hours": 169}, 422, WRONG_HOURS),
        ({"replaces": UNKNOWN, "handover_hours": -1}, 422, WRONG_HOURS),
        ({"replaces": UNKNOWN, "handover_hours": "24"}, 422, WRONG_HOURS),
        ({"handover_hours": 0}, 422, {"/handover_hours": "invalid_value"}),
        ({"transfer_code": "no code"}, 404, {"/transfer_code": "not_found"}),
        ({"transfer_code": "x" * 101}, 422, {"/transfer_code": "invalid_value"}),
        ({"replaced_by": UNKNOWN}, 422, {"/replaced_by": "invalid_value"}),
    ],
)  # fmt: skip
async def test_a_wrong_succession_is_told_with_all_other_errors(
    pseb: Caller, changes: dict[str, Any], status: int, codes: dict[str, str]
) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.company())).json()
    answer = await pseb.post(REGISTRATIONS, json={**cases.registration(made["id"]), **changes})
    assert (answer.status_code, cases.codes(answer)) == (status, codes), answer.text
    assert (await pseb.get(REGISTRATIONS)).json()["items"] == []


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (None, "submitted"),
        ("withdraw", "withdrawn"),
        ("reject", "rejected"),
        ("request_information", "information_requested"),
        ("revoke", "revoked"),
        ("surrender", "approved"),
    ],
)
async def test_only_a_case_that_was_approved_and_not_revoked_is_replaced(
    pseb: Caller, officer: Caller, action: str | None, status: str
) -> None:
    case = await cases.submitted(pseb, networks=["203.99.160.5"])
    if action in ("revoke", "surrender"):
        await cases.decide(officer, case, "approve")
        case["version"] = 2
    if action in ("withdraw", "surrender"):
        await pseb.post(f"{REGISTRATIONS}/{case['id']}/{action}", headers={"If-Match": "*"})
    elif action:
        grounds = {"reason_codes": ["misuse"], **({"legal_basis": "Order 1"} if action == "revoke" else {})}
        assert (await cases.decide(officer, case, action, **grounds)).status_code == 201
    body = cases.registration(case["applicant_id"], networks=["203.99.160.6"], replaces=case["id"])
    answer = await pseb.post(REGISTRATIONS, json=body)
    assert (answer.status_code, cases.codes(answer)) == (409, {"/replaces": "illegal_transition"}), status


async def test_a_case_is_replaced_for_its_own_applicant_only(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer, networks=["203.99.160.5"])
    other = (await pseb.post("/v1/applicants", json=cases.company())).json()
    body = cases.registration(other["id"], networks=["203.99.160.6"], replaces=case["id"])
    answer = await pseb.post(REGISTRATIONS, json=body)
    assert (answer.status_code, cases.codes(answer)) == (422, {"/replaces": "invalid_value"})


async def test_networks_of_others_and_of_ones_other_cases_are_refused_as_ever(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    case = await cases.approved(pseb, officer, firm, networks=["203.99.160.5"])
    await cases.approved(pseb, officer, firm, networks=["203.99.160.6"])
    await cases.approved(pasha, officer, networks=["203.99.160.7"])
    networks = [f"203.99.160.{n}" for n in (5, 6, 7)]
    body = cases.registration(case["applicant_id"], networks=networks, replaces=case["id"])
    answer = await pseb.post(REGISTRATIONS, json=body)
    assert cases.codes(answer) == {"/networks/1": "network_overlap", "/networks/2": "network_taken"}


async def test_what_a_case_replaces_cannot_be_changed(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    body = cases.registration(case["applicant_id"], networks=case["networks"], replaces=case["id"])
    made = (await pseb.post(REGISTRATIONS, json=body)).json()
    await cases.decide(officer, made, "request_information", reason_codes=["document_missing"])
    for name in ("replaces", "handover_hours", "transfer_code"):
        answer = await pseb.patch(f"{REGISTRATIONS}/{made['id']}", json={name: None}, headers={"If-Match": "*"})
        assert (answer.status_code, cases.codes(answer)) == (422, {f"/{name}": "invalid_value"})


async def test_a_successor_is_refused_when_its_predecessor_was_revoked_meanwhile(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    body = cases.registration(case["applicant_id"], networks=case["networks"], replaces=case["id"])
    made = (await pseb.post(REGISTRATIONS, json=body)).json()
    current = (await officer.get(f"{REGISTRATIONS}/{case['id']}")).json()
    revoked = await cases.decide(officer, current, "revoke", reason_codes=["misuse"], legal_basis="Order 1")
    assert revoked.status_code == 201
    answer = await cases.decide(officer, made, "approve")
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")


async def test_an_approval_that_fails_leaves_both_cases_as_they_were(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer, networks=["203.99.160.5"])
    body = cases.registration(
        case["applicant_id"], networks=["203.99.160.5", "203.99.160.6"], replaces=case["id"], handover_hours=0
    )
    made = (await pseb.post(REGISTRATIONS, json=body)).json()
    fine = await cases.approved(pseb, officer, networks=["203.99.161.5"])
    renewal = cases.registration(fine["applicant_id"], networks=["203.99.161.6"], replaces=fine["id"])
    renewed = (await pseb.post(REGISTRATIONS, json=renewal)).json()
    await cases.approved(pasha, officer, networks=["203.99.160.6"])
    ids = [made["id"], renewed["id"]]
    decision = {"action": "approve", "including_flags": ["operator_prefix_mismatch"]}
    body = {"selection": {"registration_ids": ids}, **decision}
    answer = await officer.post("/v1/review-decisions/batch", json=body)
    assert [each["registration_id"] for each in answer.json()["refused"]] == [made["id"]]
    statuses = [
        (await pseb.get(f"{REGISTRATIONS}/{each['id']}")).json()["status"] for each in (case, made, renewed, fine)
    ]
    assert statuses == ["approved", "submitted", "approved", "superseded"]
    taken = cases.registration((await pasha.post("/v1/applicants", json=cases.company())).json()["id"])
    refused = await pasha.post(REGISTRATIONS, json={**taken, "networks": ["203.99.160.5"]})
    assert cases.codes(refused) == {"/networks/0": "network_taken"}
