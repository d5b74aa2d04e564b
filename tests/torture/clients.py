"""Partners' systems: each uploads, registers, withdraws or decides, and records the acknowledgements."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, Queue
from random import Random
from typing import Any
from uuid import UUID

import httpx

from app.bulk_uploads.rules import RowOutcome
from app.uploader import upload as uploading
from app.uploader.client import Refused, ServiceClient
from tests.support import cases as sound
from tests.support.service import Credentials
from tests.torture import files
from tests.torture.files import File
from tests.torture.journal import Case, CompletedUpload, Journal, acknowledges

REGISTRATIONS, DECISIONS = "/v1/registrations", "/v1/review-decisions"
MOVED_ON = (httpx.codes.CONFLICT, httpx.codes.PRECONDITION_FAILED)
SHARE_OF_FILES = 0.3
AT_ONCE = (1, 1, 1, 6)
STUCK_SECONDS = 120
FIRST_VERSION, AFTER_APPROVAL = '"1"', '"2"'
REVOCATION = {"action": "revoke", "reason_codes": ["misuse"], "legal_basis": "Section 9"}
EXTENSION = {"action": "extend", "expires_at": "2090-01-01T00:00:00Z"}
DETAILS = ("applicant_id", "track", "purpose", "protocol", "operator", "subscriber_id")


@dataclass(frozen=True)
class Work:
    """The cases to decide: those of an upload, or one case."""

    cases: list[Case]
    upload_id: str | None = None


def _key(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128)))


@contextmanager
def connected(url: str, who: Credentials, journal: Journal, lost: float = 0.0) -> Iterator[ServiceClient]:
    """Yield the uploader's client, which retries; the journal records every response and every retry.

    Of the answers that acknowledge a write, the share ``lost`` does not arrive, as if the connection broke just then.
    """
    random = Random(who.client_id)

    def arrives(answer: httpx.Response) -> None:
        if acknowledges(answer) and random.random() < lost:
            journal.count("answers lost on purpose")
            raise httpx.ReadError("the connection is lost", request=answer.request)
        journal.answered(answer)

    login = (who.client_id, who.client_secret)
    with ServiceClient(url, login, on_retry=lambda _: journal.count("requests sent again")) as client:
        client._http.event_hooks = {"response": [arrives]}
        yield client


class Stuck(Exception):
    """An upload that makes no progress although nothing is killed any more."""


class _Progress:
    """Progress of an upload, with a complaint when it goes back.

    Raises ``Stuck`` when it has stood still for ``STUCK_SECONDS`` since the last kill.
    """

    def __init__(self, journal: Journal, *, may_begin_again: bool) -> None:
        self._journal = journal
        self._may_begin_again = may_begin_again
        self._done = 0
        self._moved = time.monotonic()

    def show_sent(self, name: str, done: int, total: int) -> None:
        """Ignore bytes that are being sent."""

    def print(self, message: str) -> None:
        """A kill is an outage, and no internal error that an upload has to be told."""
        self._journal.complain(message)

    def show_rows(self, name: str, done: int, _: int | None) -> None:
        """Record that so many rows are done."""
        if done < self._done and not self._may_begin_again:
            self._journal.complain(f"{name} had {self._done} rows done, and then {done}")
        if done != self._done:
            self._done, self._moved = done, time.monotonic()
        elif time.monotonic() - max(self._moved, self._journal.peace_since) > STUCK_SECONDS:
            raise Stuck(f"{name} stands at {done} rows")


class Association:
    """Registers addresses, by file and one by one, withdraws some, and renews or moves some that are approved."""

    def __init__(
        self,
        client: ServiceClient,
        partner: str,
        journal: Journal,
        work: "Queue[Work]",
        approved: "Queue[Case]",
        random: Random,
    ) -> None:
        self._client = client
        self._partner = partner
        self._name = f"{partner}-{random.getrandbits(32):08x}"
        self._journal = journal
        self._work = work
        self._approved = approved
        self._random = random
        self._turns = 0

    def turn(self) -> None:
        """Send one file, register one applicant, or replace one approved registration."""
        self._turns += 1
        with suppress(Empty):
            self._replace(self._approved.get_nowait())
        if self._random.random() < SHARE_OF_FILES:
            self._send_a_file(f"{self._name}-{self._turns}")
        else:
            self._register(f"{self._name}-{self._turns}")

    def _send_a_file(self, name: str) -> None:
        file = files.file(self._random, name)
        if self._random.random() < 0.2:
            self._upload(file, RowOutcome.CREATED, dry_run=True)
        told = self._upload(file, RowOutcome.CREATED)
        made = self._journal.keep_cases(self._partner, file.lines, told.cases)
        if self._random.random() < 0.2:
            again = self._upload(file, RowOutcome.UNCHANGED)
            if again.cases != told.cases:
                self._journal.complain(f"{name}, sent again, led to other registrations")
        if self._random.random() < 0.5:
            self._work.put(Work(made, told.upload["id"]))

    def _upload(self, file: File, taken_as: RowOutcome, *, dry_run: bool = False) -> CompletedUpload:
        """Send a file, now and then twice under one key, follow it to its end and read what became of its rows."""
        progress: Any = _Progress(self._journal, may_begin_again=dry_run)
        key = _key(self._random)
        sent = uploading.send(self._client, file.source, progress, dry_run=dry_run, key=key)
        if self._random.random() < 0.3:
            again = uploading.send(self._client, file.source, progress, dry_run=dry_run, key=key)
            self._check_same(sent, again)
        upload = uploading.follow(self._client, sent, progress, file.source.name)
        rows = self._client.get(f"{uploading.UPLOADS}/{upload['id']}/rows?limit=500").json()["items"]
        told = CompletedUpload(upload, file, taken_as, {each["line"]: each["registration_id"] for each in rows})
        self._check_outcomes(told, Counter(each["outcome"] for each in rows))
        self._journal.told.append(told)
        return told

    def _check_outcomes(self, told: CompletedUpload, outcomes: Counter[str]) -> None:
        """Check that a completed upload has the expected outcome of each of its rows."""
        counts = told.file.counts(told.taken_as)
        given = told.upload["counts"]
        if told.upload["status"] != "completed" or given != {**counts, "unchanged_not_in_force": 0}:
            self._journal.complain(f"{told.file.source.name} ended as {told.upload}, and should count {counts}")
        if {**counts, **outcomes, "total": outcomes.total()} != counts:
            self._journal.complain(f"{told.file.source.name} said that it was done, and its rows were {outcomes}")

    def _check_same(self, first: Any, again: Any) -> None:
        self._journal.count("keys used twice on purpose")
        if first != again:
            self._journal.complain(f"a key gave two answers: {first} and {again}")

    def _register(self, name: str) -> None:
        """Register addresses of an applicant, mostly one, now and then several at once."""
        details = sound.company()
        applicant = self._post("/v1/applicants", details)
        self._journal.know(self._partner, details["ntn"])
        count = self._random.choice(AT_ONCE)
        # without a reference, nothing but the key tells a repeat from another registration
        references = [f"{name}-{i}" if self._random.random() < 0.5 else None for i in range(count)]
        networks = [files.address() for _ in range(count)]
        asked = [
            sound.registration(applicant["id"], networks=[network], reference=reference)
            for network, reference in zip(networks, references, strict=True)
        ]
        with ThreadPoolExecutor(count) as at_once:
            made = list(at_once.map(partial(self._post, REGISTRATIONS), asked))
        for each, network, reference in zip(made, networks, references, strict=True):
            self._continue_with(Case(each["id"], self._partner, f"{network}/32", reference))

    def _continue_with(self, case: Case) -> None:
        self._journal.cases.append(case)
        if self._random.random() < 0.3:
            self._withdraw(case)
        elif self._random.random() < 0.7:
            self._work.put(Work([case]))

    def _replace(self, case: Case) -> None:
        """Submit a registration that replaces one: with its network, or with another in its place at once."""
        known = self._client.get(f"{REGISTRATIONS}/{case.id}").json()
        network = case.network if self._random.random() < 0.5 else f"{files.address()}/32"
        body = {name: known[name] for name in DETAILS if known[name] is not None}
        body |= {"networks": [network], "replaces": case.id, "handover_hours": 0}
        made = self._post(REGISTRATIONS, body)
        successor = Case(made["id"], self._partner, network, None, replaces=case)
        self._journal.cases.append(successor)
        self._work.put(Work([successor]))

    def _post(self, path: str, body: Any) -> Any:
        """Send a POST, now and then twice with one idempotency key, and return what it created."""
        key = {"Idempotency-Key": _key(self._random)}
        made = self._client.post(path, key, json=body)
        if self._random.random() < 0.3:
            self._check_same(made, self._client.post(path, key, json=body))
        return made

    def _withdraw(self, case: Case) -> None:
        """Withdraw a case, without a key: a client that lost the response gets a conflict, and reads the case."""
        path = f"{REGISTRATIONS}/{case.id}"
        try:
            status = self._client.post(f"{path}/withdraw", {"If-Match": FIRST_VERSION})["status"]
        except Refused as refused:
            if refused.status not in MOVED_ON:
                raise
            status = self._client.get(path).json()["status"]
        if status != "withdrawn":
            self._journal.complain(f"{case.id} was withdrawn and is {status}")
        case.moves.append("withdraw")


class Officer:
    """Approves cases, those of an upload in one batch, and revokes or extends some single approvals.

    Some of the others are for their partners to replace: ``approved`` has a queue for each.
    """

    def __init__(
        self,
        client: ServiceClient,
        journal: Journal,
        work: "Queue[Work]",
        approved: "Mapping[str, Queue[Case]]",
        random: Random,
    ) -> None:
        self._client = client
        self._journal = journal
        self._work = work
        self._approved = approved
        self._random = random

    def turn(self) -> None:
        """Decide the next piece of work, if there is one."""
        try:
            work = self._work.get(timeout=0.2)
        except Empty:
            return
        if work.upload_id:
            self._approve_upload(work)
        else:
            self._decide(work.cases[0])

    def _approve_upload(self, work: Work) -> None:
        selection = {"bulk_upload_id": work.upload_id, "status": "submitted"}
        decision = {"selection": selection, "action": "approve", "including_flags": ["operator_prefix_mismatch"]}
        answer = self._client.post(f"{DECISIONS}/batch", json=decision)
        count = len(work.cases)
        if answer["counts"] != {"selected": count, "decided": count, "refused": 0}:
            self._journal.complain(f"{count} cases were to be approved, and the answer was {answer}")
        for case in work.cases:
            case.moves.append("approve")

    def _decide(self, case: Case) -> None:
        asked: dict[str, Any] = {"registration_id": case.id}
        self._client.post(DECISIONS, {"If-Match": FIRST_VERSION}, json={**asked, "action": "approve"})
        case.moves.append("approve")
        if case.replaces:
            case.replaces.moves.append("supersede")
            case.replaces.handed_over_to = case.network
        chance = self._random.random()
        if chance < 0.3:
            self._client.post(DECISIONS, {"If-Match": AFTER_APPROVAL}, json={**asked, **REVOCATION})
            case.moves.append("revoke")
        elif chance < 0.5:
            self._client.post(DECISIONS, {"If-Match": AFTER_APPROVAL}, json={**asked, **EXTENSION})
            case.moves.append("extend")
        elif chance < 0.8:
            self._approved[case.partner].put(case)

    def release_held(self) -> None:
        """Release the changes that are held because they were many at once."""
        for held in self._client.get("/v1/allowlist/held?released=false").json()["items"]:
            self._client.post(f"/v1/allowlist/held/{held['id']}/release")
