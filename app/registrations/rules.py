"""Transitions of a case, fields that each track needs, and networks that must not overlap. Pure functions of values."""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from app.core.errors import FieldError, Invalid, MissingField
from app.core.validation import networks
from app.core.validation.networks import IPV6_BASE, WIDEST, Network
from app.registrations.errors import IllegalTransition, NetworkOverlap

MAX_NETWORKS = 64


class Status(StrEnum):
    """The status of a case."""

    SUBMITTED = "submitted"
    IN_REVIEW = "in_review"
    INFORMATION_REQUESTED = "information_requested"
    APPROVED = "approved"
    LAPSED = "lapsed"
    REJECTED = "rejected"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    SURRENDERED = "surrendered"
    WITHDRAWN = "withdrawn"


class Transition(StrEnum):
    """A change of a case's status: by its submitter, by an officer, or by time."""

    SUBMIT = "submit"
    WITHDRAW = "withdraw"
    CLAIM = "claim"
    UNCLAIM = "unclaim"
    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_INFORMATION = "request_information"
    SUSPEND = "suspend"
    REINSTATE = "reinstate"
    REVOKE = "revoke"
    EXTEND = "extend"
    LAPSE = "lapse"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"
    SURRENDER = "surrender"


class Flag(StrEnum):
    """A note for officers. It refuses nothing, and is no part of a registration's version."""

    OUTSIDE_COUNTRY = "outside_country"
    OPERATOR_PREFIX_MISMATCH = "operator_prefix_mismatch"
    CONTESTED = "contested"


class Track(StrEnum):
    """The procedure that a case follows."""

    VPN_COMPANY = "vpn_company"
    VPN_FREELANCER = "vpn_freelancer"
    CALL_CENTRE = "call_centre"
    VIDEO_CONFERENCE = "video_conference"


class Purpose(StrEnum):
    """The use of the addresses."""

    IT_SERVICES = "it_services"
    FREELANCING = "freelancing"
    BANKING = "banking"
    EDUCATION = "education"
    E_COMMERCE = "e_commerce"
    CALL_CENTRE = "call_centre"
    VIDEO_CONFERENCING = "video_conferencing"
    GOVERNMENT = "government"
    DIPLOMATIC = "diplomatic"
    OTHER = "other"


class Protocol(StrEnum):
    """The protocol that carries the traffic."""

    IPSEC = "ipsec"
    OPENVPN = "openvpn"
    WIREGUARD = "wireguard"
    L2TP = "l2tp"
    SSTP = "sstp"
    OTHER = "other"


CHOICES = {"track": [*map(str, Track)], "purpose": [*map(str, Purpose)], "protocol": [*map(str, Protocol)]}


@dataclass(frozen=True, slots=True)
class Case:
    """A case, as far as its transitions depend on it."""

    id: UUID
    version: int
    status: str
    partner_id: UUID
    client_id: UUID
    operator: str
    claimed_by: UUID | None
    content_by: Sequence[UUID]
    claim_ends_at: datetime | None
    flags: Sequence[str]
    replaces: UUID | None = None
    handover_hours: int | None = None


class RegistrationRequest(NamedTuple):
    """The content of a registration, validated; networks are canonical.

    ``replaces`` and ``handover_hours`` never change once it is submitted. ``transfer_code`` is for a case of another
    partner, and is not kept.
    """

    applicant_id: UUID
    track: str
    purpose: str
    protocol: str | None
    operator: str
    subscriber_id: str | None
    networks: Sequence[str]
    reference: str | None
    description: str | None
    replaces: UUID | None = None
    handover_hours: int | None = None
    transfer_code: str | None = None


# Flags that depend on others' cases: only officers see them.
OFFICERS_FLAGS = frozenset((Flag.CONTESTED,))
OPEN = frozenset((Status.SUBMITTED, Status.IN_REVIEW, Status.INFORMATION_REQUESTED))
EDITABLE = frozenset((Status.INFORMATION_REQUESTED, Status.REJECTED))
# Statuses of a case whose networks are on the list, or will be with the next serial.
LISTED = frozenset((Status.APPROVED, Status.LAPSED))
NEVER_GRANTED = frozenset((Status.WITHDRAWN, Status.REJECTED))
ENDED_GRANTS = frozenset((Status.EXPIRED, Status.REVOKED, Status.SUPERSEDED, Status.SURRENDERED))
ENDED = NEVER_GRANTED | ENDED_GRANTS
UNDER_REVIEW = frozenset((Status.SUBMITTED, Status.IN_REVIEW))

TRANSITIONS: dict[Transition, tuple[frozenset[Status], Status]] = {
    Transition.SUBMIT: (EDITABLE, Status.SUBMITTED),
    Transition.WITHDRAW: (OPEN | {Status.REJECTED}, Status.WITHDRAWN),
    Transition.CLAIM: (frozenset((Status.SUBMITTED,)), Status.IN_REVIEW),
    Transition.UNCLAIM: (frozenset((Status.IN_REVIEW,)), Status.SUBMITTED),
    Transition.APPROVE: (UNDER_REVIEW, Status.APPROVED),
    Transition.REJECT: (UNDER_REVIEW, Status.REJECTED),
    Transition.REQUEST_INFORMATION: (UNDER_REVIEW, Status.INFORMATION_REQUESTED),
    Transition.SUSPEND: (LISTED, Status.SUSPENDED),
    Transition.REINSTATE: (frozenset((Status.SUSPENDED,)), Status.APPROVED),
    Transition.REVOKE: (LISTED | {Status.SUSPENDED}, Status.REVOKED),
    Transition.EXTEND: (LISTED, Status.APPROVED),
    Transition.LAPSE: (frozenset((Status.APPROVED,)), Status.LAPSED),
    Transition.EXPIRE: (LISTED, Status.EXPIRED),
    Transition.SUPERSEDE: (LISTED | {Status.EXPIRED}, Status.SUPERSEDED),
    Transition.SURRENDER: (LISTED, Status.SURRENDERED),
}


def next_status(status: str, transition: Transition) -> Status | None:
    """Return the status to which ``transition`` leads from ``status``; None where it is not allowed."""
    sources, target = TRANSITIONS[transition]
    return target if status in sources else None


PARTICIPLES: dict[Transition, str] = {
    Transition.SUBMIT: "submitted again",
    Transition.WITHDRAW: "withdrawn",
    Transition.CLAIM: "claimed",
    Transition.UNCLAIM: "given back",
    Transition.APPROVE: "approved",
    Transition.REJECT: "rejected",
    Transition.REQUEST_INFORMATION: "sent back for information",
    Transition.SUSPEND: "suspended",
    Transition.REINSTATE: "reinstated",
    Transition.REVOKE: "revoked",
    Transition.EXTEND: "extended",
    Transition.LAPSE: "lapsed",
    Transition.EXPIRE: "expired",
    Transition.SUPERSEDE: "superseded",
    Transition.SURRENDER: "surrendered",
}


def illegal_transition(status: str, transition: Transition) -> IllegalTransition:
    """Return the error of a transition that is not allowed from ``status``."""
    sources, _ = TRANSITIONS[transition]
    return wrong_status(status, sources, PARTICIPLES[transition])


def wrong_status(status: str, sources: Collection[Status], participle: str) -> IllegalTransition:
    """Return the error of an action that is allowed only from the statuses ``sources``."""
    allowed = " or ".join(_words(each) for each in Status if each in sources)
    return IllegalTransition(f"This case is {_words(status)}. Only a case that is {allowed} can be {participle}.")


def _words(status: str) -> str:
    return "waiting for information" if status == Status.INFORMATION_REQUESTED else status.replace("_", " ")


@dataclass(frozen=True, slots=True)
class TrackRule:
    """The applicants and fields that a track needs, and the hours within which a decision is due."""

    applicant_kinds: tuple[str, ...]
    required: tuple[str, ...]
    decision_due_hours: int


_ALWAYS = ("applicant_id", "track", "purpose", "operator", "networks")
TRACKS: dict[str, TrackRule] = {
    Track.VPN_COMPANY: TrackRule(("company",), (*_ALWAYS, "protocol"), 48),
    Track.VPN_FREELANCER: TrackRule(("individual",), (*_ALWAYS, "protocol"), 24),
    Track.CALL_CENTRE: TrackRule(("company", "individual"), (*_ALWAYS, "subscriber_id"), 72),
    Track.VIDEO_CONFERENCE: TrackRule(("company", "individual"), (*_ALWAYS, "subscriber_id"), 72),
}


def due_within(track: str) -> timedelta:
    """Return the time within which a case has to be decided."""
    return timedelta(hours=TRACKS[track].decision_due_hours)


def due_at(track: str, submitted_at: datetime) -> datetime:
    """Return the time by which a case has to be decided."""
    return submitted_at + due_within(track)


def missing_for_track(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """Return an error for each field that the given track needs and that is absent."""
    track = given.get("track", "")
    rule = TRACKS.get(track)
    missing = [name for name in rule.required if name not in given] if rule else ()
    return [MissingField.at(f"/{name}", f"The track {track} needs {name}.") for name in missing]


def overlaps_within(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """Yield an error for each network that overlaps an earlier one of the same item."""
    texts = given.get("networks")
    if not isinstance(texts, list) or len(texts) < 2:
        return
    earlier: list[Network] = []
    for index, text in enumerate(texts[:MAX_NETWORKS]):
        network = _parsed(text)
        if network is None:
            continue
        other = next((each for each in earlier if each.overlaps(network)), None)
        if other:
            yield NetworkOverlap.at(
                f"/networks/{index}", f"{network.text} overlaps {other.text} of the same registration."
            )
        earlier.append(network)


def _parsed(text: Any) -> Network | None:
    try:
        return networks.parse(text.strip()) if isinstance(text, str) else None
    except Invalid:
        return None


def overlapping_items(networks_of: Iterable[tuple[Network, int]]) -> set[int]:
    """Return the items that share addresses with another; given are networks, each with its item."""
    found: set[int] = set()
    widest: tuple[Network, int] | None = None
    for network, item in sorted(networks_of, key=lambda each: each[0].first):
        if widest and network.first <= widest[0].last:
            found |= {item, widest[1]} if item != widest[1] else set()
        if widest is None or network.last > widest[0].last:
            widest = network, item
    return found


def rounds(references: Sequence[str | None]) -> list[list[int]]:
    """Divide items, given by their references, into rounds of positions: in none of them a reference occurs twice."""
    given = [reference for reference in references if reference]
    if len(set(given)) == len(given):
        return [list(range(len(references)))] if references else []
    earlier = Counter[str]()
    found: list[list[int]] = []
    for place, reference in enumerate(references):
        number = earlier[reference] if reference else 0
        if reference:
            earlier[reference] += 1
        if number == len(found):
            found.append([])
        found[number].append(place)
    return found


def block_of(network: Network) -> int:
    """Return the number of the /24 or /48 around a network, as none is wider. Networks that overlap have the same."""
    if network.first < IPV6_BASE:
        return network.first >> (32 - WIDEST[4])
    return (network.first - IPV6_BASE) >> (128 - WIDEST[6])


class AcceptedNetworks:
    """Networks of accepted items by subject, to find those of one applicant that overlap."""

    def __init__(self) -> None:
        self._by_subject: dict[str, list[Network]] = defaultdict(list)

    def overlapping(self, subject: str, given: Sequence[Network]) -> list[int]:
        """Return the positions in ``given`` that overlap a network of ``subject``."""
        accepted = self._by_subject.get(subject, [])
        return [index for index, network in enumerate(given) if _overlaps(accepted, network)]

    def add(self, subject: str, networks: Sequence[Network]) -> None:
        """Add networks that do not overlap those of ``subject``."""
        for network in networks:
            insort(self._by_subject[subject], network)


def _overlaps(disjoint: Sequence[Network], network: Network) -> bool:
    """True when ``network`` overlaps one of sorted, disjoint networks."""
    at = bisect_right(disjoint, network.last, key=lambda each: each.first) - 1
    return at >= 0 and disjoint[at].last >= network.first
