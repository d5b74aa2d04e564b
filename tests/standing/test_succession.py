"""Standing stays true when networks change hands, and a registrant moves to another association by a receipt."""

from datetime import timedelta
from typing import Any

import pytest

from app.registrations import service as registrations
from tests.support import cases
from tests.support.service import Caller, Service

KEPT, LEFT = "203.99.50.10", "203.99.50.20"
CODE = "/v1/standings/transfer-code"


async def told(service: Service, receipt: str, address: str | None = None) -> dict[str, Any]:
    answer = await service.http.post("/v1/standings", json={"receipt": receipt, "address": address})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def successor(
    caller: Caller, officer: Caller, replaced: dict[str, Any], networks: list[str], **changes: Any
) -> tuple[dict[str, Any], str]:
    """A case that replaces another and is approved, and its receipt."""
    body = cases.registration(replaced["applicant_id"], networks=networks, replaces=replaced["id"], **changes)
    made = await caller.post("/v1/registrations", json=body)
    assert made.status_code == 201, made.text
    assert (await cases.decide(officer, made.json(), "approve")).status_code == 201
    return cases.without_receipt(made), made.json()["receipt"]


async def test_a_network_that_changes_hands_is_in_force_by_one_case_after_the_other(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case, receipt = await cases.with_receipt(pseb, networks=[KEPT, LEFT])
    await cases.decide(officer, case, "approve")
    await service.publish()
    listed = await told(service, receipt)
    _, new = await successor(pseb, officer, case, [KEPT])
    assert await service.publish() is None

    renewed = await told(service, new, KEPT)
    assert (renewed["standing"], renewed["address_matches"]) == ("in_force", True)
    assert renewed["since"] > listed["since"]
    old = await told(service, receipt, KEPT)
    assert (old["status"], old["standing"], old["since"]) == ("superseded", "not_in_force", renewed["since"])
    assert old["next_step"] == "Use the receipt of the newer registration."
    staying = await told(service, new, LEFT)
    assert (staying["standing"], staying["address_matches"], len(staying["hints"])) == ("in_force", True, 2)
    assert staying["since"] < staying["until"] < staying["expires_at"]

    await service.move_clock(timedelta(hours=25))
    async with service.database.transaction() as tx:
        await registrations.end_hand_overs(tx)
    await service.publish()
    assert (await told(service, new, LEFT))["address_matches"] is False
    assert (await told(service, receipt, LEFT))["standing"] == "not_in_force"
    assert (await told(service, new, KEPT))["standing"] == "in_force"


async def test_networks_that_were_given_back_tell_so(service: Service, pseb: Caller, officer: Caller) -> None:
    await cases.approved(pseb, officer)
    case, receipt = await cases.with_receipt(pseb, networks=[KEPT, LEFT])
    await cases.decide(officer, case, "approve")
    await service.publish()
    path, given = f"/v1/registrations/{case['id']}/surrender", {"networks": [LEFT]}
    assert (await pseb.post(path, json=given, headers={"If-Match": "*"})).status_code == 200
    leaving = await told(service, receipt, LEFT)
    assert (leaving["address_matches"], leaving["standing"]) == (True, "in_force")  # until it is published
    await service.publish()
    assert (await told(service, receipt))["standing"] == "in_force"
    left = await told(service, receipt, LEFT)
    assert (left["address_matches"], left["standing"]) == (False, "in_force")  # that of the rest


async def test_a_code_by_a_receipt_lets_another_association_take_the_registration_over(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    firm = cases.company()
    case, receipt = await cases.with_receipt(pseb, firm, networks=[KEPT])
    await cases.decide(officer, case, "approve")
    await service.publish()
    made = await service.http.post(CODE, json={"receipt": receipt})
    assert made.status_code == 201, made.text
    second = (await service.http.post(CODE, json={"receipt": receipt})).json()["code"]
    mine = (await pasha.post("/v1/applicants", json=firm)).json()["id"]
    body = cases.registration(mine, networks=[KEPT], transfer_code=made.json()["code"])
    refused = await pasha.post("/v1/registrations", json=body)
    assert cases.codes(refused)["/transfer_code"] == "not_found"  # the newer ended it
    answer = await pasha.post("/v1/registrations", json={**body, "transfer_code": second})
    assert answer.status_code == 201, answer.text
    assert (await cases.decide(officer, answer.json(), "approve")).status_code == 201
    assert (await told(service, receipt))["status"] == "superseded"
    assert (await told(service, answer.json()["receipt"], KEPT))["standing"] == "in_force"


async def test_a_code_is_valid_for_three_days(service: Service, pseb: Caller, pasha: Caller, officer: Caller) -> None:
    firm = cases.company()
    case, receipt = await cases.with_receipt(pseb, firm, networks=[KEPT])
    await cases.decide(officer, case, "approve")
    code = (await service.http.post(CODE, json={"receipt": receipt})).json()["code"]
    mine = (await pasha.post("/v1/applicants", json=firm)).json()["id"]
    await service.move_clock(timedelta(hours=73))
    body = cases.registration(mine, networks=[KEPT], transfer_code=code)
    late = await pasha.post("/v1/registrations", json=body)
    assert cases.codes(late)["/transfer_code"] == "not_found"


@pytest.mark.parametrize("body", [{}, {"receipt": ""}, {"receipt": 1}, {"receipt": "PK", "address": KEPT}], ids=str)
async def test_a_malformed_question_for_a_code_is_refused(service: Service, body: dict[str, Any]) -> None:
    assert (await service.http.post(CODE, json=body)).status_code == 422


async def test_nobody_gets_a_code_without_a_receipt_or_for_a_case_that_was_never_approved(
    service: Service, pseb: Caller
) -> None:
    case, receipt = await cases.with_receipt(pseb)
    early = await service.http.post(CODE, json={"receipt": receipt})
    assert (early.status_code, early.json()["code"]) == (409, "illegal_transition")
    await pseb.post(f"/v1/registrations/{case['id']}/receipt")
    answers = [await service.http.post(CODE, json={"receipt": each}) for each in ("PK", receipt)]
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].text == answers[1].text
    refused = [await service.http.post(CODE, json={"receipt": "PK"}) for _ in range(9)]
    assert [each.status_code for each in refused] == [404] * 8 + [429]
