"""Erasure on request of the partner or the regulator, while no case is open or in force."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.partners.rules import PartnerKind
from tests.support import cases
from tests.support.erasure import erase, revoke, submit_case, withdraw
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service


async def ask(caller: Caller, applicant_id: Any, tag: str | None = "*") -> Any:
    return await caller.post(f"/v1/applicants/{applicant_id}/erasure", headers={"If-Match": tag} if tag else {})


async def test_another_partners_record_is_not_found_and_stays(pseb: Caller, pasha: Caller) -> None:
    case = await submit_case(pseb)
    await withdraw(pseb, case)
    for applicant_id in (case["applicant_id"], uuid4()):
        answer = await ask(pasha, applicant_id)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()["erased_at"] is None


async def test_it_needs_a_scope_of_its_own_and_the_version_that_was_read(service: Service, pseb: Caller) -> None:
    case = await submit_case(pseb)
    await withdraw(pseb, case)
    careful = await service.caller("pseb", client="writer", scopes=["applicants:read", "applicants:write"])
    answers = [
        await ask(careful, case["applicant_id"]),
        await ask(pseb, case["applicant_id"], None),
        await ask(pseb, case["applicant_id"], '"7"'),
    ]
    codes = [(each.status_code, each.json()["code"]) for each in answers]
    assert codes == [(403, "forbidden"), (428, "precondition_required"), (412, "version_mismatch")]


async def test_no_operator_may_hold_the_scope(nayatel: Caller, admin: Caller) -> None:
    body = {"name": "eraser", "scopes": ["applicants:erase"]}
    path = f"/v1/partners/{nayatel.credentials.partner_id}/clients"
    answer = await admin.post(path, json=body)
    assert answer.status_code == 422
    assert PartnerKind.OPERATOR in answer.json()["detail"]


async def test_cases_open_in_force_or_on_the_allowlist_prevent_it_and_are_named(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await submit_case(pseb)
    await cases.approved(pseb, officer)

    async def refused(status: str) -> None:
        answer = await ask(pseb, case["applicant_id"])
        assert (answer.status_code, answer.json()["code"]) == (409, "applicant_in_use")
        assert f"{case['id']} ({status})" in answer.json()["detail"]
        assert (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()["mobile"] == "+923001234567"

    await refused("submitted")
    await cases.decide(officer, case, "approve")
    await refused("approved")
    await service.publish()
    current = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    why = {"reason_codes": ["misuse"], "legal_basis": "PECA"}
    assert (await cases.decide(officer, current, "suspend", **why)).status_code == 201
    await refused("suspended")
    current = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    assert (await cases.decide(officer, current, "revoke", **why)).status_code == 201
    await refused("revoked")
    await service.publish()
    assert (await ask(pseb, case["applicant_id"])).status_code == 200


@pytest.mark.parametrize("who", ["pseb", "officer"])
async def test_its_partner_and_the_regulator_erase_it_and_the_log_says_who(
    pseb: Caller, officer: Caller, who: str
) -> None:
    case = await submit_case(pseb)
    await withdraw(pseb, case)
    caller = {"pseb": pseb, "officer": officer}[who]
    before = (await caller.get(f"/v1/applicants/{case['applicant_id']}")).headers["ETag"]
    answer = await ask(caller, case["applicant_id"], before)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"2"'
    assert answer.json()["erased_at"] is not None
    assert answer.json() == (await caller.get(f"/v1/applicants/{case['applicant_id']}")).json()
    (event,) = [each for each in await wait_for_event(pseb, "applicant.erased") if each["name"] == "applicant.erased"]
    assert event["subject_id"] == case["applicant_id"]
    assert event["actor_partner_id"] == str(caller.credentials.partner_id)


async def test_an_applicant_that_never_had_a_case_is_erased_too(pseb: Caller) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.company())).json()
    assert (await erase(pseb, made["id"]))["ntn"] is None


async def test_a_repeated_request_has_the_same_result_with_any_version(pseb: Caller) -> None:
    case = await submit_case(pseb)
    await withdraw(pseb, case)
    first = await ask(pseb, case["applicant_id"], '"1"')
    again = await ask(pseb, case["applicant_id"], '"1"')
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    events = [each["name"] for each in await wait_for_event(pseb, "applicant.erased")]
    assert (events.count("applicant.erased"), events.count("registration.erased")) == (1, 1)


async def test_nothing_can_be_written_to_an_erased_record_nor_submitted_for_it(pseb: Caller) -> None:
    person = cases.individual()
    made = (await pseb.post("/v1/applicants", json=person)).json()
    await erase(pseb, made["id"])
    for change in ({"email": "later@example.com"}, {"cnic": person["cnic"], "email": "later@example.com"}):
        answer = await pseb.patch(f"/v1/applicants/{made['id']}", json=change, headers={"If-Match": "*"})
        assert (answer.status_code, answer.json()["code"]) == (409, "applicant_erased")
    asked = cases.registration(made["id"], track="vpn_freelancer", purpose="freelancing")
    answer = await pseb.post("/v1/registrations", json=asked)
    assert (answer.status_code, cases.codes(answer)) == (404, {"/applicant_id": "not_found"})


async def test_a_rejected_case_of_an_erased_applicant_cannot_be_handed_in_again(pseb: Caller, officer: Caller) -> None:
    case = await submit_case(pseb)
    await cases.decide(officer, case, "reject", reason_codes=["document_missing"])
    await erase(pseb, case["applicant_id"])
    for path in ("submit", "withdraw"):
        answer = await pseb.post(f"/v1/registrations/{case['id']}/{path}", headers={"If-Match": "*"})
        assert answer.status_code == {"submit": 404, "withdraw": 200}[path], answer.text


async def test_an_erasure_and_submissions_at_once_leave_no_case_under_the_old_subject(
    service: Service, pseb: Caller
) -> None:
    for _ in range(5):
        made = (await pseb.post("/v1/applicants", json=cases.individual())).json()
        asked = [cases.registration(made["id"], track="vpn_freelancer", purpose="freelancing") for _ in range(4)]
        erasing = ask(pseb, made["id"])
        answers = await asyncio.gather(*(pseb.post("/v1/registrations", json=each) for each in asked[:2]), erasing,
                                       *(pseb.post("/v1/registrations", json=each) for each in asked[2:]))  # fmt: skip
        statuses = [each.status_code for each in answers]
        erasure = statuses.pop(2)
        if erasure == 200:
            assert set(statuses) == {404}
        else:
            assert erasure == 409
            assert 201 in statuses
    apart = """SELECT count(*) FROM registrations JOIN applicants ON applicants.id = applicant_id
               WHERE registrations.subject <> applicants.subject OR erased_at IS NOT NULL"""
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text(apart)) == 0


async def test_the_networks_of_an_erased_grant_stay_in_the_history_of_the_list(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await submit_case(pseb)
    await cases.approved(pseb, officer)
    await cases.decide(officer, case, "approve")
    await service.publish()
    await revoke(officer, case)
    before = (await officer.get("/v1/allowlist/publications/1")).json()
    await erase(pseb, case["applicant_id"])
    assert (await officer.get("/v1/allowlist/publications/1")).json() == before
    assert await service.publish() is None
