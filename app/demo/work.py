"""Work for the sample register: cases in every state that an officer meets, and a change of the list that is held."""

import asyncio
import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
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
}
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
}
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


def _suspend_many(officer: ServiceClient, count: int) -> None:
    """Suspend registrations at once, and return when the change of the list is held."""
    if not _held(officer):
        oldest = officer.get(f"/v1/registrations?status=approved&limit={count}").json()["items"]
        selection = {"registration_ids": [each["id"] for each in oldest]}
        officer.post("/v1/review-decisions/batch", json={"selection": selection, **SUSPENSION})
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not _held(officer):
        if time.monotonic() > deadline:
            raise TimeoutError("No change of the list is held; see the worker's log.")
        time.sleep(POLL_SECONDS)


def _held(officer: ServiceClient) -> Any:
    return officer.get("/v1/allowlist/held?released=false&limit=1").json()["items"]
