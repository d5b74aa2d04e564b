"""A partner gives networks back without a decision; a leaked secret cannot empty its part of the list."""

from typing import Any

import httpx
import pytest

from tests.support import cases
from tests.support.service import Caller, Service

NETWORKS = ["203.99.50.10/32", "203.99.50.16/29"]


async def surrender(caller: Caller, case: dict[str, Any], *networks: str, **kwargs: Any) -> httpx.Response:
    body = {"json": {"networks": list(networks)}} if networks else {}
    headers = {"If-Match": "*", **kwargs.pop("headers", {})}
    return await caller.post(f"/v1/registrations/{case['id']}/surrender", headers=headers, **body, **kwargs)


async def read(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = (await caller.get(f"/v1/registrations/{case['id']}")).json()
    return body


async def listed(caller: Caller) -> list[str]:
    return (await caller.get("/v1/allowlist?format=text")).text.splitlines()


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        (["203.99.50.11"], {"/networks/0": "invalid_value"}),
        (["203.99.50.16/30", "203.99.50.10"], {"/networks/0": "invalid_value"}),
        (["203.99.50.10", "203.99.50.10"], {"/networks/1": "invalid_value"}),
        (["203.99.50.17/29"], {"/networks/0": "network_host_bits"}),
        (["x"], {"/networks/0": "network_malformed"}),
    ],
)
async def test_only_networks_of_the_registration_can_be_given_back(
    pseb: Caller, officer: Caller, networks: list[str], expected: dict[str, str]
) -> None:
    case = await cases.approved(pseb, officer, networks=NETWORKS)
    answer = await surrender(pseb, case, *networks)
    assert (answer.status_code, cases.codes(answer)) == (422, expected)
    assert (await read(pseb, case))["version"] == case["version"]


async def test_unknown_fields_and_an_empty_list_are_refused(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    path = f"/v1/registrations/{case['id']}/surrender"
    for body, pointer in [({"network": ["x"]}, "/network"), ({"networks": list[str]()}, "/networks")]:
        answer = await pseb.post(path, json=body, headers={"If-Match": "*"})
        assert (answer.status_code, [*cases.codes(answer)]) == (422, [pointer])
    assert (await pseb.post(path)).status_code == 428
    assert (await pseb.post(path, headers={"If-Match": '"1"'})).status_code == 412


async def test_only_its_submitter_gives_a_registration_back_and_only_one_in_force(
    pseb: Caller, pasha: Caller, nayatel: Caller, officer: Caller
) -> None:
    open_ = await cases.submitted(pseb)
    answer = await surrender(pseb, open_)
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
    case = await cases.approved(pseb, officer)
    assert (await surrender(pasha, case)).status_code == 404
    assert (await surrender(nayatel, case)).status_code == 403
    await cases.decide(officer, case, "suspend", reason_codes=["misuse"], legal_basis="Order 1")
    answer = await surrender(pseb, case)
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")


async def test_a_registration_that_another_is_to_replace_is_not_given_back(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    renewal = cases.registration(case["applicant_id"], networks=case["networks"], replaces=case["id"])
    made = (await pseb.post("/v1/registrations", json=renewal)).json()
    answer = await surrender(pseb, case)
    assert (answer.status_code, answer.json()["code"]) == (409, "successor_exists")
    await pseb.post(f"/v1/registrations/{made['id']}/withdraw", headers={"If-Match": "*"})
    assert (await surrender(pseb, case)).status_code == 200


async def test_a_network_leaves_the_list_and_the_registration_keeps_the_others(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer, networks=NETWORKS)
    await service.publish()
    key = {"Idempotency-Key": "once"}
    answer = await surrender(pseb, case, "203.99.50.16/29", headers=key)
    assert (answer.status_code, answer.json()["status"], answer.json()["networks"]) == (200, "approved", NETWORKS[:1])
    again = await surrender(pseb, case, "203.99.50.16/29", headers=key)
    assert (again.status_code, again.json()) == (200, answer.json())
    await service.publish()
    assert await listed(pseb) == NETWORKS[:1]
    last = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"][-1]
    assert (last["name"], last["details"]["surrendered"], last["details"]["networks"]) == (
        "registration.surrendered",
        NETWORKS[1:],
        NETWORKS[:1],
    )


async def test_a_registration_whose_every_network_is_given_back_has_ended(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    keeper = await cases.approved(pseb, officer)
    one = await cases.approved(pseb, officer, networks=NETWORKS)
    other = await cases.approved(pseb, officer)
    await service.publish()
    assert (await surrender(pseb, one, *reversed(NETWORKS))).json()["status"] == "surrendered"
    assert (await surrender(pseb, other)).json()["status"] == "surrendered"
    assert (await surrender(pseb, other)).status_code == 409
    theirs = await cases.submitted(pasha, networks=["203.99.51.1"])
    body = cases.registration(theirs["applicant_id"], networks=["203.99.50.10"])
    assert cases.codes(await pasha.post("/v1/registrations", json=body)) == {"/networks/0": "network_taken"}
    await service.publish()
    assert await listed(pseb) == keeper["networks"]
    assert (await pasha.post("/v1/registrations", json=body)).status_code == 201


async def test_many_surrenders_within_an_hour_wait_for_an_officer_and_can_be_taken_back(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, admin: Caller
) -> None:
    granted = [await cases.approved(pseb, officer) for _ in range(14)]
    theirs = await cases.approved(pasha, officer)
    await service.publish()
    for case in granted[:12]:
        assert (await surrender(pseb, case)).json()["status"] == "surrendered"
    assert (await surrender(pasha, theirs)).status_code == 200
    publication = await service.publish()
    assert publication is not None
    assert publication.removed == 11
    (held,) = (await admin.get("/v1/allowlist/held")).json()["items"]
    assert (held["count"], held["bound"], held["partner_id"]) == (2, 10, granted[0]["partner_id"])
    assert set(granted[10]["networks"] + granted[11]["networks"]) < set(await listed(pseb))

    body = cases.registration(granted[10]["applicant_id"], networks=granted[10]["networks"], replaces=granted[10]["id"])
    back = await pseb.post("/v1/registrations", json=body)
    assert back.status_code == 201, back.text
    assert (await cases.decide(officer, back.json(), "approve")).status_code == 201
    assert (await admin.post(f"/v1/allowlist/held/{held['id']}/release")).status_code == 200
    publication = await service.publish()
    assert publication is not None
    assert publication.removed == 1
    assert granted[10]["networks"][0] in await listed(pseb)
    body["replaces"] = granted[0]["id"]
    gone = await pseb.post("/v1/registrations", json={**body, "applicant_id": granted[0]["applicant_id"]})
    assert (gone.status_code, gone.json()["code"]) in ((409, "illegal_transition"), (422, "invalid_value"))
