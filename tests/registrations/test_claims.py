"""End of a claim: by time, with its officer's client, or by another officer who gives a reason."""

from typing import Any

import pytest

from app.registrations import service as registrations
from tests.support import cases, postgres
from tests.support.service import Caller, Service
from tests.support.statements import record_statements

ANY = {"If-Match": "*"}
REASON = "The officer is on leave until Monday."


@pytest.fixture
async def second(service: Service) -> Caller:
    """A second officer."""
    return await service.officer("pta-officer-2")


async def claim(officer: Caller, case: dict[str, Any]) -> Any:
    return await officer.post(f"/v1/registrations/{case['id']}/claim", headers=ANY)


async def claimed(officer: Caller, pseb: Caller) -> dict[str, Any]:
    answer = await claim(officer, await cases.submitted(pseb))
    assert answer.status_code == 200, answer.text
    case: dict[str, Any] = answer.json()
    return case


async def end(officer: Caller, case: dict[str, Any], **query: str) -> Any:
    return await officer.delete(f"/v1/registrations/{case['id']}/claim", params=query, headers=ANY)


async def read(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await caller.get(f"/v1/registrations/{case['id']}")).json()
    return found


async def history(caller: Caller, case: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await caller.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    return items


async def make_old(service: Service, hours: int = 9) -> None:
    """Set every claim back by ``hours``."""
    back = (
        f"claim_ends_at = claim_ends_at - interval '{hours} hours', updated_at = updated_at - interval '{hours} hours'"
    )
    await postgres.execute(service.settings.database_url, f"UPDATE registrations SET {back}")


async def sweep(service: Service) -> int:
    async with service.database.transaction() as tx:
        return await registrations.end_claims(tx, service.settings.claim_hours)


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_another_officer_ends_a_claim_with_a_reason_that_only_the_regulator_reads(
    pseb: Caller, officer: Caller, second: Caller
) -> None:
    case = await claimed(officer, pseb)
    for query in ({}, {"reason": ""}, {"reason": " "}):
        answer = await end(second, case, **query)
        assert refused(answer) == (409, "claimed_by_another")
        assert "reason" in answer.json()["detail"]
    for reason in ("x" * 201, "\x00", "Ask 90001-1234567-1."):
        answer = await end(second, case, reason=reason)
        assert (answer.status_code, cases.codes(answer)) == (422, {"/query/reason": "invalid_value"})
    assert (await end(second, case, why="x")).status_code == 422
    assert await read(officer, case) == case

    back = await end(second, case, reason=REASON)
    assert (back.status_code, back.json()["status"], back.json()["claimed_by"]) == (200, "submitted", None)
    *_, ended, given_back = await history(officer, case)
    assert (ended["name"], ended["actor_client_id"]) == ("registration.claim_ended", str(second.credentials.id))
    assert ended["details"] == {"reason": REASON, "claimed_by": str(officer.credentials.id), **cases.content(case)}
    assert given_back["details"] == {"status": "submitted", "ended": "another_officer", **cases.content(case)}
    told = await history(pseb, case)
    assert [each["name"] for each in told] == [
        "registration.submitted",
        "registration.claimed",
        "registration.given_back",
    ]
    assert REASON not in str(told)
    assert str(officer.credentials.id) not in str(told)
    assert (await claim(second, case)).status_code == 200


async def test_only_officers_end_claims_and_only_of_the_version_they_read(
    pseb: Caller, officer: Caller, second: Caller
) -> None:
    case = await claimed(officer, pseb)
    assert refused(await end(pseb, case, reason=REASON)) == (403, "forbidden")
    path = f"/v1/registrations/{case['id']}/claim?reason=x"
    assert refused(await second.delete(path)) == (428, "precondition_required")
    assert refused(await second.delete(path, headers={"If-Match": '"1"'})) == (412, "version_mismatch")


async def test_a_claim_past_its_end_blocks_nobody_even_before_the_sweep(
    service: Service, pseb: Caller, officer: Caller, second: Caller
) -> None:
    decided, taken = await claimed(officer, pseb), await claimed(officer, pseb)
    assert refused(await cases.decide(second, decided, "approve")) == (409, "claimed_by_another")
    assert refused(await claim(second, taken)) == (409, "claimed_by_another")
    await make_old(service)
    assert (await cases.decide(second, decided, "approve")).status_code == 201
    again = await claim(second, taken)
    assert (again.status_code, again.json()["claimed_by"]) == (200, str(second.credentials.id))
    assert again.json()["claim_ends_at"] > taken["claim_ends_at"]
    names = [(each["name"], each["details"].get("ended")) for each in (await history(officer, taken))[-2:]]
    assert names == [("registration.given_back", "time"), ("registration.claimed", None)]
    assert refused(await cases.decide(officer, again.json(), "approve")) == (409, "claimed_by_another")
    assert await sweep(service) == 0


async def test_an_officer_can_claim_a_case_again_when_the_claim_has_ended(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await claimed(officer, pseb)
    assert refused(await claim(officer, case)) == (409, "illegal_transition")
    await make_old(service)
    assert (await claim(officer, case)).status_code == 200
    assert await sweep(service) == 0


async def test_the_sweep_ends_claims_past_their_end_and_records_it(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    old = await claimed(officer, pseb)
    await make_old(service)
    young = await claimed(officer, pseb)
    assert await sweep(service) == 1
    back = await read(officer, old)
    assert (back["status"], back["claimed_by"], back["claim_ends_at"]) == ("submitted", None, None)
    assert back["version"] == old["version"] + 1
    *_, told = await history(pseb, old)
    expected = {"status": "submitted", "ended": "time", **cases.content(old)}
    assert (told["name"], told["details"]) == ("registration.given_back", expected)
    assert (told["actor_partner_id"], told["actor_client_id"]) == (None, None)
    assert await read(officer, young) == young
    assert await sweep(service) == 0


async def test_a_claim_stored_without_an_end_lasts_as_long_as_any_other(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await claimed(officer, pseb)
    await postgres.execute(service.settings.database_url, "UPDATE registrations SET claim_ends_at = NULL")
    assert await sweep(service) == 0
    await make_old(service)
    assert await sweep(service) == 1
    assert (await read(officer, case))["status"] == "submitted"


async def test_a_claim_ends_when_its_officers_client_is_disabled(
    service: Service, pseb: Caller, officer: Caller, second: Caller, admin: Caller
) -> None:
    decided, taken, swept = [await claimed(officer, pseb) for _ in range(3)]
    others = await claimed(second, pseb)
    client = f"/v1/partners/{officer.credentials.partner_id}/clients/{officer.credentials.id}"
    assert (await admin.post(f"{client}/disable", headers=ANY)).status_code == 200
    assert (await cases.decide(second, decided, "approve")).status_code == 201
    assert (await claim(second, taken)).status_code == 200
    assert await sweep(service) == 1
    assert (await read(second, swept))["status"] == "submitted"
    expected = {"status": "submitted", "ended": "client_disabled", **cases.content(swept)}
    assert (await history(second, swept))[-1]["details"] == expected
    assert await read(second, others) == others


async def test_the_sweep_takes_as_many_statements_for_20_claims_as_for_3(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    taken = []
    for number in (3, 20):
        for _ in range(number):
            await claimed(officer, pseb)
        await make_old(service)
        async with record_statements(service.database) as statements:
            assert await sweep(service) == number
        taken.append(len(statements))
    assert taken[0] == taken[1]


async def test_only_the_regulator_sees_who_claimed_a_case_and_until_when(
    pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await claimed(officer, pseb)
    assert case["claim_ends_at"]
    for caller in (pseb, nayatel):
        shown = await read(caller, case)
        assert (shown["claimed_by"], shown["claim_ends_at"]) == (None, None)


async def test_another_client_of_the_same_person_has_the_claim_too(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    twin = await service.officer("at-home", person="PTA-officer-1")
    decided, returned = await claimed(officer, pseb), await claimed(officer, pseb)
    assert (await cases.decide(twin, decided, "approve")).status_code == 201
    assert (await end(twin, returned)).status_code == 200
    assert [each["name"] for each in await history(officer, returned)][-1] == "registration.given_back"
    assert "registration.claim_ended" not in str(await history(officer, returned))


async def test_an_officer_cannot_claim_a_case_that_the_officer_submitted(
    service: Service, officer: Caller, second: Caller
) -> None:
    case = await cases.submitted(officer)
    assert refused(await claim(officer, case)) == (403, "self_review")
    assert (await claim(second, case)).status_code == 200
