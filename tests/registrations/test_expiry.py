"""Approvals on the register's clock: reminders, the lapse, the grace period and the end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.registrations import expiry
from tests.support import cases
from tests.support.service import Caller, Service

DAY = timedelta(days=1)


async def sweep(service: Service) -> int:
    async with service.database.transaction() as tx:
        return await expiry.move_due(tx)


async def approved(pseb: Caller, officer: Caller, lasting: timedelta, **verdict: Any) -> dict[str, Any]:
    """A case that is approved for a time."""
    case = await cases.submitted(pseb)
    expires_at = (datetime.now(UTC) + lasting).isoformat()
    answer = await cases.decide(officer, case, "approve", expires_at=expires_at, **verdict)
    assert answer.status_code == 201, answer.text
    return await read(pseb, case)


async def read(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await caller.get(f"/v1/registrations/{case['id']}")).json()
    return found


async def told(caller: Caller, case: dict[str, Any]) -> list[tuple[str, int | None]]:
    """The events of a case since its approval, each with its ``days_before``."""
    history = (await caller.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    names = [(each["name"].removeprefix("registration."), each["details"].get("days_before")) for each in history]
    return names[2:]


async def test_a_case_without_an_approval_has_no_dates_and_is_left_alone(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    assert [case[name] for name in ("renewable_from", "expires_at", "ends_at", "notice")] == [None] * 4
    await service.move_clock(400 * DAY)
    assert await sweep(service) == 0


async def test_an_approval_says_from_when_it_is_renewed_when_it_expires_and_when_it_ends(
    pseb: Caller, officer: Caller
) -> None:
    for verdict, days in (({}, 14), ({"grace_days": 0}, 0), ({"grace_days": 60}, 60)):
        case = await approved(pseb, officer, 100 * DAY, **verdict)
        renewable, expires, ends = (
            datetime.fromisoformat(case[name]) for name in ("renewable_from", "expires_at", "ends_at")
        )
        assert (expires - renewable, ends - expires) == (60 * DAY, days * DAY)
    why = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}
    await cases.decide(officer, case, "revoke", **why)
    revoked = await read(pseb, case)
    assert (revoked["renewable_from"], revoked["expires_at"]) == (None, case["expires_at"])


async def test_the_sweep_leaves_alone_what_is_not_due(service: Service, pseb: Caller, officer: Caller) -> None:
    lasting = await approved(pseb, officer, 31 * DAY)
    suspended = await approved(pseb, officer, DAY)
    await cases.decide(officer, suspended, "suspend", reason_codes=["misuse"], legal_basis="Order 1")
    assert await sweep(service) == 0
    for each, status in ((lasting, "approved"), (suspended, "suspended")):
        assert (await read(pseb, each))["status"] == status
    await service.move_clock(30 * DAY)
    assert (await sweep(service), await sweep(service)) == (1, 0)
    assert (await read(pseb, suspended))["status"] == "suspended"


async def test_reminders_come_30_7_and_1_days_before_each_once_and_change_no_version(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await approved(pseb, officer, 40 * DAY)
    expected: list[tuple[str, int | None]] = []
    for passed, days in ((11, 30), (20, None), (34, 7), (38, None), (39.5, 1), (39.9, None)):
        await service.move_clock(passed * DAY)
        expected += [("expiring", days)] if days else []
        assert await sweep(service) == (1 if days else 0)
        assert await told(pseb, case) == expected
    assert await read(pseb, case) == case
    last = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"][-1]
    dates = {name: case[name] for name in ("expires_at", "ends_at")}
    assert last["details"] == {"status": "approved", "days_before": 1, **dates, **cases.content(case)}
    assert last["actor_client_id"] is None


@pytest.mark.parametrize(
    ("lasting", "expected"),
    [
        (6 * DAY, [("expiring", 7)]),
        (7 * DAY, [("expiring", 7)]),
        (DAY / 2, [("expiring", 1)]),
        (40 * DAY, []),
    ],
    ids=["6 days", "7 days", "half a day", "40 days"],
)
async def test_of_several_reminders_that_are_due_the_nearest_is_told_alone(
    service: Service, pseb: Caller, officer: Caller, lasting: timedelta, expected: list[tuple[str, int]]
) -> None:
    case = await approved(pseb, officer, lasting)
    assert [await sweep(service) for _ in range(3)] == [len(expected), 0, 0]
    assert await told(pseb, case) == expected


async def test_a_register_that_stood_still_for_weeks_says_the_nearest_notice_once(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    soon, over, gone = [await approved(pseb, officer, days * DAY) for days in (35, 20, 5)]
    assert await sweep(service) == 2  # the last two are reminded
    await service.move_clock(30 * DAY)
    assert (await sweep(service), await sweep(service)) == (3, 0)
    assert await told(pseb, soon) == [("expiring", 7)]
    assert await told(pseb, over) == [("expiring", 30), ("lapsed", None)]
    assert await told(pseb, gone) == [("expiring", 7), ("expired", None)]


async def test_a_lapsed_case_stays_on_the_list_until_its_grace_period_ends(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    keeper = await cases.approved(pseb, officer)
    case = await approved(pseb, officer, 10 * DAY)
    address = case["networks"][0].partition("/")[0]
    await service.publish()
    await service.move_clock(10 * DAY)
    assert (await sweep(service), await sweep(service)) == (1, 0)
    lapsed = await read(pseb, case)
    assert (lapsed["status"], lapsed["version"]) == ("lapsed", case["version"] + 1)
    assert (lapsed["expires_at"], lapsed["ends_at"]) == (case["expires_at"], case["ends_at"])
    assert await service.publish() is None
    checked = (await nayatel.get(f"/v1/allowlist/check?address={address}")).json()
    assert checked["allowed"] is True

    await service.move_clock(24 * DAY)
    assert (await sweep(service), await sweep(service)) == (1, 0)
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed) == (0, 1)
    assert (await nayatel.get("/v1/allowlist?format=text")).text.splitlines() == keeper["networks"]
    assert (await read(pseb, case))["status"] == "expired"
    assert await told(pseb, case) == [("lapsed", None), ("expired", None)]
    last = (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"][-1]
    assert (last["actor_client_id"], last["details"]) == (None, {"status": "expired", **cases.content(case)})
    again = await cases.submitted(pseb, networks=case["networks"])
    assert (await cases.decide(officer, again, "approve")).status_code == 201


async def test_without_a_grace_period_an_approval_ends_when_it_expires(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await approved(pseb, officer, DAY, grace_days=0)
    await service.move_clock(DAY)
    assert await sweep(service) == 1
    assert await told(pseb, case) == [("expired", None)]


async def test_a_reinstated_case_lapses_or_ends_where_its_dates_have_passed(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    why = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}
    made = [await approved(pseb, officer, days * DAY) for days in (10, 20)]
    for case in made:
        await cases.decide(officer, case, "suspend", **why)
    await service.move_clock(25 * DAY)
    for case in made:
        await cases.decide(officer, await read(pseb, case), "reinstate")
    assert await sweep(service) == 2
    assert [(await read(pseb, case))["status"] for case in made] == ["expired", "lapsed"]
