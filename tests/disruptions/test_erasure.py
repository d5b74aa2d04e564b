"""Reports are deleted with the personal data of their case, and in any case a fixed time after they ended."""

from datetime import timedelta

from app.disruptions import service as disruptions
from tests.support import cases
from tests.support.disruptions import LATER, REPORTS, act, address_of, body_of, opened, sent
from tests.support.service import Caller, Service

KEPT = timedelta(days=180)


async def addresses(caller: Caller) -> set[str]:
    return {each["address"] for each in (await caller.get(REPORTS)).json()["items"]}


async def test_a_report_is_deleted_a_fixed_time_after_its_end_and_not_while_it_is_pending(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    pending, closed = await opened(service, pseb, officer), await opened(service, pseb, officer)
    await act(nayatel, closed, "findings", {"finding": "fixed"})
    answered = await sent(pseb, body_of(cases.address(), offset=LATER))
    every = {each["address"] for each in (pending, closed, answered)}
    for days, left in ((179, every), (181, {pending["address"]})):
        await service.move_clock(timedelta(days=days))
        await disruptions.delete_old(service.database, KEPT)
        assert await addresses(officer) == left


async def test_the_erasure_of_a_case_deletes_its_reports_and_the_stored_responses(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    other = await sent(pseb, body_of(address_of(await cases.submitted(pseb))))
    key, body = {"Idempotency-Key": "once"}, body_of(address_of(case))
    assert (await pseb.post(REPORTS, json=body, headers=key)).status_code == 201
    withdrawn = await pseb.post(f"/v1/registrations/{case['id']}/withdraw", headers={"If-Match": "*"})
    assert withdrawn.status_code == 200
    erase = f"/v1/applicants/{case['applicant_id']}/erasure"
    assert (await pseb.post(erase, headers={"If-Match": "*"})).status_code == 200
    assert await addresses(officer) == {other["address"]}
    again = await pseb.post(REPORTS, json=body, headers=key)
    assert "Idempotency-Replayed" not in again.headers
