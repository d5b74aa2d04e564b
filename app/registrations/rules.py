"""The legal moves of a case, what each track needs, and networks that must not overlap. Pure functions of values."""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from app.core.errors import FieldError, Invalid, MissingField
from app.core.validation import networks
from app.core.validation.networks import IPV6_BASE, WIDEST, Network
from app.registrations.errors import NetworkOverlap

MOST_NETWORKS = 64


class Status(StrEnum):
    """Where a case stands."""

    SUBMITTED = "submitted"
    IN_REVIEW = "in_review"
    INFORMATION_REQUESTED = "information_requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Move(StrEnum):
    """What can happen to a case: by its submitter, an officer's claim, a decision, or time."""

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
    EXPIRE = "expire"


class Flag(StrEnum):
    """A hint for officers. It refuses nothing, and is no part of a registration's version."""

    OUTSIDE_COUNTRY = "outside_country"
    OPERATOR_PREFIX_MISMATCH = "operator_prefix_mismatch"
    CONTESTED = "contested"


class Track(StrEnum):
    """Which procedure a case follows."""

    VPN_COMPANY = "vpn_company"
    VPN_FREELANCER = "vpn_freelancer"
    CALL_CENTRE = "call_centre"
    VIDEO_CONFERENCE = "video_conference"


class Purpose(StrEnum):
    """What the addresses are used for."""

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
    """How the traffic is carried."""

    IPSEC = "ipsec"
    OPENVPN = "openvpn"
    WIREGUARD = "wireguard"
    L2TP = "l2tp"
    SSTP = "sstp"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Case:
    """What it takes to judge whether and how a case may move."""

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


class RegistrationRequest(NamedTuple):
    """What a registration asks for, once it was found sound."""

    applicant_id: UUID
    track: str
    purpose: str
    protocol: str | None
    operator: str
    subscriber_id: str | None
    networks: Sequence[str]
    reference: str | None
    description: str | None


# Flags that depend on others' cases: officers alone are told of them.
OFFICERS_FLAGS = frozenset((Flag.CONTESTED,))
OPEN = frozenset((Status.SUBMITTED, Status.IN_REVIEW, Status.INFORMATION_REQUESTED))
EDITABLE = frozenset((Status.INFORMATION_REQUESTED, Status.REJECTED))
CAME_TO_NOTHING = frozenset((Status.WITHDRAWN, Status.REJECTED))
ENDED_GRANTS = frozenset((Status.EXPIRED, Status.REVOKED))
ENDED = CAME_TO_NOTHING | ENDED_GRANTS
UNDER_REVIEW = frozenset((Status.SUBMITTED, Status.IN_REVIEW))

MOVES: dict[Move, tuple[frozenset[Status], Status]] = {
    Move.SUBMIT: (EDITABLE, Status.SUBMITTED),
    Move.WITHDRAW: (OPEN | {Status.REJECTED}, Status.WITHDRAWN),
    Move.CLAIM: (frozenset((Status.SUBMITTED,)), Status.IN_REVIEW),
    Move.UNCLAIM: (frozenset((Status.IN_REVIEW,)), Status.SUBMITTED),
    Move.APPROVE: (UNDER_REVIEW, Status.APPROVED),
    Move.REJECT: (UNDER_REVIEW, Status.REJECTED),
    Move.REQUEST_INFORMATION: (UNDER_REVIEW, Status.INFORMATION_REQUESTED),
    Move.SUSPEND: (frozenset((Status.APPROVED,)), Status.SUSPENDED),
    Move.REINSTATE: (frozenset((Status.SUSPENDED,)), Status.APPROVED),
    Move.REVOKE: (frozenset((Status.APPROVED, Status.SUSPENDED)), Status.REVOKED),
    Move.EXPIRE: (frozenset((Status.APPROVED,)), Status.EXPIRED),
}


def next_status(status: str, move: Move) -> Status | None:
    """Where ``move`` leads from ``status``, or None when it is not a legal move there."""
    allowed, target = MOVES[move]
    return target if status in allowed else None


@dataclass(frozen=True, slots=True)
class TrackRule:
    """What a track asks for, and the hours in which a decision is due."""

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


def missing_for_track(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """An error for each field that the given track needs and that is absent."""
    track = given.get("track", "")
    rule = TRACKS.get(track)
    missing = [name for name in rule.required if name not in given] if rule else ()
    return [MissingField.at(f"/{name}", f"The track {track} needs {name}.") for name in missing]


def overlaps_within(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """An error for each network that overlaps an earlier one of the same item."""
    texts = given.get("networks")
    if not isinstance(texts, list) or len(texts) < 2:
        return
    before: list[Network] = []
    for index, text in enumerate(texts[:MOST_NETWORKS]):
        network = _parsed(text)
        if network is None:
            continue
        other = next((each for each in before if each.overlaps(network)), None)
        if other:
            yield NetworkOverlap.at(
                f"/networks/{index}", f"{network.text} overlaps {other.text} of the same registration."
            )
        before.append(network)


def _parsed(text: Any) -> Network | None:
    try:
        return networks.parse(text.strip()) if isinstance(text, str) else None
    except Invalid:
        return None


def overlapping_items(networks_of: Iterable[tuple[Network, int]]) -> set[int]:
    """Of networks, each with the item that it is of, the items whose networks share addresses with another's."""
    met: set[int] = set()
    widest: tuple[Network, int] | None = None
    for network, item in sorted(networks_of, key=lambda each: each[0].first):
        if widest and network.first <= widest[0].last:
            met |= {item, widest[1]} if item != widest[1] else set()
        if widest is None or network.last > widest[0].last:
            widest = network, item
    return met


def rounds(references: Sequence[str | None]) -> list[list[int]]:
    """The places of items in groups that follow one another, in none of which a reference stands twice."""
    met = Counter[str]()
    found: list[list[int]] = []
    for place, reference in enumerate(references):
        number = met[reference] if reference else 0
        if reference:
            met[reference] += 1
        if number == len(found):
            found.append([])
        found[number].append(place)
    return found


def block_of(network: Network) -> int:
    """A number that networks with an address in common share: that of the /24 or /48 around them, for none is wider."""
    if network.first < IPV6_BASE:
        return network.first >> (32 - WIDEST[4])
    return (network.first - IPV6_BASE) >> (128 - WIDEST[6])


class AcceptedNetworks:
    """The networks that items of one batch were accepted with, to find those of one applicant that overlap."""

    def __init__(self) -> None:
        self._held: dict[str, list[Network]] = defaultdict(list)

    def overlapping(self, subject: str, asked: Sequence[Network]) -> list[int]:
        """The positions in ``asked`` that overlap what ``subject`` holds here."""
        held = self._held.get(subject, [])
        return [index for index, network in enumerate(asked) if _touches(held, network)]

    def enter(self, subject: str, accepted: Sequence[Network]) -> None:
        """Note that ``subject`` was accepted with these."""
        for network in accepted:
            insort(self._held[subject], network)


def _touches(held: Sequence[Network], network: Network) -> bool:
    at = bisect_right(held, network.last, key=lambda each: each.first) - 1
    return at >= 0 and held[at].last >= network.first
