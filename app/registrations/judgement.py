"""Judging what is submitted: the facts of a whole batch in a few statements, then each item in order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from app.allowlist import store as allowlist
from app.allowlist.errors import NetworkTaken
from app.applicants import store as applicants
from app.applicants.store import Identity
from app.core.db import WriteSession
from app.core.errors import DomainError, FieldError, Invalid, InvalidValue, NotFound
from app.core.networks import Network, span
from app.core.principal import Principal
from app.operators import store as operators
from app.operators.errors import UnknownOperator
from app.operators.store import Claim
from app.registrations import intake
from app.registrations.errors import NetworkOverlap, ReferenceDuplicate
from app.registrations.models import Registration
from app.registrations.rules import EDITABLE, TRACKS, Asked, Flag, Ledger, touching

COMPARED = ("applicant_id", "track", "purpose", "protocol", "operator", "subscriber_id", "reference", "description")


class Accepted(NamedTuple):
    """An item that may go in: new, or instead of what ``itself`` holds."""

    asked: Asked
    subject: str
    flags: list[str]
    itself: Registration | None


class Unchanged(NamedTuple):
    """An item that says what is there already."""

    registration_id: UUID


@dataclass(slots=True)
class Facts:
    """What the register says about the items of a batch, each by its position."""

    spans: list[list[Network]]
    applicants: Mapping[UUID, Identity]
    operator_codes: set[str]
    outside_country: set[int]
    operator_mismatch: set[int]
    by_reference: dict[str, Registration]
    touching: set[int]
    granted: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    open: dict[int, list[tuple[int, str, UUID]]] = field(default_factory=lambda: defaultdict(list))


async def gather(
    session: WriteSession, principal: Principal, items: Sequence[Asked], known: Mapping[UUID, Identity] | None = None
) -> Facts:
    """Everything needed to judge ``items``, and the turn to do it, kept until the commit.

    ``known`` are their applicants, where the caller has them at hand.
    """
    if known is None:
        known = await applicants.identities(session, principal, list({each.applicant_id for each in items}))
    spans = [[span(network) for network in each.networks] for each in items]
    await intake.take_turns(session, {each.subject for each in known.values()}, list(chain.from_iterable(spans)))
    claims = [Claim(i, each.operator, network) for i, each in enumerate(items) for network in spans[i]]
    outside, mismatch = await operators.misplaced(session, claims)
    references = [each.reference for each in items if each.reference]
    facts = Facts(
        spans=spans,
        applicants=known,
        operator_codes=await operators.known_codes(session),
        outside_country=outside,
        operator_mismatch=mismatch,
        by_reference=await intake.by_reference(session, principal.partner_id, references),
        touching=touching((network, i) for i, listed in enumerate(spans) for network in listed),
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
        facts.touching.add(other.item)
    return facts


def judge_new(position: int, asked: Asked, facts: Facts, ledger: Ledger) -> Accepted | Unchanged | DomainError:
    """An item as it was submitted: its reference may lead to a case that is there."""
    itself = facts.by_reference.get(asked.reference or "")
    if itself is not None and _says_the_same(asked, itself):
        return Unchanged(itself.id)
    return judge(position, asked, facts, ledger, itself)


def judge(
    position: int, asked: Asked, facts: Facts, ledger: Ledger, itself: Registration | None
) -> Accepted | DomainError:
    """Whether an item may go in, with all that is wrong with it; ``itself`` is the case that it corrects.

    What is accepted is entered in ``ledger``, so that a later item of the same applicant meets it.
    """
    identity = facts.applicants.get(asked.applicant_id)
    if identity is None:
        return NotFound("There is no such applicant.", [NotFound.at("/applicant_id", "There is no such applicant.")])
    spans = facts.spans[position]
    errors = _of_details(asked, facts, identity) + _of_reference(asked, facts, itself)
    if position in facts.granted or position in facts.open:
        errors += _of_networks(position, asked, facts, identity.subject, itself)
    errors += [_own_overlap(asked, index) for index in ledger.overlapping(identity.subject, spans)]
    if errors:
        return Invalid.of(list({error.pointer: error for error in errors}.values()))
    ledger.enter(identity.subject, spans)
    return Accepted(asked, identity.subject, _flags(position, facts, identity.subject), itself)


def _says_the_same(asked: Asked, held: Registration) -> bool:
    same = all(getattr(asked, name) == getattr(held, name) for name in COMPARED)
    return same and sorted(asked.networks) == sorted(held.networks)


def _of_details(asked: Asked, facts: Facts, identity: Identity) -> list[FieldError]:
    errors = []
    kinds = TRACKS[asked.track].applicant_kinds
    if identity.kind not in kinds:
        errors.append(InvalidValue.at("/track", f"{asked.track} is for {' or '.join(kinds)}, not for {identity.kind}."))
    if asked.operator not in facts.operator_codes:
        errors.append(
            UnknownOperator.at("/operator", f"There is no operator {asked.operator!r}. GET /v1/operators lists them.")
        )
    return errors


def _of_reference(asked: Asked, facts: Facts, itself: Registration | None) -> list[FieldError]:
    holder = facts.by_reference.get(asked.reference or "")
    if holder is None or (itself is not None and holder.id == itself.id and itself.status in EDITABLE):
        return []
    said = f"The reference {asked.reference!r} stands for another registration, with other content."
    return [ReferenceDuplicate.at("/reference", said)]


def _of_networks(
    position: int, asked: Asked, facts: Facts, subject: str, itself: Registration | None
) -> list[FieldError]:
    own = [_own_overlap(asked, index) for index, holder in facts.granted.get(position, ()) if holder == subject]
    own += [
        _own_overlap(asked, index)
        for index, holder, registration_id in facts.open.get(position, ())
        if holder == subject and (itself is None or registration_id != itself.id)
    ]
    taken = [
        NetworkTaken.at(f"/networks/{index}", f"{asked.networks[index]} is granted to another registrant.")
        for index, holder in facts.granted.get(position, ())
        if holder != subject
    ]
    return [*own, *taken]


def _own_overlap(asked: Asked, index: int) -> FieldError:
    said = f"{asked.networks[index]} overlaps a network that this applicant has registered already."
    return NetworkOverlap.at(f"/networks/{index}", said)


def _flags(position: int, facts: Facts, subject: str) -> list[str]:
    flags = []
    if position in facts.outside_country:
        flags.append(Flag.OUTSIDE_COUNTRY.value)
    if position in facts.operator_mismatch:
        flags.append(Flag.OPERATOR_PREFIX_MISMATCH.value)
    if any(holder != subject for _, holder, _ in facts.open.get(position, ())):
        flags.append(Flag.CONTESTED.value)
    return flags
