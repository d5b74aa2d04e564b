"""References of submitters: the same content again changes nothing, other content corrects or is refused."""

import asyncio
from collections import Counter

from tests.support import cases
from tests.support.service import Caller


async def test_a_reference_with_other_content_is_refused_while_the_case_cannot_be_edited(
    pseb: Caller, officer: Caller
) -> None:
    open_, approved = await cases.submitted(pseb, reference="one"), await cases.approved(pseb, officer, reference="two")
    for case in (open_, approved):
        body = cases.registration(case["applicant_id"], reference=case["reference"])
        answer = await pseb.post("/v1/registrations", json=body)
        assert (answer.status_code, cases.codes(answer)) == (422, {"/reference": "reference_duplicate"})
        assert (await pseb.get(f"/v1/registrations/{case['id']}")).json() == {**case, "claimed_by": None}


async def test_a_correction_cannot_take_the_reference_of_another_case(pseb: Caller, officer: Caller) -> None:
    await cases.submitted(pseb, reference="one")
    other = await cases.submitted(pseb, reference="two")
    await cases.decide(officer, other, "reject", reason_codes=["duplicate"])
    path = f"/v1/registrations/{other['id']}"
    answer = await pseb.patch(path, json={"reference": "one"}, headers={"If-Match": '"2"'})
    assert (answer.status_code, cases.codes(answer)) == (422, {"/reference": "reference_duplicate"})


async def test_the_same_content_again_changes_nothing_whatever_the_status(pseb: Caller, officer: Caller) -> None:
    applicant = (await pseb.post("/v1/applicants", json=cases.company())).json()
    body = cases.registration(applicant["id"], reference="one", networks=["203.99.160.5", "203.99.160.8/29"])
    made = cases.without_receipt(await pseb.post("/v1/registrations", json=body))
    same = {**body, "networks": ["203.99.160.8/29", "203.99.160.5/32"]}
    again = await pseb.post("/v1/registrations", json=same)
    assert (again.status_code, again.json()) == (200, made)
    await cases.decide(officer, made, "approve")
    again = await pseb.post("/v1/registrations", json=same)
    assert (again.status_code, again.json()["version"], again.json()["status"]) == (200, 2, "approved")
    assert len((await pseb.get(f"/v1/registrations/{made['id']}/history")).json()["items"]) == 2


async def test_other_content_corrects_a_case_that_was_sent_back_and_submits_it_again(
    pseb: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb, reference="one")
    await cases.decide(officer, case, "request_information", reason_codes=["document_missing"], note="The lease")
    body = cases.registration(case["applicant_id"], reference="one", operator="ptcl", networks=["39.32.0.7"])
    answer = await pseb.post("/v1/registrations", json=body)
    corrected = answer.json()
    assert (answer.status_code, corrected["id"], corrected["version"]) == (200, case["id"], 3)
    assert (corrected["status"], corrected["operator"], corrected["networks"]) == (
        "submitted",
        "ptcl",
        ["39.32.0.7/32"],
    )
    assert (corrected["reason_codes"], corrected["note"], corrected["decided_at"]) == ([], None, None)


async def test_a_reference_is_unique_within_its_partner_only(pseb: Caller, pasha: Caller) -> None:
    await cases.submitted(pseb, reference="one")
    assert (await cases.submitted(pasha, reference="one"))["reference"] == "one"


async def test_of_submissions_at_once_under_one_reference_one_is_created(pseb: Caller) -> None:
    applicants = [(await pseb.post("/v1/applicants", json=cases.company())).json()["id"] for _ in range(4)]
    bodies = [
        cases.registration(applicant, reference="one", networks=[f"203.99.{160 + i}.5"])
        for i, applicant in enumerate(applicants)
    ]
    answers = await asyncio.gather(*(pseb.post("/v1/registrations", json=body) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 422: 3}
    refused = [cases.codes(answer) for answer in answers if answer.status_code == 422]
    assert refused == [{"/reference": "reference_duplicate"}] * 3

    answers = await asyncio.gather(
        *(
            pseb.post("/v1/registrations", json={**bodies[0], "reference": "two", "networks": ["8.8.8.8"]})
            for _ in "abc"
        )
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 2}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await pseb.get("/v1/registrations")).json()["items"]) == 2
