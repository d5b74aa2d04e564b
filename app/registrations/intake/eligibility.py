"""Judging what is submitted: the facts of a whole batch in a few statements, then each item in order."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from app.allowlist.errors import NetworkTaken
from app.applicants.store import Identity
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, FieldError, Invalid, InvalidValue, NotFound
from app.core.validation.networks import span
from app.operators.errors import UnknownOperator
from app.registrations.errors import NetworkOverlap, ReferenceDuplicate
from app.registrations.intake import statements
from app.registrations.intake.batch import Batch
from app.registrations.intake.conflicts import Conflicts
from app.registrations.intake.statements import ExistingCase
from app.registrations.rules import EDITABLE, TRACKS, AcceptedNetworks, RegistrationRequest

NOBODY = UUID(int=0)


class Accepted(NamedTuple):
    """An item that may go in: new, or instead of what ``existing`` holds."""

    asked: RegistrationRequest
    subject: str
    flags: list[str]
    existing: ExistingCase | None


class Unchanged(NamedTuple):
    """An item that says what is there already."""

    registration_id: UUID


Judged = Accepted | Unchanged | DomainError


@dataclass(slots=True)
class Facts:
    """What the register says about the items of a batch, each by its position.

    Those that are in none of it, and do not touch one another, may go in without being looked at one by one.
    """

    owners: Sequence[Identity | None]
    unknown_operators: Collection[int]
    by_reference: Mapping[str, ExistingCase]
    unfit: frozenset[int]
    overlapping_items: Collection[int]
    granted: dict[int, list[tuple[int, str | None]]] = field(default_factory=lambda: defaultdict(list))
    open: dict[int, list[tuple[int, str | None, UUID]]] = field(default_factory=lambda: defaultdict(list))


async def gather(tx: Transaction, batch: Batch, applicants: Sequence[Identity | None], met: Conflicts) -> Facts:
    """Everything needed to judge a batch that has its turn and ``met`` what it meets.

    ``applicants`` are the caller's own that its items name by number; None: there is none.
    """
    owners = [applicants[number] for number in batch.applicants]
    facts = Facts(
        owners=owners,
        unknown_operators=batch.unknown_operators,
        by_reference=await statements.by_reference(tx, met.known),
        unfit=batch.unknown_operators.union(
            i
            for i, (owner, track) in enumerate(zip(owners, batch.tracks, strict=True))
            if owner is None or owner.kind not in TRACKS[track].applicant_kinds
        ),
        overlapping_items=batch.overlapping_items,
    )
    places = batch.places() if met.overlaps else []
    for each in met.overlaps:
        item, index = places[each.place]
        if each.registration_id is None:
            facts.granted[item].append((index, each.subject))
        else:
            facts.open[item].append((index, each.subject, each.registration_id))
    return facts


def judge_all(
    batch: Batch, facts: Facts, left_out: Collection[int], ledger: AcceptedNetworks | None
) -> dict[int, Judged]:
    """The verdict on each item that has to be looked at, in order; all others may go in.

    Those ``left_out`` are not judged. With a ``ledger`` of what was accepted before, each item is looked at.
    """
    references = set(facts.by_reference)
    known = {i for i, each in enumerate(batch.references()) if each in references} if references else set[int]()
    suspects = {*facts.unfit, *facts.overlapping_items, *facts.granted, *facts.open, *known}
    if ledger is not None:
        suspects = set(range(len(batch.tracks)))
    wanted = sorted(suspects.difference(left_out))
    owners = [facts.owners[i] for i in wanted]
    items = batch.items(wanted, [owner.id if owner else NOBODY for owner in owners])
    entered = ledger if ledger is not None else AcceptedNetworks()
    judging = zip(wanted, items, batch.flags(wanted), strict=True)
    return {i: judge_new(i, asked, flags, facts, entered) for i, asked, flags in judging}


def judge_new(
    position: int, asked: RegistrationRequest, flags: list[str], facts: Facts, ledger: AcceptedNetworks
) -> Judged:
    """An item as it was submitted: its reference may lead to a case that is there."""
    existing = facts.by_reference.get(asked.reference or "")
    if existing is not None and _says_the_same(asked, existing.asked):
        return Unchanged(existing.id)
    return judge(position, asked, flags, facts, ledger, existing)


def judge(
    position: int,
    asked: RegistrationRequest,
    flags: list[str],
    facts: Facts,
    ledger: AcceptedNetworks,
    existing: ExistingCase | None,
) -> Accepted | DomainError:
    """Whether an item may go in, with all that is wrong with it; ``existing`` is the case that it corrects.

    ``flags`` are those of its addresses. What is accepted is entered in ``ledger``, so that a later item of the same
    applicant meets it.
    """
    owner = facts.owners[position]
    if owner is None:
        return NotFound("There is no such applicant.", [NotFound.at("/applicant_id", "There is no such applicant.")])
    spans = [span(network) for network in asked.networks]
    errors = _of_details(position, asked, facts, owner) + _of_reference(asked, facts, existing)
    errors += _of_networks(position, asked, facts, owner.subject, existing)
    errors += [_own_overlap(asked, index) for index in ledger.overlapping(owner.subject, spans)]
    if errors:
        return Invalid.of(list({error.pointer: error for error in errors}.values()))
    ledger.enter(owner.subject, spans)
    return Accepted(asked, owner.subject, flags, existing)


def _says_the_same(asked: RegistrationRequest, held: RegistrationRequest) -> bool:
    return _in_order(asked) == _in_order(held)


def _in_order(asked: RegistrationRequest) -> RegistrationRequest:
    return asked._replace(networks=sorted(asked.networks))


def _of_details(position: int, asked: RegistrationRequest, facts: Facts, identity: Identity) -> list[FieldError]:
    errors = []
    kinds = TRACKS[asked.track].applicant_kinds
    if identity.kind not in kinds:
        errors.append(InvalidValue.at("/track", f"{asked.track} is for {' or '.join(kinds)}, not for {identity.kind}."))
    if position in facts.unknown_operators:
        errors.append(
            UnknownOperator.at("/operator", f"There is no operator {asked.operator!r}. GET /v1/operators lists them.")
        )
    return errors


def _of_reference(asked: RegistrationRequest, facts: Facts, existing: ExistingCase | None) -> list[FieldError]:
    holder = facts.by_reference.get(asked.reference or "")
    if holder is None or (existing is not None and holder.id == existing.id and existing.status in EDITABLE):
        return []
    said = f"The reference {asked.reference!r} stands for another registration, with other content."
    return [ReferenceDuplicate.at("/reference", said)]


def _of_networks(
    position: int, asked: RegistrationRequest, facts: Facts, subject: str, existing: ExistingCase | None
) -> list[FieldError]:
    own = [_own_overlap(asked, index) for index, holder in facts.granted.get(position, ()) if holder == subject]
    own += [
        _own_overlap(asked, index)
        for index, holder, registration_id in facts.open.get(position, ())
        if holder == subject and (existing is None or registration_id != existing.id)
    ]
    taken = [
        NetworkTaken.at(f"/networks/{index}", f"{asked.networks[index]} is granted to another registrant.")
        for index, holder in facts.granted.get(position, ())
        if holder != subject
    ]
    return [*own, *taken]


def _own_overlap(asked: RegistrationRequest, index: int) -> FieldError:
    said = f"{asked.networks[index]} overlaps a network that this applicant has registered already."
    return NetworkOverlap.at(f"/networks/{index}", said)
