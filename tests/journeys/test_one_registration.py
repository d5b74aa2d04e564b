"""One registration from submission to the feed and out of it again."""

from tests.support import cases
from tests.support.service import Caller, Service


async def test_a_case_that_is_approved_is_on_the_list_and_one_that_is_revoked_is_not(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    keeper = await cases.approved(pseb, officer)
    await service.publish()
    address = case["networks"][0].removesuffix("/32")
    listed = await nayatel.get("/v1/allowlist?format=text")
    assert listed.status_code == 200, listed.text
    assert case["networks"][0] in listed.text.splitlines()
    check = (await nayatel.get(f"/v1/allowlist/check?address={address}")).json()
    assert (check["allowed"], check["network"], check["since_serial"]) == (True, case["networks"][0], 1)

    revoked = await cases.decide(officer, case, "revoke", reason_codes=["misuse"], legal_basis="Order 12/2026")
    assert revoked.status_code == 201, revoked.text
    await service.publish()
    assert (await nayatel.get("/v1/allowlist?format=text")).text.splitlines() == keeper["networks"]
    assert not (await nayatel.get(f"/v1/allowlist/check?address={address}")).json()["allowed"]

    history = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    assert [event["name"] for event in history] == [
        "registration.submitted",
        "registration.approved",
        "registration.revoked",
    ]
