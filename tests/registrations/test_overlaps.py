"""Overlaps of networks: with the submitter's own and with others', in open cases and on the allowlist."""

import asyncio
from typing import Any

from tests.support import cases
from tests.support.service import Caller, Service


async def submit(caller: Caller, applicant_id: str, *networks: str, **changes: Any) -> Any:
    return await caller.post(
        "/v1/registrations", json=cases.registration(applicant_id, networks=list(networks), **changes)
    )


async def applicant(caller: Caller, body: dict[str, Any] | None = None) -> str:
    made = await caller.post("/v1/applicants", json=body or cases.company())
    return str(made.json()["id"])


async def test_a_granted_network_is_taken_and_the_response_does_not_say_by_whom(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company(legal_name="Secret Softworks")
    case = await cases.approved(pseb, officer, firm, networks=["203.99.160.16/29"], reference="secret-ref")
    mine = await applicant(pasha)
    for networks in (["203.99.160.17"], ["203.99.160.0/24"], ["203.99.161.1", "203.99.160.16/29"]):
        answer = await submit(pasha, mine, *networks)
        assert (answer.status_code, cases.codes(answer)) == (422, {f"/networks/{len(networks) - 1}": "network_taken"})
        for theirs in (
            firm["legal_name"],
            firm["ntn"],
            case["id"],
            case["applicant_id"],
            case["partner_id"],
            "secret-ref",
        ):
            assert theirs not in answer.text
    assert (await submit(pasha, mine, "203.99.160.24")).status_code == 201


async def test_an_overlap_with_own_open_or_granted_networks_is_refused(pseb: Caller, officer: Caller) -> None:
    firm = cases.company()
    await cases.approved(pseb, officer, firm, networks=["203.99.160.16/29"])
    case = await cases.submitted(pseb, firm, networks=["203.99.161.0/28"])
    answer = await submit(pseb, case["applicant_id"], "203.99.160.20", "203.99.161.0/24", "203.99.162.1")
    assert (answer.status_code, cases.codes(answer)) == (
        422,
        {"/networks/0": "network_overlap", "/networks/1": "network_overlap"},
    )


async def test_an_address_is_taken_or_free_at_another_partner_whatever_the_applicant(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    await cases.approved(pseb, officer, firm, networks=["203.99.160.5"])
    await cases.submitted(pseb, firm, networks=["203.99.160.6"])
    theirs = await applicant(pasha, {**firm, "legal_name": "The Same by Another Name"})
    answer = await submit(pasha, theirs, "203.99.160.5", "203.99.160.6")
    assert cases.codes(answer) == {"/networks/0": "network_taken"}
    taken = await submit(pasha, theirs, "203.99.160.6")
    assert (taken.status_code, taken.json()["flags"]) == (201, ["operator_prefix_mismatch"])
    seen = (await officer.get(f"/v1/registrations/{taken.json()['id']}")).json()
    assert seen["flags"] == ["operator_prefix_mismatch", "contested"]


async def test_a_network_that_overlaps_own_and_other_grants_is_reported_as_taken(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    own = await cases.approved(pseb, officer, firm, networks=["203.99.160.5"])
    assert cases.codes(await submit(pseb, own["applicant_id"], "203.99.160.0/24")) == {"/networks/0": "network_overlap"}
    await cases.approved(pasha, officer, firm, networks=["203.99.160.6"])
    assert cases.codes(await submit(pseb, own["applicant_id"], "203.99.160.0/24")) == {"/networks/0": "network_taken"}
    another = await applicant(pseb)
    assert cases.codes(await submit(pseb, another, "203.99.160.5")) == {"/networks/0": "network_taken"}


async def test_networks_of_withdrawn_rejected_and_revoked_cases_are_free_again(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    withdrawn = await cases.submitted(pseb, firm, networks=["203.99.160.1"])
    await pseb.post(f"/v1/registrations/{withdrawn['id']}/withdraw", headers={"If-Match": '"1"'})
    rejected = await cases.submitted(pseb, firm, networks=["203.99.160.2"])
    await cases.decide(officer, rejected, "reject", reason_codes=["duplicate"])
    revoked = await cases.approved(pseb, officer, firm, networks=["203.99.160.3"])
    await cases.decide(officer, revoked, "revoke", reason_codes=["misuse"], legal_basis="Order 1")
    again = await submit(pasha, await applicant(pasha), "203.99.160.1", "203.99.160.2", "203.99.160.3")
    assert (again.status_code, "contested" in again.json()["flags"]) == (201, False)


async def test_of_submissions_at_once_for_one_applicants_address_one_wins(service: Service, pseb: Caller) -> None:
    other = await service.caller("pseb", client="pseb-2")
    mine = await applicant(pseb)
    answers = await asyncio.gather(
        submit(pseb, mine, "203.99.160.5"),
        submit(pseb, mine, "203.99.160.0/29"),
        submit(other, mine, "203.99.160.4/31"),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422]
    refused = [cases.codes(answer) for answer in answers if answer.status_code == 422]
    assert refused == [{"/networks/0": "network_overlap"}] * 2


async def test_of_two_approvals_at_once_of_one_address_one_wins(pseb: Caller, pasha: Caller, officer: Caller) -> None:
    contest = [await cases.submitted(caller, networks=["203.99.160.5"]) for caller in (pseb, pasha)]
    bodies = [{"registration_id": case["id"], "action": "approve"} for case in contest]
    answers = await asyncio.gather(
        *(officer.post("/v1/review-decisions", json=body, headers={"If-Match": "*"}) for body in bodies)
    )
    assert sorted((answer.status_code, answer.json().get("code", "")) for answer in answers) == [
        (201, ""),
        (422, "network_taken"),
    ]
