"""Revealing a CNIC needs the scope and a reason, and is recorded for the applicant's partner."""

from app.partners.rules import PartnerKind
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

WHY = {"reason": "Compared with the operator's invoice"}


async def applicant(caller: Caller) -> tuple[str, str]:
    """Create an individual; returns its path and CNIC."""
    person = cases.individual()
    made = await caller.post("/v1/applicants", json=person)
    return made.headers["Location"], person["cnic"]


async def test_an_association_cannot_hold_the_scope_and_is_refused_its_own_record_too(
    service: Service, pseb: Caller, admin: Caller
) -> None:
    path, _ = await applicant(pseb)
    assert (await pseb.post(f"{path}/reveal", json=WHY)).status_code == 403
    client = {"name": "curious", "scopes": ["applicants:reveal"]}
    refused = await admin.post(f"/v1/partners/{pseb.credentials.partner_id}/clients", json=client)
    assert cases.codes(refused) == {"/scopes/0": "invalid_value"}


async def test_an_officer_without_the_scope_is_refused(service: Service, pseb: Caller, officer: Caller) -> None:
    path, _ = await applicant(pseb)
    reader = await service.caller("pta", PartnerKind.REGULATOR, client="reader", scopes=["applicants:read"])
    assert (await reader.post(f"{path}/reveal", json=WHY)).status_code == 403


async def test_without_a_reason_nothing_is_shown_and_nothing_recorded(pseb: Caller, officer: Caller) -> None:
    path, cnic = await applicant(pseb)
    for body in ({}, {"reason": ""}, {"reason": "x" * 201}):
        refused = await officer.post(f"{path}/reveal", json=body)
        assert refused.status_code == 422
        assert cnic not in refused.text
    assert "applicant.revealed" not in str(await wait_for_event(pseb, "applicant.created"))


async def test_the_cnic_is_shown_in_full_once_and_its_partner_sees_who_asked_and_why(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    path, cnic = await applicant(pseb)
    shown = await officer.post(f"{path}/reveal", json=WHY)
    assert (shown.status_code, shown.json()["cnic"]) == (200, cnic)
    assert shown.headers["Cache-Control"] == "no-store"
    (event,) = [
        each for each in await wait_for_event(pseb, "applicant.revealed") if each["name"] == "applicant.revealed"
    ]
    assert event["subject_id"] == path.rpartition("/")[2]
    assert event["actor_partner_id"] == str(officer.credentials.partner_id)
    assert event["details"] == {"fields": ["cnic"], **WHY}
    assert cnic not in str(event)
    await pasha.post("/v1/applicants", json=cases.company())
    assert "applicant.revealed" not in str(await wait_for_event(pasha, "applicant.created"))
    assert (await officer.get(path)).json()["cnic"] == f"*****-*****{cnic[-4:]}"


async def test_a_company_has_no_cnic_to_show(pseb: Caller, officer: Caller) -> None:
    made = await pseb.post("/v1/applicants", json=cases.company())
    shown = await officer.post(f"{made.headers['Location']}/reveal", json=WHY)
    assert shown.json() == {"id": made.json()["id"], "cnic": None}
