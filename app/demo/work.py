"""Work for the sample register: cases in every state that an officer meets, and a change of the list that is held."""

import asyncio
import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from rich.console import Console

from app.bulk_uploads.rules import COLUMNS
from app.core.database.engine import Database
from app.core.settings import Settings
from app.demo.loading import client_of, register
from app.demo.sample import Row, Sample, SampleUpload
from app.registrations import store
from app.registrations.rules import Status
from app.registrations.validity import GRACE
from app.uploader.client import ServiceClient
from app.uploader.progress import Progress

OFFICER, OTHER_OFFICER = "pta-officer-1", "pta-officer-2"
# by the beginning of their references, which a number follows; all are pseb's
CASES = {
    "new": 6,
    "overdue": 3,
    "contested": 2,
    "mismatch": 2,
    "outside": 2,
    "claimed": 1,
    "question": 2,
    "rejected": 2,
    "expiring": 3,
    "suspended": 2,
    "lapsed": 2,
    "renewed": 2,
    "moved": 1,
    "blocked": 5,
}
BLOCKED_AT = "ptcl"  # the operator of the reports that make an incident
OUTSIDE = "154.48.211"  # announced by an operator, and not of the country's allocations
OUTSIDE_OPERATOR = "transworld"
SUSPENDED_AT_ONCE = 250  # more than one in a hundred, so that the list waits for a second officer
SUSPENSION = {
    "action": "suspend",
    "reason_codes": ["certificate_expired"],
    "legal_basis": "Registration procedure, section 9",
}
APPROVAL = (Status.SUBMITTED, {"action": "approve"})
# of the cases of a name: the status in which each decision is taken
DECISIONS: Mapping[str, Sequence[tuple[Status, Mapping[str, Any]]]] = {
    "question": [
        (
            Status.SUBMITTED,
            {
                "action": "request_information",
                "reason_codes": ["document_missing"],
                "note": "The operator's letter is missing.",
            },
        )
    ],
    "rejected": [(Status.SUBMITTED, {"action": "reject", "reason_codes": ["subscriber_unknown"]})],
    "expiring": [APPROVAL],
    "suspended": [APPROVAL, (Status.APPROVED, SUSPENSION)],
    **{name: [APPROVAL] for name in ("lapsed", "renewed", "moved", "blocked")},
}
# of a case, submitted again by the case that replaces it
SUBMITTED = ("applicant_id", "track", "purpose", "protocol", "operator", "subscriber_id", "networks", "reference")
TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.2


def work_files(sample: Sample) -> Iterator[tuple[SampleUpload, bytes]]:
    """Yield the uploads with the cases, on addresses that no earlier upload of the sample has."""
    cases = [(f"{name}-{i + 1}", name) for name, count in CASES.items() for i in range(count)]
    upload = SampleUpload("work", "pseb", "company", "vpn_company", len(cases), len(cases))
    rows = [_row(sample, upload, reference, name) for reference, name in cases]
    yield upload, _csv(rows)
    contested = [row for row in rows if row["reference"].startswith("contested")]
    other = SampleUpload("contested", "pasha", "company", "vpn_company", len(contested), len(contested))
    yield other, _csv([{**sample.row(other), **_claim_to(row)} for row in contested])


def _row(sample: Sample, upload: SampleUpload, reference: str, name: str) -> Row:
    row = {**sample.row(upload), "reference": reference}
    while name == "blocked" and row["operator"] != BLOCKED_AT:
        row = {**sample.row(upload), "reference": reference}
    if name == "outside":
        row |= {"networks": f"{OUTSIDE}.{reference[-1]}", "operator": OUTSIDE_OPERATOR}
    if name == "mismatch":
        row["operator"] = "nayatel" if row["operator"] != "nayatel" else "ptcl"
    return row


def _claim_to(row: Row) -> Row:
    return {name: row[name] for name in ("reference", "networks", "operator")}


def _csv(rows: list[Row]) -> bytes:
    text = io.StringIO(newline="")
    out = csv.DictWriter(text, COLUMNS, restval="")
    out.writeheader()
    out.writerows(rows)
    return text.getvalue().encode()


def load_work(
    settings: Settings,
    clients: Mapping[str, Mapping[str, str]],
    console: Console,
    *,
    suspended_at_once: int = SUSPENDED_AT_ONCE,
) -> None:
    """Submit the cases and decide some of them, then suspend so many registrations at once that the list waits.

    It can be repeated after an interruption. Raises ``TimeoutError`` when no change of the list is held.
    """
    url = settings.public_url
    sample = Sample()
    list(sample.files())  # takes the addresses of the register
    with Progress(console) as progress:
        for upload, body in work_files(sample):
            register(url, clients, upload, body, progress)
    with client_of(url, clients[OFFICER]) as officer, client_of(url, clients[OTHER_OFFICER]) as other:
        for name, count in CASES.items():
            for number in range(1, count + 1):
                _decide(officer, f"{name}-{number}")
        claimed, etag = _read(other, "claimed-1")
        if claimed["status"] == Status.SUBMITTED:
            other.post(f"/v1/registrations/{claimed['id']}/claim", {"If-Match": etag})
        overdue = [UUID(_read(officer, f"overdue-{number + 1}")[0]["id"]) for number in range(CASES["overdue"])]
        asyncio.run(_submit_earlier(settings, overdue))
        lapsed = [UUID(_read(officer, f"lapsed-{number + 1}")[0]["id"]) for number in range(CASES["lapsed"])]
        asyncio.run(_approve_earlier(settings, lapsed))
        with client_of(url, clients["pseb"]) as association:
            _replace_cases(association, officer, sample)
            _report_blocked(association, officer)
        _suspend_many(officer, suspended_at_once)


def _read(officer: ServiceClient, reference: str) -> tuple[Any, str]:
    """Return the first case of a reference, and its ``ETag``."""
    case = officer.get(f"/v1/registrations?reference={reference}&limit=1").json()["items"][0]
    return case, f'"{case["version"]}"'


def _decide(officer: ServiceClient, reference: str) -> None:
    """Take the decisions that bring a case to its state, as far as they are not taken yet."""
    name, _, number = reference.partition("-")
    for status, decision in DECISIONS.get(name, ()):
        case, etag = _read(officer, reference)
        if case["status"] == status:
            body = {"registration_id": case["id"], **decision}
            if name == "expiring":
                body["expires_at"] = (datetime.now(UTC) + timedelta(days=2 * int(number))).isoformat()
            officer.post("/v1/review-decisions", {"If-Match": etag}, json=body)


async def _submit_earlier(settings: Settings, ids: Sequence[UUID]) -> None:
    """Make cases overdue, each by one more day than the one before."""
    database = Database(settings)
    async with database.transaction() as tx:
        for days, id_ in enumerate(ids, 1):
            due = datetime.now(UTC) - timedelta(days=days)
            await store.update_cases(tx, [id_], {"submitted_at": due - timedelta(hours=48), "due_at": due})
    await database.close()


async def _approve_earlier(settings: Settings, ids: Sequence[UUID]) -> None:
    """Make approvals end some days ago, so that they are in their grace period."""
    database = Database(settings)
    async with database.transaction() as tx:
        ended = await tx.now() - timedelta(days=3)
        await store.update_cases(tx, ids, {"expires_at": ended, "ends_at": ended + GRACE})
    await database.close()


def _replace_cases(association: ServiceClient, officer: ServiceClient, sample: Sample) -> None:
    """Renew cases as they are, and move others to a new address; both lines stay on the list for a day."""
    for name in ("renewed", "moved"):
        for number in range(1, CASES[name] + 1):
            case, _ = _read(officer, f"{name}-{number}")
            if case["replaces"] or case["replaced_by"]:
                continue
            body = {each: case[each] for each in SUBMITTED if case[each] is not None} | {"replaces": case["id"]}
            if name == "moved":
                body["networks"] = [_other_address(sample, case["operator"])]
            made = association.post("/v1/registrations", json=body)
            approval = {"registration_id": made["id"], "action": "approve"}
            officer.post("/v1/review-decisions", {"If-Match": f'"{made["version"]}"'}, json=approval)


def _other_address(sample: Sample, operator: str) -> str:
    upload = SampleUpload("moved", "pseb", "company", "vpn_company", 1, 1)
    row = sample.row(upload)
    while row["operator"] != operator:
        row = sample.row(upload)
    return row["networks"]


def _report_blocked(association: ServiceClient, officer: ServiceClient) -> None:
    """Report the addresses of different registrants as blocked at one operator, which makes an incident."""
    if association.get("/v1/disruption-reports?limit=1").json()["items"]:
        return
    for number in range(1, CASES["blocked"] + 1):
        case, _ = _read(officer, f"blocked-{number}")
        address = case["networks"][0].partition("/")[0]
        _wait_until(partial(_is_allowed, officer, address), "An approved address is not on the list")
        report = {"address": address, "observed_from": datetime.now(UTC).isoformat(), "symptom": "no_connection"}
        association.post("/v1/disruption-reports", json=report)


def _is_allowed(officer: ServiceClient, address: str) -> bool:
    return bool(officer.get(f"/v1/allowlist/check?address={address}").json()["allowed"])


def _wait_until(is_done: Callable[[], object], complaint: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{complaint}; see the worker's log.")
        time.sleep(POLL_SECONDS)


def _suspend_many(officer: ServiceClient, count: int) -> None:
    """Suspend registrations at once, and return when the change of the list is held."""
    if not _held(officer):
        oldest = officer.get(f"/v1/registrations?status=approved&limit={count}").json()["items"]
        selection = {"registration_ids": [each["id"] for each in oldest]}
        officer.post("/v1/review-decisions/batch", json={"selection": selection, **SUSPENSION})
    _wait_until(lambda: _held(officer), "No change of the list is held")


def _held(officer: ServiceClient) -> Any:
    return officer.get("/v1/allowlist/held?released=false&limit=1").json()["items"]
