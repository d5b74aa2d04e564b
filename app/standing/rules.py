"""Standing: in force, pending or not in force at a moment, since when, why and until when. Pure functions of values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from app.core.validation.networks import parse_canonical
from app.registrations.rules import LISTED, UNDER_REVIEW, Status


class State(StrEnum):
    """State of a case, or of one of its addresses."""

    IN_FORCE = "in_force"
    PENDING = "pending"
    NOT_IN_FORCE = "not_in_force"


class Reason(StrEnum):
    """The reason of a state."""

    LISTED = "listed"
    UNDER_REVIEW = "under_review"
    INFORMATION_REQUESTED = "information_requested"
    NOT_PUBLISHED = "not_published"
    NOT_SUBMITTED = "not_submitted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    SURRENDERED = "surrendered"


class NextStep(StrEnum):
    """The next step of the registrant."""

    NOTHING = "nothing"
    WAIT = "wait"
    ASK = "ask"
    ANSWER = "answer"
    CORRECT = "correct"
    RESOLVE = "resolve"
    RENEW = "renew"
    APPLY = "apply"
    USE_SUCCESSOR = "use_successor"


@dataclass(frozen=True, slots=True)
class Holding:
    """A network that a case was granted, and its time on the published list, ``[listed_from, listed_until)``.

    ``listed_from`` is None before it is published, ``listed_until`` while it is on the list. ``ended_by`` is the reason
    of its withdrawal. ``leaves_at`` is the end of a hand-over, after which it is withdrawn. A network that changed
    hands is a holding of each of its cases.
    """

    network: str
    granted_at: datetime
    listed_from: datetime | None
    withdrawn_at: datetime | None
    listed_until: datetime | None
    ended_by: str | None
    leaves_at: datetime | None = None

    def is_listed(self, moment: datetime) -> bool:
        """True while the network is on the list."""
        if self.listed_from is None or self.listed_from > moment:
            return False
        return self.listed_until is None or moment < self.listed_until

    def is_awaited(self, moment: datetime) -> bool:
        """True while the network is granted and not on the list yet."""
        is_granted = self.granted_at <= moment and (self.withdrawn_at is None or moment < self.withdrawn_at)
        return is_granted and (self.listed_from is None or moment < self.listed_from)

    @property
    def ended_at(self) -> datetime | None:
        """The end of its time on the list; of a network that was never on it, that of its grant."""
        return self.withdrawn_at if self.listed_from is None else self.listed_until

    def contains(self, position: int) -> bool:
        """True for an address, given as ``networks.to_integer``, of the network."""
        network = parse_canonical(self.network)
        return network.first <= position <= network.last


@dataclass(frozen=True, slots=True)
class Notice:
    """A suspension or revocation that is announced."""

    action: str
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class RegisteredCase:
    """A case, as far as its standing depends on it; ``decided_at`` and ``reason_codes`` are of the last decision.

    ``changed_at`` is the time of its last change. ``renewable_from`` and ``ends_at`` are None where none are set.
    """

    id: UUID
    partner_id: UUID
    status: str
    operator: str
    networks: Sequence[str]
    reason_codes: Sequence[str]
    first_submitted_at: datetime
    submitted_at: datetime
    due_at: datetime
    decided_at: datetime | None
    changed_at: datetime
    expires_at: datetime | None
    renewable_from: datetime | None = None
    ends_at: datetime | None = None
    notice: Notice | None = None

    def contains(self, position: int) -> bool:
        """True for an address, given as ``networks.to_integer``, of one of its networks."""
        found = map(parse_canonical, self.networks)
        return any(network.first <= position <= network.last for network in found)


class Standing(NamedTuple):
    """The state at a moment, within ``[since, until)`` as far as it is known; ``since`` is None before submission.

    ``in_step`` says of a state in force that the operator has loaded the list that has it; None when it is not known.
    """

    state: State
    reason: Reason
    since: datetime | None
    until: datetime | None
    next_step: NextStep
    in_step: bool | None = None


_STEPS = {
    Reason.LISTED: NextStep.NOTHING,
    Reason.UNDER_REVIEW: NextStep.WAIT,
    Reason.INFORMATION_REQUESTED: NextStep.ANSWER,
    Reason.NOT_PUBLISHED: NextStep.WAIT,
    Reason.NOT_SUBMITTED: NextStep.APPLY,
    Reason.REJECTED: NextStep.CORRECT,
    Reason.WITHDRAWN: NextStep.APPLY,
    Reason.SUSPENDED: NextStep.RESOLVE,
    Reason.REVOKED: NextStep.APPLY,
    Reason.EXPIRED: NextStep.RENEW,
    Reason.SUPERSEDED: NextStep.USE_SUCCESSOR,
    Reason.SURRENDERED: NextStep.APPLY,
}
_PENDING = (Reason.UNDER_REVIEW, Reason.INFORMATION_REQUESTED, Reason.NOT_PUBLISHED)


def standing(
    case: RegisteredCase,
    holdings: Sequence[Holding],
    moment: datetime,
    *,
    position: int | None = None,
    in_step: bool | None = None,
) -> Standing:
    """Return the standing of a case at a moment, past or present: of one address, or of the case with any network.

    ``holdings`` are all that the case ever had, with the times of the publications that added and removed them.
    ``position`` is an address as ``networks.to_integer``. ``in_step`` is what the operator's confirmations say.
    """
    own = [each for each in holdings if position is None or each.contains(position)]
    if any(each.is_listed(moment) for each in own):
        begin, end = _listed_around(own, moment)
        step = NextStep.RENEW if is_renewable(case, moment) else NextStep.NOTHING
        return Standing(State.IN_FORCE, Reason.LISTED, begin, end or _planned_end(case, own, moment), step, in_step)
    awaited = [each.granted_at for each in own if each.is_awaited(moment)]
    endings = [(each.ended_at, _ending(each)) for each in own if each.ended_at and each.ended_at <= moment]
    ended = max(endings, key=lambda each: each[0], default=None)
    reason, since = _unlisted(case, ended, moment)
    if awaited:
        reason, since = Reason.NOT_PUBLISHED, min(awaited)
    if ended and since:
        since = max(since, ended[0])
    state = State.PENDING if reason in _PENDING else State.NOT_IN_FORCE
    step = NextStep.ASK if is_overdue(case, moment) and reason == Reason.UNDER_REVIEW else _STEPS[reason]
    return Standing(state, reason, since, _next_listing(own, moment), step)


def is_overdue(case: RegisteredCase, moment: datetime) -> bool:
    """True for a case that should have been decided."""
    return case.status in UNDER_REVIEW and case.due_at < moment


def is_renewable(case: RegisteredCase, moment: datetime) -> bool:
    """True for a case on the list whose renewal is open."""
    is_open = case.renewable_from is not None and case.renewable_from <= moment
    return case.status in LISTED and (case.status == Status.LAPSED or is_open)


def _listed_around(holdings: Sequence[Holding], moment: datetime) -> tuple[datetime, datetime | None]:
    """Return the time around a moment in which one network or another was on the list without a gap."""
    since: datetime | None = None
    until: datetime | None = moment
    for each in sorted((each for each in holdings if each.listed_from), key=lambda each: each.listed_from or moment):
        begin, end = each.listed_from or moment, each.listed_until
        if end is not None and end <= begin:
            continue  # a clock was set back
        if since is None or (until is not None and until < begin):
            if since is not None and begin > moment:
                break
            since, until = begin, end
        elif until is not None:
            until = end if end is None else max(until, end)
    return since or moment, until


def _planned_end(case: RegisteredCase, holdings: Sequence[Holding], moment: datetime) -> datetime | None:
    """Return the end of a time in force that is set; None when it is past, or the removal waits for a publication."""
    listed = [each for each in holdings if each.is_listed(moment)]
    if all(each.withdrawn_at and each.withdrawn_at <= moment for each in listed):
        return None
    leaving = [each.leaves_at for each in listed if each.leaves_at]
    planned = case.ends_at or case.expires_at if case.status in LISTED else None
    if len(leaving) == len(listed):
        planned = max(leaving)
    return planned if planned and planned > moment else None


def _next_listing(holdings: Sequence[Holding], moment: datetime) -> datetime | None:
    later = (each.listed_from for each in holdings if each.listed_from and each.listed_from > moment)
    return min(later, default=None)


def _unlisted(
    case: RegisteredCase, ended: tuple[datetime, Reason] | None, moment: datetime
) -> tuple[Reason, datetime | None]:
    """Return the reason why a case has nothing on the list and nothing that waits for it, and since when at least."""
    if moment < case.first_submitted_at:
        return Reason.NOT_SUBMITTED, None
    known_since = _known_since(case)
    if moment < known_since:  # the case had another status: its grants tell which
        return (ended[1] if ended else Reason.UNDER_REVIEW), case.first_submitted_at
    if case.status in UNDER_REVIEW:
        return Reason.UNDER_REVIEW, known_since
    if case.status in LISTED:  # of a network that was given back the grant tells
        return (ended[1] if ended else Reason.NOT_PUBLISHED), known_since
    # of a grant that was first suspended and then ended, it is the first that counts
    return Reason(case.status), case.first_submitted_at if ended else known_since


def _known_since(case: RegisteredCase) -> datetime:
    """Return the time from which the present status alone tells why a case is not on the list."""
    if case.status in UNDER_REVIEW:
        return case.submitted_at
    if case.status == Status.WITHDRAWN or case.decided_at is None:
        return case.changed_at
    return case.decided_at


def _ending(holding: Holding) -> Reason:
    """Return the reason of the end of a grant."""
    return Reason(holding.ended_by) if holding.ended_by in set(Reason) else Reason.WITHDRAWN
