"""Rules of disruption reports: verdicts, clocks, and incidents. Pure functions of values."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from app.enforcers.rules import EnforcerState
from app.standing.rules import RegisteredCase, Standing, State


class Symptom(StrEnum):
    """What is seen of a disruption."""

    NO_CONNECTION = "no_connection"
    SLOW = "slow"
    INTERMITTENT = "intermittent"
    PROTOCOL_BLOCKED = "protocol_blocked"


class Verdict(StrEnum):
    """What the register knows of the address at the time of the disruption."""

    NOT_REGISTERED = "not_registered"
    NOT_IN_FORCE = "not_in_force"
    NEWLY_IN_FORCE = "newly_in_force"
    OPERATOR_BEHIND = "operator_behind"
    OPERATOR_DIVERGED = "operator_diverged"
    IN_FORCE = "in_force"


class ReportStatus(StrEnum):
    """The status of a report; an answered one bothers no operator."""

    ANSWERED = "answered"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Finding(StrEnum):
    """What the operator found."""

    FIXED = "fixed"
    WAS_BEHIND = "was_behind"
    NOT_OURS = "not_ours"
    CANNOT_REPRODUCE = "cannot_reproduce"
    UPSTREAM = "upstream"


ANSWERED_AT_ONCE = frozenset((Verdict.NOT_REGISTERED, Verdict.NOT_IN_FORCE))
PENDING = frozenset((ReportStatus.OPEN, ReportStatus.ACKNOWLEDGED))  # at the operator
DUE_AFTER = timedelta(hours=4)
REOPENED_WITHIN = timedelta(hours=72)
OLDEST = timedelta(days=30)  # of ``observed_from``: the states of enforcers are kept as long
CLOCK_TOLERANCE = timedelta(minutes=5)  # of a reporter's clock, ahead of the register's
MAX_PENDING = 1_000  # reports of one partner
MAX_BY_RECEIPT = 20  # reports of one case by its receipt within a day
INCIDENT_WINDOW = timedelta(minutes=15)
INCIDENT_SUBJECTS = 5
INCIDENT_OPERATORS = 3


class Judgement(NamedTuple):
    """A verdict with the case that it rests on, and the reason and the time of that case's standing."""

    verdict: Verdict
    case: RegisteredCase | None = None
    reason: str | None = None
    since: datetime | None = None


_BETTER = (State.NOT_IN_FORCE, State.PENDING, State.IN_FORCE)


def best_case(standings: Iterable[tuple[RegisteredCase, Standing]]) -> tuple[RegisteredCase, Standing] | None:
    """Return the case that speaks for an address: one in force before one that waits, and of equals the newest."""

    def rank(found: tuple[RegisteredCase, Standing]) -> tuple[int, float, UUID]:
        case, standing = found
        return _BETTER.index(standing.state), standing.since.timestamp() if standing.since else 0.0, case.id

    return max(standings, key=rank, default=None)


def judge(
    found: tuple[RegisteredCase, Standing] | None, operator: EnforcerState | None, *, was_listed: bool
) -> Judgement:
    """Return the verdict on an address at a moment.

    ``found`` is the reporter's case of the address with its standing then, None without one. ``operator`` is what the
    operator's enforcers said then, None when they said nothing. ``was_listed`` is true for an address that was on the
    list already so long before that no enforcer should lack it (``BEHIND_AFTER``).
    """
    if found is None:
        return Judgement(Verdict.NOT_REGISTERED)
    case, standing = found
    if standing.state != State.IN_FORCE:
        return Judgement(Verdict.NOT_IN_FORCE, case, standing.reason, standing.since)
    verdict = Verdict.IN_FORCE
    if operator == EnforcerState.DIVERGED:
        verdict = Verdict.OPERATOR_DIVERGED
    elif operator == EnforcerState.BEHIND:
        verdict = Verdict.OPERATOR_BEHIND
    elif not was_listed:
        verdict = Verdict.NEWLY_IN_FORCE
    return Judgement(verdict, case, standing.reason, standing.since)


def status_after(verdict: Verdict) -> ReportStatus:
    """Return the status of a new report with this verdict."""
    return ReportStatus.ANSWERED if verdict in ANSWERED_AT_ONCE else ReportStatus.OPEN


class PendingReport(NamedTuple):
    """A report that is at an operator and part of no incident, as ``find_incidents`` takes it.

    ``subject`` tells whose address it is of, without saying who that is.
    """

    id: UUID
    subject: str
    operator: str
    reported_at: datetime
    observed_from: datetime


class NewIncident(NamedTuple):
    """The reports that make an incident, which began with the first disruption among them."""

    operators: tuple[str, ...]
    began_at: datetime
    last_report_at: datetime
    report_ids: tuple[UUID, ...]


def find_incidents(reports: Iterable[PendingReport]) -> list[NewIncident]:
    """Return the incidents among reports: five of five subjects within 15 minutes.

    All are at one operator, or at three operators or more. A report is part of one incident at most.
    """
    by_operator: dict[str, list[PendingReport]] = defaultdict(list)
    for each in sorted(reports, key=lambda report: (report.reported_at, report.id)):
        by_operator[each.operator].append(each)
    found: list[NewIncident] = []
    rest: list[PendingReport] = []
    for _, own in sorted(by_operator.items()):
        clusters, others = _clusters(own, operators=1)
        found += clusters
        rest += others
    clusters, _ = _clusters(sorted(rest, key=lambda report: (report.reported_at, report.id)), INCIDENT_OPERATORS)
    return found + clusters


def _clusters(reports: Sequence[PendingReport], operators: int) -> tuple[list[NewIncident], list[PendingReport]]:
    """Return the incidents at ``operators`` operators or more among reports in order of time, and the other reports."""
    clusters: list[NewIncident] = []
    others: list[PendingReport] = []
    start = 0
    while start < len(reports):
        window = list(_within(reports, start))
        subjects, at = {each.subject for each in window}, {each.operator for each in window}
        if len(subjects) >= INCIDENT_SUBJECTS and len(at) >= operators:
            began_at = min(each.observed_from for each in window)
            ids = tuple(each.id for each in window)
            clusters.append(NewIncident(tuple(sorted(at)), began_at, window[-1].reported_at, ids))
            start += len(window)
        else:
            others.append(reports[start])
            start += 1
    return clusters, others


def _within(reports: Sequence[PendingReport], start: int) -> Iterator[PendingReport]:
    for each in reports[start:]:
        if each.reported_at - reports[start].reported_at > INCIDENT_WINDOW:
            return
        yield each
