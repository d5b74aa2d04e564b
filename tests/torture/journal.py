"""Acknowledgements that clients got, and the facts that the register must have at the end because of them."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

import httpx

from app.bulk_uploads.rules import RowOutcome
from tests.torture.files import File, Line

Fact = tuple[Any, ...]
"""A kind and its values; the register has each fact once."""

STATUS_AFTER = {
    "approve": "approved",
    "extend": "approved",
    "revoke": "revoked",
    "supersede": "superseded",
    "withdraw": "withdrawn",
}
EVENT_OF = {**STATUS_AFTER, "extend": "extended"}
DECISIONS = ("approve", "extend", "revoke")


@dataclass
class Case:
    """An acknowledged registration, and its acknowledged changes; ``replaces`` is the one that it is to supersede."""

    id: str
    partner: str
    network: str
    reference: str | None
    moves: list[str] = field(default_factory=list)
    replaces: "Case | None" = None
    handed_over_to: str | None = None  # the network of the case that superseded it

    @property
    def status(self) -> str:
        """The status after the moves."""
        return STATUS_AFTER[self.moves[-1]] if self.moves else "submitted"

    def facts(self) -> Iterator[Fact]:
        """Yield the registration, its events, decisions and entry, and its network on the list."""
        yield "registration", self.id, self.partner, self.network, self.reference, self.status
        yield "event", "registration.submitted", self.id
        for move in self.moves:
            yield "event", f"registration.{EVENT_OF[move]}", self.id
            if move in DECISIONS:
                yield "decision", self.id, move
        if "approve" in self.moves and self.handed_over_to != self.network:
            yield "entry", self.network, self.status == "approved"
        if self.status == "approved":
            yield "network on the list", self.network


@dataclass
class CompletedUpload:
    """A completed upload as its sender read it, and the case of each of its rows."""

    upload: dict[str, Any]
    file: File
    taken_as: RowOutcome
    cases: dict[int, str | None]

    def facts(self) -> Iterator[Fact]:
        """Yield the upload with the counts of its file, its events and the outcome of each row."""
        id_, completed = self.upload["id"], datetime.fromisoformat(self.upload["completed_at"])
        counts = self.file.counts(self.taken_as)
        yield "upload", id_, "completed", self.upload["version"], completed, *(counts[name] for name in sorted(counts))
        yield "event", "bulk_upload.received", id_
        yield "event", "bulk_upload.completed", id_
        for each in self.file.lines:
            outcome = self.taken_as if each.is_sound else RowOutcome.REFUSED
            yield "row", id_, each.line, str(outcome), each.reference, self.cases[each.line]


def acknowledges(answer: httpx.Response) -> bool:
    """Return whether a response acknowledges a write."""
    is_write = answer.request.method == "POST" and answer.request.url.path != "/oauth/token"
    return is_write and answer.is_success


class Journal:
    """Acknowledgements and complaints, recorded by many threads.

    ``peace_since`` is when the last kill was, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.told: list[CompletedUpload] = []
        self.cases: list[Case] = []
        self.applicants: set[tuple[str, str]] = set()
        self.complaints: list[str] = []
        self.answers: Counter[str] = Counter()
        self.peace_since = math.inf
        self._lock = Lock()

    def count(self, what: str) -> None:
        """Count one more of something."""
        with self._lock:
            self.answers[what] += 1

    def answered(self, answer: httpx.Response) -> None:
        """Record a response."""
        if answer.headers.get("Idempotency-Replayed"):
            self.count("answers given again")
        elif acknowledges(answer):
            self.count("writes acknowledged")
        if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
            self.complain(f"{answer.request.method} {answer.url.path} was answered 500")

    def complain(self, about: str) -> None:
        """Record what no client may experience, whatever is killed."""
        with self._lock:
            self.complaints.append(about)

    def know(self, partner: str, ntn: str) -> None:
        """Record an applicant that was created or found."""
        with self._lock:
            self.applicants.add((partner, ntn))

    def keep_cases(self, partner: str, lines: list[Line], ids: dict[int, str | None]) -> list[Case]:
        """Record the registrations and applicants of an upload's valid rows."""
        made = [Case(str(ids[each.line]), partner, each.network, each.reference) for each in lines if each.is_sound]
        for each in lines:
            if each.is_sound:
                self.know(partner, each.ntn)
        self.cases.extend(made)
        return made

    def facts(self) -> Counter[Fact]:
        """Return every fact that the register must have, once each."""
        expected: Counter[Fact] = Counter()
        for told in self.told:
            expected.update(told.facts())
        for case in self.cases:
            expected.update(case.facts())
        for partner, ntn in self.applicants:
            expected.update([("applicant", partner, ntn), ("event", "applicant.created", ntn)])
        return expected
