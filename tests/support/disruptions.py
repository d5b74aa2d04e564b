"""Disruption reports as a test sends them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.disruptions import service as disruptions
from tests.support import cases
from tests.support.service import Caller, Service

REPORTS = "/v1/disruption-reports"
LATER = timedelta(minutes=10)  # than which no operator needs to load a list


def address_of(case: dict[str, Any]) -> str:
    """Return the first address of a case."""
    network: str = case["networks"][0]
    return network.partition("/")[0]


def body_of(address: str, *, offset: timedelta = timedelta(0), **changes: Any) -> dict[str, Any]:
    """Return the body of a report of an address, as of now by a clock that is moved by ``offset``."""
    observed = (datetime.now(UTC) + offset).isoformat()
    return {"address": address, "observed_from": observed, "symptom": "no_connection", **changes}


async def sent(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """Send a report with the caller's token, and return it."""
    return made(await caller.post(REPORTS, json=body))


async def sent_by_receipt(service: Service, receipt: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a report with a receipt and no token, and return it."""
    return made(await service.http.post(REPORTS, json={**body, "receipt": receipt}))


def made(answer: httpx.Response) -> dict[str, Any]:
    """Return a new report."""
    assert answer.status_code == 201, answer.text
    report: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"{REPORTS}/{report['id']}"
    return report


async def in_force(service: Service, caller: Caller, officer: Caller, **changes: Any) -> dict[str, Any]:
    """Have a case approved and published, so long ago that every operator has it, and return it."""
    case = await cases.approved(caller, officer, **changes)
    await service.publish()
    await service.move_clock(LATER)
    return case


async def opened(service: Service, caller: Caller, officer: Caller, **changes: Any) -> dict[str, Any]:
    """Report a case in force, and return the report, which is at its operator."""
    case = await in_force(service, caller, officer, **changes)
    report = await sent(caller, body_of(address_of(case), offset=LATER))
    assert (report["verdict"], report["status"]) == ("in_force", "open")
    return report


async def act(caller: Caller, report: dict[str, Any], action: str, body: Any = None, **headers: str) -> httpx.Response:
    """Acknowledge, close or open again a report at the version that was read."""
    match = {"If-Match": f'"{report["version"]}"', **headers}
    return await caller.post(f"{REPORTS}/{report['id']}/{action}", json=body, headers=match)


async def sweep(service: Service) -> None:
    """Run the worker's sweep once."""
    await disruptions.sweep(service.database)
