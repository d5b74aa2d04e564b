"""Judging what is submitted: the facts of a whole batch in a few statements, then each item in order."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.allowlist import store as allowlist
from app.allowlist.errors import NetworkTaken
from app.applicants import store as applicants
from app.applicants.store import Identity
from app.core.db import WriteSession
from app.core.errors import DomainError, FieldError, Invalid, InvalidValue, NotFound
from app.core.networks import span
from app.core.principal import Principal
from app.operators import store as operators
from app.operators.errors import UnknownOperator
from app.operators.store import Claim
from app.registrations import intake
from app.registrations.errors import NetworkOverlap, ReferenceDuplicate
from app.registrations.models import Registration
from app.registrations.rules import EDITABLE, TRACKS, Flag, Ledger, Track
from app.registrations.schemas import RegistrationDetails

COMPARED = ("applicant_id", "track", "purpose", "protocol", "operator", "subscriber_id", "reference", "description")


@dataclass(frozen=True, slots=True)
class Accepted:
    """An item that may go in: new, or instead of what ``itself`` holds."""

    details: RegistrationDetails
    subject: str
    flags: list[str]
    itself: Registration | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """An item that says what is there already."""

    registration_id: UUID


@dataclass(slots=True)
class Facts:
    """What the register says about the items of a batch, each by its position."""

    applicants: dict[UUID, Identity]
    operator_codes: set[str]
    outside_country: set[int]
    operator_mismatch: set[int]
    by_reference: dict[str, Registration]
    granted: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    open: dict[int, list[tuple[int, str, UUID]]] = field(default_factory=lambda: defaultdict(list))


async def gather(session: WriteSession, principal: Principal, items: Sequence[RegistrationDetails]) -> Facts:
    """Everything needed to judge ``items``, and the turn to do it, kept until the commit."""
    known = await applicants.identities(session, principal, list({each.applicant_id for each in items}))
    asked_for = [span(network) for each in items for network in each.networks]
    await intake.take_turns(session, {identity.subject for identity in known.values()}, asked_for)
    claims = [Claim(i, each.operator, network) for i, each in enumerate(items) for network in each.networks]
    outside, mismatch = await operators.misplaced(session, claims)
    references = {each.reference for each in items if each.reference}
    facts = Facts(
        applicants=known,
        operator_codes=await operators.known_codes(session),
        outside_country=outside,
        operator_mismatch=mismatch,
        by_reference=await intake.by_reference(session, principal.partner_id, references),
    )
    asked: list[dict[str, Any]] = [
        {"item": i, "index": index, "network": network}
        for i, each in enumerate(items)
        for index, network in enumerate(each.networks)
    ]
    async with session.beyond_tenancy():
        granted_entries = await allowlist.overlaps(session, asked)
        open_cases = await intake.open_overlaps(session, asked)
    for granted in granted_entries:
        facts.granted[granted.item].append((granted.index, granted.holder))
    for other in open_cases:
        facts.open[other.item].append((other.index, other.subject, other.registration_id))
    return facts


def judge_new(
    position: int, details: RegistrationDetails, facts: Facts, ledger: Ledger
) -> Accepted | Unchanged | DomainError:
    """An item as it was submitted: its reference may lead to a case that is there."""
    itself = facts.by_reference.get(details.reference or "")
    if itself is not None and _says_the_same(details, itself):
        return Unchanged(itself.id)
    return judge(position, details, facts, ledger, itself)


def judge(
    position: int, details: RegistrationDetails, facts: Facts, ledger: Ledger, itself: Registration | None
) -> Accepted | DomainError:
    """Whether an item may go in, with all that is wrong with it; ``itself`` is the case that it corrects.

    What is accepted is entered in ``ledger``, so that a later item of the same applicant meets it.
    """
    identity = facts.applicants.get(details.applicant_id)
    if identity is None:
        return NotFound("There is no such applicant.", [NotFound.at("/applicant_id", "There is no such applicant.")])
    spans = [span(network) for network in details.networks]
    errors = [
        *_of_details(details, facts, identity),
        *_of_reference(details, facts, itself),
        *_of_networks(position, details, facts, identity.subject, itself),
        *(_own_overlap(details, index) for index in ledger.overlapping(identity.subject, spans)),
    ]
    if errors:
        return Invalid.of(list({error.pointer: error for error in errors}.values()))
    ledger.enter(identity.subject, spans)
    return Accepted(details, identity.subject, _flags(position, facts, identity.subject), itself)


def _says_the_same(details: RegistrationDetails, held: Registration) -> bool:
    same = all(getattr(details, name) == getattr(held, name) for name in COMPARED)
    return same and sorted(details.networks) == sorted(held.networks)


def _of_details(details: RegistrationDetails, facts: Facts, identity: Identity) -> list[FieldError]:
    errors = []
    kinds = TRACKS[Track(details.track)].applicant_kinds
    if identity.kind not in kinds:
        errors.append(
            InvalidValue.at("/track", f"{details.track} is for {' or '.join(kinds)}, not for {identity.kind}.")
        )
    if details.operator not in facts.operator_codes:
        errors.append(
            UnknownOperator.at("/operator", f"There is no operator {details.operator!r}. GET /v1/operators lists them.")
        )
    return errors


def _of_reference(details: RegistrationDetails, facts: Facts, itself: Registration | None) -> list[FieldError]:
    holder = facts.by_reference.get(details.reference or "")
    if holder is None or (itself is not None and holder.id == itself.id and itself.status in EDITABLE):
        return []
    said = f"The reference {details.reference!r} stands for another registration, with other content."
    return [ReferenceDuplicate.at("/reference", said)]


def _of_networks(
    position: int, details: RegistrationDetails, facts: Facts, subject: str, itself: Registration | None
) -> list[FieldError]:
    own = [_own_overlap(details, index) for index, holder in facts.granted.get(position, ()) if holder == subject]
    own += [
        _own_overlap(details, index)
        for index, holder, registration_id in facts.open.get(position, ())
        if holder == subject and (itself is None or registration_id != itself.id)
    ]
    taken = [
        NetworkTaken.at(f"/networks/{index}", f"{details.networks[index]} is granted to another registrant.")
        for index, holder in facts.granted.get(position, ())
        if holder != subject
    ]
    return [*own, *taken]


def _own_overlap(details: RegistrationDetails, index: int) -> FieldError:
    said = f"{details.networks[index]} overlaps a network that this applicant has registered already."
    return NetworkOverlap.at(f"/networks/{index}", said)


def _flags(position: int, facts: Facts, subject: str) -> list[str]:
    raised = {
        Flag.OUTSIDE_COUNTRY: position in facts.outside_country,
        Flag.OPERATOR_PREFIX_MISMATCH: position in facts.operator_mismatch,
        Flag.CONTESTED: any(holder != subject for _, holder, _ in facts.open.get(position, ())),
    }
    return [flag.value for flag, is_raised in raised.items() if is_raised]
