"""From an approval to its end, by the worker's own sweeps: a reminder, a lapse, an extension, a notice."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from app import worker
from app.core.settings import Settings
from tests.support import cases, processes
from tests.support.service import Caller, Service
from tests.support.working import working

SWEEP_SECONDS = 0.5
WHY = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}


def within(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


async def read(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await caller.get(f"/v1/registrations/{case['id']}")).json()
    return found


async def has_status(caller: Caller, case: dict[str, Any], status: str) -> bool:
    return bool((await read(caller, case))["status"] == status)


async def told(caller: Caller, case: dict[str, Any]) -> list[tuple[str, int | None]]:
    history = (await caller.get(f"/v1/registrations/{case['id']}/history")).json()["items"]
    return [(each["type"].partition(".")[2], each["details"].get("days_before")) for each in history]


async def approved(pseb: Caller, officer: Caller, **time: float) -> dict[str, Any]:
    case = await cases.submitted(pseb)
    answer = await cases.decide(officer, case, "approve", expires_at=within(**time))
    assert answer.status_code == 201, answer.text
    return await read(officer, case)


async def test_nobody_is_off_the_list_without_a_notice(
    service: Service, settings: Settings, pseb: Caller, officer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SWEEP_SECONDS", SWEEP_SECONDS)
    kept, warned = await cases.approved(pseb, officer), await approved(pseb, officer, days=6)
    short, suspended, cancelled = [
        await approved(pseb, officer, seconds=4),
        *[await cases.approved(pseb, officer) for _ in range(2)],
    ]

    async def serial() -> int:
        await service.app.state.reader.refresh()
        listed = (await officer.get("/v1/allowlist")).json()
        return int(listed.get("serial", 0))

    async def allows(case: dict[str, Any]) -> bool:
        await service.app.state.reader.refresh()
        address = case["networks"][0].partition("/")[0]
        return bool((await officer.get(f"/v1/allowlist/check?address={address}")).json().get("allowed"))

    async with working(settings):
        await processes.until(partial(allows, cancelled))
        first = await serial()
        for case, seconds in ((suspended, 3), (cancelled, 5)):
            answer = await cases.decide(officer, case, "suspend", **WHY, effective_at=within(seconds=seconds))
            assert answer.status_code == 201, answer.text
            seen = await read(pseb, case)
            assert (seen["status"], seen["notice"]["action"]) == ("approved", "suspend")
        stopped = await officer.post(f"/v1/review-decisions/{answer.json()['id']}/cancel")
        assert stopped.status_code == 200, stopped.text

        await processes.until(partial(has_status, pseb, short, "lapsed"))
        assert await allows(short)
        extended = await cases.decide(officer, await read(officer, short), "extend", expires_at=within(days=400))
        assert extended.status_code == 201, extended.text

        await processes.until(partial(has_status, pseb, suspended, "suspended"))

        async def is_off() -> bool:
            return not await allows(suspended)

        await processes.until(is_off)
        assert await serial() == first + 1  # neither the lapse nor the extension nor the cancellation made one
        await asyncio.sleep(3 * SWEEP_SECONDS)
        assert (await told(pseb, warned))[2:] == [("expiring", 7)]
        assert (await told(pseb, short))[-2:] == [("lapsed", None), ("extended", None)]
        for case in (kept, warned, short, cancelled):
            assert await has_status(pseb, case, "approved")
            assert await allows(case)
        assert await serial() == first + 1
