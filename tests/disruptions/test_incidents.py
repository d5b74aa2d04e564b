"""Many reports at once are one incident, with a time and a number."""

from datetime import timedelta
from typing import Any

import pytest

from app.partners.rules import PartnerKind
from tests.support import cases
from tests.support.disruptions import LATER, REPORTS, act, address_of, body_of, sent, sweep
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

INCIDENTS = "/v1/incidents"


async def reported(
    service: Service, caller: Caller, officer: Caller, operators: list[str], applicant: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Report a case in force at each of the operators; each is of another registrant, unless one is given."""
    made = [await cases.approved(caller, officer, applicant, operator=each) for each in operators]
    await service.publish()
    await service.move_clock(LATER)
    return [await sent(caller, body_of(address_of(each), offset=LATER)) for each in made]


async def incidents(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await caller.get(f"{INCIDENTS}?{query}")).json()["items"]
    return found


async def test_five_registrants_at_one_operator_make_an_incident_that_ends_with_its_last_report(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, nayatel: Caller
) -> None:
    reports = await reported(service, pseb, officer, ["nayatel"] * 4)
    await sweep(service)
    assert await incidents(officer) == []
    reports += await reported(service, pasha, officer, ["nayatel"])
    await sweep(service)
    (incident,) = await incidents(officer)
    assert (incident["operators"], incident["reports"], incident["closed_at"]) == (["nayatel"], 5, None)
    assert incident["began_at"] == min(each["observed_from"] for each in reports)
    for caller in (pseb, pasha, nayatel):
        assert await incidents(caller) == [incident]
        await wait_for_event(caller, "incident.opened")
    mine = (await nayatel.get(f"{REPORTS}?incident_id={incident['id']}")).json()["items"]
    assert {each["id"] for each in mine} == {each["id"] for each in reports}
    late = await reported(service, pseb, officer, ["nayatel"])
    await sweep(service)
    assert [each["reports"] for each in await incidents(officer, "closed=false")] == [6]
    for place, each in enumerate([*reports, *late]):
        await sweep(service)
        assert (await incidents(officer))[0]["closed_at"] is None, place
        assert (await act(nayatel, each, "findings", {"finding": "fixed"})).status_code == 200
    await sweep(service)
    (closed,) = await incidents(pseb, "closed=true&operator=nayatel")
    assert (closed["id"], closed["number"]) == (incident["id"], incident["number"])
    await wait_for_event(pseb, "incident.closed")


async def test_one_registrant_makes_no_incident_however_often_it_reports(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    await reported(service, pseb, officer, ["nayatel"] * 6, cases.company())
    await sweep(service)
    assert await incidents(officer) == []


async def test_reports_at_three_operators_make_one_incident_and_at_two_none(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    await reported(service, pseb, officer, ["nayatel", "nayatel", "ptcl", "ptcl", "ptcl"])
    await sweep(service)
    assert await incidents(officer) == []
    await reported(service, pseb, officer, ["zong"])
    await sweep(service)
    (incident,) = await incidents(officer)
    assert (incident["operators"], incident["reports"]) == (["nayatel", "ptcl", "zong"], 6)


async def test_what_is_answered_at_once_makes_no_incident(service: Service, pseb: Caller, officer: Caller) -> None:
    for _ in range(6):
        await sent(pseb, body_of(cases.address()))
    await sweep(service)
    assert await incidents(officer) == []


async def test_a_report_long_after_the_last_of_an_incident_is_no_part_of_it(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    await reported(service, pseb, officer, ["nayatel"] * 5)
    await sweep(service)
    case = await cases.approved(pseb, officer)
    await service.publish()
    await service.move_clock(LATER + timedelta(minutes=20))
    report = await sent(pseb, body_of(address_of(case), offset=LATER + timedelta(minutes=20)))
    await sweep(service)
    assert [each["reports"] for each in await incidents(officer)] == [5]
    assert (await pseb.get(f"{REPORTS}/{report['id']}")).json()["incident_id"] is None


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("closed=perhaps", {"/query/closed": "invalid_value"}),
        ("operator=nobody", {"/query/operator": "unknown_operator"}),
    ],
)
async def test_a_wrong_filter_of_incidents_is_refused(pseb: Caller, query: str, errors: dict[str, str]) -> None:
    assert cases.codes(await pseb.get(f"{INCIDENTS}?{query}")) == errors


async def test_incidents_need_a_token_with_the_scope_to_read_registrations(service: Service, pseb: Caller) -> None:
    reader = await service.caller("other", PartnerKind.ASSOCIATION, scopes=["allowlist:read"])
    assert (await reader.get(INCIDENTS)).status_code == 403
    assert (await service.http.get(INCIDENTS)).status_code == 401
