"""Expiry of approvals whose time has passed."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from app.registrations import service as registrations
from tests.support import cases
from tests.support.service import Caller, Service


async def sweep(service: Service) -> int:
    async with service.database.transaction() as tx:
        return await registrations.expire(tx)


async def end_now(service: Service, *references: str) -> None:
    async with service.database.transaction() as tx:
        ended = text("UPDATE registrations SET expires_at = now() - interval '1 second' WHERE reference = ANY(:all)")
        await tx.execute(ended, {"all": list(references)})


async def test_only_an_approval_whose_time_has_passed_expires(service: Service, pseb: Caller, officer: Caller) -> None:
    lasting = await cases.approved(pseb, officer, reference="lasting")
    suspended = await cases.approved(pseb, officer, reference="suspended")
    await cases.decide(officer, suspended, "suspend", reason_codes=["misuse"], legal_basis="Order 1")
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    case = await cases.submitted(pseb, reference="soon")
    await cases.decide(officer, case, "approve", expires_at=soon)
    await end_now(service, "suspended")
    assert await sweep(service) == 0
    for each, status in ((lasting, "approved"), (suspended, "suspended"), (case, "approved")):
        assert (await pseb.get(f"/v1/registrations/{each['id']}")).json()["status"] == status


async def test_an_expired_approval_leaves_the_allowlist_and_its_history_has_the_event(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    keeper = await cases.approved(pseb, officer)
    case = await cases.approved(pseb, officer, reference="old")
    await service.publish()
    await end_now(service, "old")
    assert (await sweep(service), await sweep(service)) == (1, 0)
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed) == (0, 1)
    assert (await nayatel.get("/v1/allowlist?format=text")).text.splitlines() == keeper["networks"]

    read = (await pseb.get(f"/v1/registrations/{case['id']}")).json()
    assert (read["status"], read["version"]) == ("expired", 3)
    last = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"][-1]
    assert (last["name"], last["actor_client_id"], last["details"]) == (
        "registration.expired",
        None,
        {"status": "expired", **cases.content(case)},
    )
    again = await cases.submitted(pseb, networks=case["networks"])
    assert (await cases.decide(officer, again, "approve")).status_code == 201
