"""Officers cannot decide cases to which their own person gave content, by any client and however long ago."""

from typing import Any

import pytest

from app.partners.rules import PartnerKind
from tests.support import cases, uploads
from tests.support.service import Caller, Service

SENT_BACK = {"reason_codes": ["document_missing"]}
ANY = {"If-Match": "*"}


@pytest.fixture
async def second(service: Service) -> Caller:
    """A second officer."""
    return await service.officer("pta-officer-2")


@pytest.fixture
async def third(service: Service) -> Caller:
    """A third officer."""
    return await service.officer("pta-officer-3")


async def read(officer: Caller, case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    return found


async def returned_case(owner: Caller, by: Caller, **changes: Any) -> dict[str, Any]:
    """Return a case that was returned to its submitter for correction."""
    case = await cases.submitted(owner, **changes)
    answer = await cases.decide(by, case, "request_information", **SENT_BACK)
    assert answer.status_code == 201, answer.text
    return await read(by, case)


async def corrected(case: dict[str, Any], officer: Caller) -> None:
    change = {"networks": [cases.address()]}
    path = f"/v1/registrations/{case['id']}"
    assert (await officer.patch(path, json=change, headers=ANY)).status_code == 200


async def resubmitted(case: dict[str, Any], officer: Caller) -> None:
    assert (await officer.post(f"/v1/registrations/{case['id']}/submit", headers=ANY)).status_code == 200


async def registered_again(case: dict[str, Any], officer: Caller) -> None:
    body = cases.registration(case["applicant_id"], reference=case["reference"], description="Rewritten")
    assert (await officer.post("/v1/registrations", json=body)).status_code == 200


async def refusals(officer: Caller, case: dict[str, Any]) -> list[str]:
    """The codes with which a decision on the case is refused, alone and in a batch."""
    single = await cases.decide(officer, await read(officer, case), "approve")
    body = {"selection": {"registration_ids": [case["id"]]}, "action": "approve"}
    batch = (await officer.post("/v1/review-decisions/batch", json=body)).json()
    return [single.json().get("code", ""), *(each["problem"]["code"] for each in batch["refused"])]


async def test_an_officer_who_corrected_a_case_cannot_decide_it(officer: Caller, second: Caller, third: Caller) -> None:
    case = await returned_case(officer, third)
    await corrected(case, second)
    await resubmitted(case, officer)
    for own in (officer, second):
        assert await refusals(own, case) == ["self_review", "self_review"]
    assert (await cases.decide(third, await read(third, case), "approve")).status_code == 201


async def test_an_officer_who_submitted_a_case_again_cannot_decide_it(
    officer: Caller, second: Caller, third: Caller
) -> None:
    case = await returned_case(officer, third)
    await resubmitted(case, second)
    assert await refusals(second, case) == ["self_review", "self_review"]


async def test_an_officer_who_corrected_a_case_by_its_reference_cannot_decide_it(
    officer: Caller, second: Caller, third: Caller
) -> None:
    case = await returned_case(officer, third, reference="R-1")
    await registered_again(case, second)
    assert (await read(third, case))["status"] == "submitted"
    assert await refusals(second, case) == ["self_review", "self_review"]
    assert (await cases.decide(third, await read(third, case), "approve")).status_code == 201


async def test_an_officer_who_corrected_cases_by_an_upload_cannot_decide_them(
    service: Service, pseb: Caller, officer: Caller, second: Caller, third: Caller
) -> None:
    row = uploads.row("U-1")
    await uploads.ingest(officer, uploads.csv_of([row]))
    (case,) = (await officer.get("/v1/registrations?reference=U-1")).json()["items"]
    assert (await cases.decide(third, case, "request_information", **SENT_BACK)).status_code == 201
    done = await uploads.ingest(second, uploads.csv_of([{**row, "description": "Rewritten"}]))
    assert done["counts"]["updated"] == 1
    for own in (officer, second):
        assert await refusals(own, case) == ["self_review", "self_review"]


async def test_content_that_was_given_long_ago_still_counts(officer: Caller, second: Caller, third: Caller) -> None:
    case = await returned_case(officer, third)
    for giver in (second, second, officer):
        await corrected(case, giver)
    await resubmitted(case, officer)
    assert await refusals(second, case) == ["self_review", "self_review"]


async def test_another_client_of_the_same_person_cannot_decide_either(
    service: Service, officer: Caller, second: Caller
) -> None:
    twin = await service.officer("pta-officer-1-at-home", person="PTA-Officer-1")
    case = await cases.submitted(officer)
    assert await refusals(twin, case) == ["self_review", "self_review"]
    assert (await cases.decide(second, case, "approve")).status_code == 201


async def test_clients_of_the_regulator_without_a_person_count_as_one_and_are_told_what_to_do(
    service: Service, officer: Caller, pseb: Caller
) -> None:
    one, other = [await service.caller("pta", PartnerKind.REGULATOR, client=f"desk-{n}") for n in range(2)]
    case = await cases.submitted(one)
    for caller in (other, officer):
        answer = await cases.decide(caller, case, "approve")
        assert (answer.status_code, answer.json()["code"]) == (403, "self_review")
        assert "client person" in answer.json()["detail"]
    anothers = await cases.submitted(pseb)
    assert (await cases.decide(other, anothers, "approve")).status_code == 201
