"""Correcting, resubmitting, withdrawing, claiming and giving back: allowed statuses, callers and versions."""

from datetime import datetime
from itertools import product
from typing import Any

from app.registrations.rules import Status
from tests.support import cases
from tests.support.cases_in_status import cases_in_status
from tests.support.service import Caller, Service

FROM = {
    "correct": {"information_requested", "rejected"},
    "submit": {"information_requested", "rejected"},
    "withdraw": {"submitted", "in_review", "information_requested", "rejected"},
    "claim": {"submitted"},
    "give back": {"in_review"},
}


async def change(caller: Caller, name: str, case_id: str, tag: str | None = "*") -> Any:
    path = f"/v1/registrations/{case_id}"
    headers = {"If-Match": tag} if tag else {}
    if name == "correct":
        return await caller.patch(path, json={"description": "Corrected"}, headers=headers)
    if name == "give back":
        return await caller.delete(f"{path}/claim", headers=headers)
    return await caller.post(f"{path}/{name}", headers=headers)


def caller_of(name: str, pseb: Caller, officer: Caller) -> Caller:
    return officer if name in ("claim", "give back") else pseb


async def test_each_transition_is_allowed_from_its_statuses_and_illegal_from_all_others(
    pseb: Caller, officer: Caller
) -> None:
    wanted = list(product(FROM, Status))
    made = await cases_in_status(pseb, [status for _, status in wanted], claimed_by=officer.credentials.id)
    outcomes, expected = {}, {}
    for (name, status), case in zip(wanted, made, strict=True):
        answer = await change(caller_of(name, pseb, officer), name, case["id"])
        outcomes[name, status.value] = answer.json().get("code", answer.status_code)
        expected[name, status.value] = 200 if status in FROM[name] else "illegal_transition"
    assert outcomes == expected


async def test_every_transition_needs_the_version_that_was_read(pseb: Caller, officer: Caller) -> None:
    statuses = {
        "correct": "rejected",
        "submit": "rejected",
        "withdraw": "submitted",
        "claim": "submitted",
        "give back": "in_review",
    }
    made = await cases_in_status(pseb, list(statuses.values()), claimed_by=officer.credentials.id)
    for name, case in zip(statuses, made, strict=True):
        caller = caller_of(name, pseb, officer)
        for tag, status, code in ((None, 428, "precondition_required"), ('"7"', 412, "version_mismatch")):
            answer = await change(caller, name, case["id"], tag)
            assert (answer.status_code, answer.json()["code"]) == (status, code), name
        assert (await pseb.get(f"/v1/registrations/{case['id']}")).json() == case
        answer = await change(caller, name, case["id"], f'"{case["version"]}"')
        assert (answer.status_code, answer.headers["ETag"]) == (200, f'"{case["version"] + 1}"'), name


async def test_only_the_submitter_changes_its_case_and_only_officers_claim(
    pseb: Caller, pasha: Caller, officer: Caller, nayatel: Caller
) -> None:
    (case,) = await cases_in_status(pseb, ["rejected"])
    for name in ("correct", "submit", "withdraw"):
        assert (await change(pasha, name, case["id"])).status_code == 404
        assert (await change(nayatel, name, case["id"])).status_code == 403
        assert (await change(officer, name, case["id"])).json()["code"] == "illegal_transition"
    for name, caller in product(("claim", "give back"), (pseb, nayatel)):
        assert (await change(caller, name, case["id"])).json()["code"] == "forbidden"
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json() == case


async def test_a_claimed_case_is_given_back_by_the_officer_who_has_it(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    other = await service.officer("pta-officer-2")
    claimed = await change(officer, "claim", case["id"], '"1"')
    assert (claimed.json()["status"], claimed.json()["claimed_by"]) == ("in_review", str(officer.credentials.id))
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["claimed_by"] is None

    assert (await change(other, "claim", case["id"])).json()["code"] == "claimed_by_another"
    refused = await change(other, "give back", case["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "claimed_by_another")

    back = (await change(officer, "give back", case["id"])).json()
    assert (back["status"], back["claimed_by"]) == ("submitted", None)
    assert (await change(other, "claim", case["id"])).status_code == 200


async def test_a_correction_is_checked_like_a_submission_and_changes_nothing_when_refused(
    pseb: Caller, officer: Caller
) -> None:
    granted = await cases.approved(pseb, officer)
    (case,) = await cases_in_status(pseb, ["information_requested"])
    for change, expected in (
        ({"operator": "acme"}, {"/operator": "unknown_operator"}),
        (
            {"networks": ["10.0.0.1", "203.99.160.9/29"]},
            {"/networks/0": "network_reserved", "/networks/1": "network_host_bits"},
        ),
        ({"networks": granted["networks"]}, {"/networks/0": "network_taken"}),
        ({"networks": None}, {"/networks": "missing_field"}),
        ({"protocol": None}, {"/protocol": "missing_field"}),
        ({"applicant_id": granted["applicant_id"]}, {"/applicant_id": "invalid_value"}),
        ({"status": "approved"}, {"/status": "invalid_value"}),
    ):
        answer = await pseb.patch(f"/v1/registrations/{case['id']}", json=change, headers={"If-Match": "*"})
        assert (answer.status_code, cases.codes(answer)) == (422, expected)
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json() == case


async def test_a_corrected_case_keeps_its_status_until_it_is_submitted_again(pseb: Caller, officer: Caller) -> None:
    case = await cases.submitted(pseb, description="Old", subscriber_id="NAYATEL-1")
    await cases.decide(officer, case, "request_information", reason_codes=["other"], note="Which building?")
    path = f"/v1/registrations/{case['id']}"
    change = {"description": None, "operator": "ptcl", "networks": ["39.32.0.7", "39.32.0.16/29"]}
    corrected = (await pseb.patch(path, json=change, headers={"If-Match": '"2"'})).json()
    assert (corrected["status"], corrected["note"], corrected["version"]) == (
        "information_requested",
        "Which building?",
        3,
    )
    assert (corrected["description"], corrected["subscriber_id"]) == (None, "NAYATEL-1")
    assert (corrected["networks"], corrected["flags"]) == (["39.32.0.7/32", "39.32.0.16/29"], [])

    again = (await pseb.post(f"{path}/submit", headers={"If-Match": '"3"'})).json()
    assert (again["status"], again["reason_codes"], again["note"], again["decided_at"]) == ("submitted", [], None, None)
    assert datetime.fromisoformat(again["due_at"]) > datetime.fromisoformat(case["due_at"])
    assert (await cases.decide(officer, again, "approve")).status_code == 201


async def test_a_case_whose_address_was_granted_meanwhile_cannot_be_submitted_again(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    await cases.decide(officer, case, "reject", reason_codes=["document_missing"])
    await cases.approved(pasha, officer, networks=case["networks"])
    answer = await change(pseb, "submit", case["id"])
    assert (answer.status_code, cases.codes(answer)) == (422, {"/networks/0": "network_taken"})
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["status"] == "rejected"
