"""Another partner replaces a case that it cannot see for a one-time code, and nobody learns whose an address is."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.registrations import transfer_codes
from tests.support import cases
from tests.support.service import Caller, Service

REGISTRATIONS = "/v1/registrations"
NETWORKS = ["203.99.50.10/32", "203.99.50.16/29"]


async def code_of(service: Service, case: dict[str, Any]) -> str:
    async with service.database.transaction() as tx:
        return await transfer_codes.issue(tx, UUID(case["id"]))


async def held_by_pseb(pseb: Caller, officer: Caller, firm: dict[str, Any]) -> dict[str, Any]:
    return await cases.approved(pseb, officer, firm, networks=NETWORKS, reference="pseb-1")


async def applicant(caller: Caller, firm: dict[str, Any]) -> str:
    made = await caller.post("/v1/applicants", json=firm)
    return str(made.json()["id"])


async def submit(caller: Caller, applicant_id: str, networks: list[str], **changes: Any) -> httpx.Response:
    body = cases.registration(applicant_id, networks=networks, **changes)
    return await caller.post(REGISTRATIONS, json=body)


async def history(caller: Caller, case: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await caller.get(f"{REGISTRATIONS}/{case['id']}/history")).json()["items"]
    return items


async def test_a_case_moves_to_another_partner_for_a_code_and_the_old_one_is_not_told_to_whom(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    old = await held_by_pseb(pseb, officer, firm)
    await service.publish()
    theirs = await applicant(pasha, firm)
    code = await code_of(service, old)
    made = await submit(pasha, theirs, NETWORKS[:1], transfer_code=code.lower().replace("-", " "), handover_hours=0)
    assert made.status_code == 201, made.text
    new = made.json()
    assert new["replaces"] == old["id"]
    assert (await pasha.get(f"{REGISTRATIONS}/{old['id']}")).status_code == 404
    assert (await cases.decide(officer, new, "approve")).status_code == 201
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed) == (0, 1)

    seen = (await pseb.get(f"{REGISTRATIONS}/{old['id']}")).json()
    last = (await history(pseb, old))[-1]
    assert (seen["status"], last["name"]) == ("superseded", "registration.transferred")
    assert (last["details"]["kept"], last["details"]["removed"]) == (NETWORKS[:1], NETWORKS[1:])
    told = str([seen, await history(pseb, old), (await pseb.get("/v1/events?limit=500")).json()])
    for of_pasha in (pasha.credentials.partner_id, pasha.credentials.id, theirs):
        assert str(of_pasha) not in told
    assert "registration.superseded" not in told


async def test_a_code_is_used_once_and_lasts_three_days(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    old = await held_by_pseb(pseb, officer, firm)
    theirs = await applicant(pasha, firm)
    first, code = await code_of(service, old), await code_of(service, old)
    assert (await submit(pasha, theirs, NETWORKS, transfer_code=first)).status_code == 422
    await service.move_clock(timedelta(hours=73))
    late = await submit(pasha, theirs, ["203.99.50.99"], transfer_code=code)
    assert (late.status_code, cases.codes(late)) == (404, {"/transfer_code": "not_found"})
    await service.move_clock(timedelta(hours=71))
    made = await submit(pasha, theirs, NETWORKS, transfer_code=code, reference="p-1")
    assert made.status_code == 201, made.text
    again = await submit(pasha, theirs, NETWORKS, transfer_code=code, reference="p-1")
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
    await pasha.post(f"{REGISTRATIONS}/{made.json()['id']}/withdraw", headers={"If-Match": "*"})
    assert (await pseb.get(f"{REGISTRATIONS}/{old['id']}")).json()["replaced_by"] is None
    for named in ({"transfer_code": code}, {"replaces": old["id"]}, {"replaces": old["id"], "transfer_code": code}):
        answer = await submit(pasha, theirs, ["203.99.50.99"], **named)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_refused_submission_does_not_use_the_code(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    old = await held_by_pseb(pseb, officer, firm)
    code = await code_of(service, old)
    theirs = await applicant(pasha, firm)
    assert (await submit(pasha, theirs, NETWORKS, transfer_code=code, operator="nobody")).status_code == 422
    assert (await submit(pasha, theirs, NETWORKS, transfer_code=code)).status_code == 201


async def test_the_new_case_can_be_corrected_rejected_and_submitted_again(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    old = await held_by_pseb(pseb, officer, firm)
    made = await submit(pasha, await applicant(pasha, firm), NETWORKS, transfer_code=await code_of(service, old))
    path = f"{REGISTRATIONS}/{made.json()['id']}"
    await cases.decide(officer, made.json(), "reject", reason_codes=["document_missing"])
    patched = await pasha.patch(path, json={"networks": NETWORKS[:1]}, headers={"If-Match": "*"})
    assert patched.status_code == 200, patched.text
    again = await pasha.post(f"{path}/submit", headers={"If-Match": "*"})
    assert again.status_code == 200, again.text
    assert (await pseb.get(f"{REGISTRATIONS}/{old['id']}")).json()["replaced_by"] == made.json()["id"]
    assert (await cases.decide(officer, again.json(), "approve")).status_code == 201


@pytest.mark.parametrize("networks", [NETWORKS, ["203.99.50.99"]], ids=["its networks", "another"])
async def test_unknown_cases_those_of_others_and_wrong_codes_get_one_answer(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, networks: list[str]
) -> None:
    firm = cases.company()
    old = await held_by_pseb(pseb, officer, firm)
    code = await code_of(service, old)
    same, other = await applicant(pasha, firm), await applicant(pasha, cases.company())
    attempts = [
        (same, {"replaces": str(uuid4())}),
        (same, {"replaces": old["id"]}),
        (other, {"replaces": old["id"]}),
        (same, {"replaces": old["id"], "transfer_code": "TC-0000-0000-0000-0000"}),
        (same, {"replaces": str(uuid4()), "transfer_code": code}),
        (other, {"replaces": old["id"], "transfer_code": code}),
    ]
    answers = [await submit(pasha, who, networks, **named) for who, named in attempts]
    assert len({(each.status_code, each.text) for each in answers}) == 1, [each.text for each in answers]
    assert cases.codes(answers[0])["/replaces"] == "not_found"
    mine = await submit(pasha, same, networks, transfer_code="TC-0000-0000-0000-0000")
    theirs = await submit(pasha, other, networks, transfer_code=code)
    assert (mine.status_code, mine.text) == (theirs.status_code, theirs.text)
