"""Nobody learns by a report what is not theirs: who else has an address, whose receipt has which, and a name."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.core.settings import Settings
from tests.support import cases, postgres
from tests.support.canaries import found
from tests.support.disruptions import LATER, REPORTS, act, address_of, body_of, opened, sent
from tests.support.service import Caller, Service

OWN = {"id", "reported_at", "ended_at", "address", "observed_from"}  # of each report, whatever the world


def told(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name not in OWN}


World = Callable[[Service, Caller, Caller], Awaitable[str]]


async def free(service: Service, pasha: Caller, officer: Caller) -> str:
    """An address that nobody has."""
    return cases.address()


async def waiting(service: Service, pasha: Caller, officer: Caller) -> str:
    """An address in another partner's submitted case."""
    return address_of(await cases.submitted(pasha))


async def taken(service: Service, pasha: Caller, officer: Caller) -> str:
    """An address in force for another partner's registrant."""
    case = await cases.approved(pasha, officer)
    await service.publish()
    return address_of(case)


async def at_another_operator(service: Service, pasha: Caller, officer: Caller) -> str:
    """An address in force for another partner's registrant, at an operator that does not announce it."""
    case = await cases.approved(pasha, officer, operator="ptcl")
    await service.publish()
    return address_of(case)


@pytest.mark.parametrize("world", [waiting, taken, at_another_operator])
async def test_an_address_of_anybody_else_is_answered_as_one_that_nobody_has(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, nayatel: Caller, world: World
) -> None:
    empty, other = await free(service, pasha, officer), await world(service, pasha, officer)
    await service.move_clock(LATER)
    answers = [await sent(pseb, body_of(each, offset=LATER)) for each in (empty, other)]
    assert told(answers[0]) == told(answers[1])
    assert answers[0]["verdict"] == "not_registered"
    _, receipt = await cases.with_receipt(pseb)
    by_receipt = []
    for address in (empty, other):
        body = {**body_of(address, offset=LATER), "receipt": receipt}
        by_receipt.append(await service.http.post(REPORTS, json=body))
    assert told(by_receipt[0].json()) == told(by_receipt[1].json())
    assert by_receipt[0].json()["verdict"] == "not_registered"
    assert (await nayatel.get(REPORTS)).json()["items"] == []


async def test_a_receipt_speaks_for_its_own_case_alone_even_of_one_partner(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    other = await cases.approved(pseb, officer)
    await service.publish()
    _, receipt = await cases.with_receipt(pseb)
    answer = await service.http.post(REPORTS, json={**body_of(address_of(other)), "receipt": receipt})
    assert answer.json()["verdict"] == "not_registered"
    assert answer.json()["reason"] is None


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings with few guesses."""
    return postgres.settings_for(database_url, rate_limit_failed_receipts=5)


async def test_the_addresses_of_a_receipt_are_not_found_by_trying(service: Service, pseb: Caller) -> None:
    _, receipt = await cases.with_receipt(pseb)

    async def guess(receipt: str) -> httpx.Response:
        return await service.http.post(REPORTS, json={**body_of(cases.address()), "receipt": receipt})

    codes = [(await guess(receipt)).status_code for _ in range(7)]
    assert codes == [201] * 5 + [429] * 2


async def test_malformed_unknown_and_ended_receipts_are_one_answer(service: Service, pseb: Caller) -> None:
    case, ended = await cases.with_receipt(pseb)
    assert (await pseb.post(f"/v1/registrations/{case['id']}/receipt")).status_code in (200, 201)
    bodies = set()
    for receipt in ("x", "PK-7H3KQ9-M2QXW8RT-5", ended):
        answer = await service.http.post(REPORTS, json={**body_of(address_of(case)), "receipt": receipt})
        assert answer.status_code == 404
        bodies.add(answer.text)
    assert len(bodies) == 1


async def test_the_operator_and_the_log_have_no_name_number_or_reference_of_the_registrant(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    person = cases.individual()
    report = await opened(
        service,
        pseb,
        officer,
        applicant=person,
        track="vpn_freelancer",
        purpose="freelancing",
        reference="REF-CANARY",
        subscriber_id="SUBSCRIBER-CANARY",
        description="DESCRIPTION-CANARY",
    )
    await act(nayatel, report, "findings", {"finding": "fixed", "note": "Done"})
    case = (await officer.get(f"{REPORTS}/{report['id']}")).json()["registration_id"]
    values = [person["legal_name"], person["cnic"], person["email"], "REF-CANARY", "SUBSCRIBER-CANARY", case]
    values.append("DESCRIPTION-CANARY")
    texts = [
        (await nayatel.get(REPORTS)).text,
        (await nayatel.get(f"{REPORTS}/{report['id']}")).text,
        (await officer.get("/v1/events?type=disruption.*")).text,
    ]
    assert found(values, "".join(texts)) == []


async def test_the_log_keeps_no_address_of_a_report(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    report = await opened(service, pseb, officer)
    unknown = await sent(pseb, body_of("9.9.9.9", offset=LATER))
    log = (await officer.get("/v1/events?type=disruption.*&limit=500")).text
    assert report["address"] not in log
    assert unknown["address"] not in log


async def test_a_report_and_its_incident_say_nothing_of_another_partners_reports(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    report = await opened(service, pseb, officer)
    assert (await pasha.get(f"{REPORTS}/{report['id']}")).status_code == 404
    assert (await pasha.get(REPORTS)).json()["items"] == []
    read = (await pasha.get("/v1/events?type=disruption.*")).json()["items"]
    assert read == []
