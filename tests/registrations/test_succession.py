"""A registration that replaces another takes over its networks, and no address of both is off the list meanwhile."""

from datetime import timedelta
from typing import Any

import httpx

from app.registrations import service as registrations
from tests.support import cases
from tests.support.service import Caller, Service

REGISTRATIONS = "/v1/registrations"
A = ["203.99.50.10", "203.99.50.16/29"]
B = ["203.99.50.10", "203.99.50.16/30", "203.99.50.40"]


async def submit(caller: Caller, replaced: dict[str, Any], networks: list[str], **changes: Any) -> httpx.Response:
    body = cases.registration(replaced["applicant_id"], networks=networks, replaces=replaced["id"], **changes)
    return await caller.post(REGISTRATIONS, json=body)


async def read(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    answer = await caller.get(f"{REGISTRATIONS}/{case['id']}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def end_hand_overs(service: Service) -> None:
    async with service.database.transaction() as tx:
        await registrations.end_hand_overs(tx)


async def check(caller: Caller, address: str) -> dict[str, Any]:
    body: dict[str, Any] = (await caller.get(f"/v1/allowlist/check?address={address}")).json()
    return body


async def test_the_networks_of_a_case_are_handed_over_to_the_one_that_replaces_it(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    a = await cases.approved(pseb, officer, networks=A)
    first = await service.publish()
    assert first is not None
    assert first.serial == 1
    made = await submit(pseb, a, B, handover_hours=0)
    assert made.status_code == 201, made.text
    b = made.json()
    assert (b["replaces"], b["replaced_by"], b["handover_hours"]) == (a["id"], None, 0)
    assert (await read(pseb, a))["replaced_by"] == b["id"]
    second = await submit(pseb, a, B)
    assert (second.status_code, cases.codes(second)) == (409, {"/replaces": "successor_exists"})

    assert (await cases.decide(officer, b, "approve")).status_code == 201
    assert (await read(pseb, a))["status"] == "superseded"
    publication = await service.publish()
    assert publication is not None
    assert (publication.serial, publication.added, publication.removed) == (2, 2, 1)
    session = (await pseb.get("/v1/allowlist")).json()["session"]
    delta = (await pseb.get(f"/v1/allowlist/delta?session={session}&since=1")).json()
    assert delta["added"] == ["203.99.50.16/30", "203.99.50.40/32"]
    assert delta["removed"] == [{"network": "203.99.50.16/29", "reason": "superseded"}]
    for serial in (1, 2):
        body = (await pseb.get(f"/v1/allowlist/check?address=203.99.50.17&serial={serial}")).json()
        assert body["allowed"]
    assert (await check(pseb, "203.99.50.10"))["since_serial"] == 1

    c = (await submit(pseb, b, B)).json()
    answer = await cases.decide(officer, c, "approve", expires_at="2099-01-01T00:00:00Z")
    assert answer.status_code == 201, answer.text
    assert await service.publish() is None
    renewed = await read(pseb, c)
    assert renewed["expires_at"] > (await read(pseb, b))["expires_at"]
    assert [each["status"] for each in (renewed, await read(pseb, b))] == ["approved", "superseded"]


async def test_networks_that_are_not_asked_for_again_stay_for_the_hand_over(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    a = await cases.approved(pseb, officer, networks=A)
    await service.publish()
    b = (await submit(pseb, a, B)).json()
    assert b["handover_hours"] == 24
    await cases.decide(officer, b, "approve")
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed) == (1, 0)
    assert (await check(pseb, "203.99.50.20"))["allowed"]
    await end_hand_overs(service)
    assert await service.publish() is None

    await service.move_clock(timedelta(hours=25))
    await end_hand_overs(service)
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed) == (1, 1)
    assert (await check(pseb, "203.99.50.17"))["allowed"]
    assert not (await check(pseb, "203.99.50.20"))["allowed"]
