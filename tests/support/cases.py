"""Valid applicants and registrations, and the steps that many tests begin with."""

from itertools import count
from typing import Any

import httpx

from tests.support.service import Caller

# two /18 of Nayatel's: the first two numbers of their addresses, and where the third begins
BLOCKS = (("115.186", 128), ("101.50", 64))
_numbers = count(1)


def company(**changes: Any) -> dict[str, Any]:
    """Return the details of a new company."""
    n = next(_numbers)
    details = {
        "kind": "company",
        "legal_name": f"Indus Softworks {n} (Pvt) Ltd",
        "ntn": f"{n:07d}-{n % 10}",
        "email": f"it{n}@indus{n}.example.pk",
        "mobile": "+923001234567",
    }
    return {name: value for name, value in {**details, **changes}.items() if value is not None}


def individual(**changes: Any) -> dict[str, Any]:
    """Return the details of a new freelancer."""
    n = next(_numbers)
    details = {
        "kind": "individual",
        "legal_name": f"Ayesha Khan {n}",
        "cnic": f"90001-{n:07d}-1",
        "email": f"person{n}@example.com",
    }
    return {name: value for name, value in {**details, **changes}.items() if value is not None}


def address() -> str:
    """Return an unregistered address that Nayatel announces."""
    n = next(_numbers)
    block, start = BLOCKS[n // 16_000 % len(BLOCKS)]
    return f"{block}.{start + n // 250 % 64}.{n % 250 + 1}"


def registration(applicant_id: str, **changes: Any) -> dict[str, Any]:
    """Return the body of a valid registration of an unregistered address."""
    details = {
        "applicant_id": applicant_id,
        "track": "vpn_company",
        "purpose": "it_services",
        "protocol": "wireguard",
        "operator": "nayatel",
        "networks": [address()],
    }
    return {name: value for name, value in {**details, **changes}.items() if value is not None}


async def submitted(caller: Caller, applicant: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Submit a registration for the caller, and return it as it is read later."""
    case, _ = await with_receipt(caller, applicant, **changes)
    return case


async def with_receipt(
    caller: Caller, applicant: dict[str, Any] | None = None, **changes: Any
) -> tuple[dict[str, Any], str]:
    """Submit a registration for the caller, and return it and its receipt."""
    made = await caller.post("/v1/applicants", json=applicant or company())
    assert made.status_code in (200, 201), made.text
    answer = await caller.post("/v1/registrations", json=registration(made.json()["id"], **changes))
    assert answer.status_code == 201, answer.text
    return without_receipt(answer), answer.json()["receipt"]


def without_receipt(answer: httpx.Response) -> dict[str, Any]:
    """Return the new case of a response as it is read later."""
    case: dict[str, Any] = answer.json()
    assert case.pop("receipt", "PK-").startswith("PK-")
    return case


def content(case: dict[str, Any]) -> dict[str, Any]:
    """Return what the details of every event of a case have of it."""
    return {name: case[name] for name in ("networks", "reference", "operator")}


async def decide(officer: Caller, case: dict[str, Any], action: str, **verdict: Any) -> httpx.Response:
    """Decide a case at the version that was read."""
    body = {"registration_id": case["id"], "action": action, **verdict}
    return await officer.post("/v1/review-decisions", json=body, headers={"If-Match": f'"{case["version"]}"'})


async def approved(
    caller: Caller, officer: Caller, applicant: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """Submit a registration for the caller, approve it, and return it."""
    case = await submitted(caller, applicant, **changes)
    answer = await decide(officer, case, "approve")
    assert answer.status_code == 201, answer.text
    read: dict[str, Any] = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    return read


def codes(answer: httpx.Response) -> dict[str, str]:
    """Return the code of each field error of a problem, by pointer."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return {error["pointer"]: error["code"] for error in answer.json()["errors"]}
