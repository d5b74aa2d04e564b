"""Eligibility: checks each item of a batch against the existing cases and entries that it conflicts with."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from app.allowlist.errors import NetworkTaken
from app.applicants.store import Identity
from app.core.errors import DomainError, FieldError, Invalid, InvalidValue, NotFound
from app.core.validation.networks import parse_canonical
from app.operators.errors import UnknownOperator
from app.registrations.errors import NetworkOverlap, ReferenceDuplicate, SuccessorExists
from app.registrations.intake.batch import Batch
from app.registrations.intake.conflicts import Conflicts, ExistingCase, Overlap
from app.registrations.lines import ReplacedCase, refusal_of, replacement_errors
from app.registrations.rules import EDITABLE, TRACKS, AcceptedNetworks, RegistrationRequest


class Accepted(NamedTuple):
    """An item that may become a new case, or the content of ``existing``, and the case that it is to replace."""

    request: RegistrationRequest
    flags: Sequence[str]
    existing: ExistingCase | None
    replaced: ReplacedCase | None = None


class Unchanged(NamedTuple):
    """An item with the content that a case has already."""

    registration_id: UUID


Eligibility = Accepted | Unchanged | DomainError


def check_eligibility(batch: Batch, conflicts: Conflicts) -> dict[int, Eligibility]:
    """Check the items that may be ineligible, by position; all others may become new cases.

    In a dry run every item is checked, because what it accepted is not in the register.
    """
    accepted = AcceptedNetworks() if batch.accepted is None else batch.accepted
    places = sorted(_maybe_ineligible(batch, conflicts)) if batch.accepted is None else range(len(batch.items))
    checked: dict[int, Eligibility] = {}
    replaced = set[UUID]()
    for place in places:
        checked[place] = outcome = _check_item(batch, place, conflicts, accepted)
        if isinstance(outcome, Accepted) and outcome.replaced:
            if outcome.replaced.id in replaced:
                pointer = _pointer_of(batch.items[place])
                checked[place] = SuccessorExists(errors=[SuccessorExists.at(pointer)])
            replaced.add(outcome.replaced.id)
    return checked


def _maybe_ineligible(batch: Batch, conflicts: Conflicts) -> set[int]:
    known, items = conflicts.by_reference, enumerate(batch.items)
    return {
        *(i for i, each in enumerate(zip(batch.items, batch.applicants, strict=True)) if not _fits(*each)),
        *((i for i, item in items if item.reference in known) if known else ()),
        *batch.unknown_operators,
        *batch.overlapping_items,
        *conflicts.overlaps,
        *(i for i, item in enumerate(batch.items) if item.replaces or item.transfer_code),
    }


def _fits(item: RegistrationRequest, applicant: Identity | None) -> bool:
    return applicant is not None and applicant.kind in TRACKS[item.track].applicant_kinds


def _check_item(batch: Batch, place: int, conflicts: Conflicts, accepted: AcceptedNetworks) -> Eligibility:
    item, applicant = batch.items[place], batch.applicants[place]
    existing = conflicts.by_reference.get(item.reference or "")
    if existing is not None and applicant is not None and _is_same(item, applicant, existing.request):
        return Unchanged(existing.id)
    replaced = conflicts.replaced.get(place)
    names_another = bool(item.replaces or item.transfer_code)
    if existing is not None and names_another and (replaced is None or existing.request.replaces != replaced.id):
        existing = None  # a case of another line, which has the reference
    return check_content(batch, place, conflicts, accepted, existing)


def _is_same(item: RegistrationRequest, applicant: Identity, existing: RegistrationRequest) -> bool:
    """True for the same content; an item that does not name the case that it replaces leaves that as it is."""
    one, other = (each._replace(networks=sorted(each.networks)) for each in (item, existing))
    if item.replaces is None:
        one = one._replace(replaces=other.replaces, handover_hours=other.handover_hours)
    return one._replace(applicant_id=applicant.id, transfer_code=None) == other


def check_content(
    batch: Batch, place: int, conflicts: Conflicts, accepted: AcceptedNetworks, existing: ExistingCase | None
) -> Accepted | DomainError:
    """Check the item at ``place`` as a new case, or as the content of ``existing``; gives all its errors at once.

    The networks of an accepted item are added to ``accepted``, so that a later item of the same applicant conflicts.
    """
    item, applicant = batch.items[place], batch.applicants[place]
    networks = [parse_canonical(network) for network in item.networks]
    errors = [
        *find_errors(batch, place, conflicts, existing),
        *_reference_errors(item, conflicts, existing),
        *(_own_overlap(item, i) for i in (accepted.overlapping(applicant.subject, networks) if applicant else ())),
    ]
    if applicant is None or errors:
        told = list({error.pointer: error for error in errors}.values())
        return refusal_of(told) or Invalid.of(told)
    accepted.add(applicant.subject, networks)
    replaced = conflicts.replaced.get(place)
    request = item._replace(applicant_id=applicant.id, replaces=replaced and replaced.id)
    return Accepted(request, batch.flags[place], existing, replaced)


def find_errors(batch: Batch, place: int, conflicts: Conflicts, existing: ExistingCase | None) -> Iterator[FieldError]:
    """Yield the errors that the register alone tells of an item's applicant, operator and networks."""
    item, applicant = batch.items[place], batch.applicants[place]
    if applicant is None:
        yield NotFound.at("/applicant_id", "There is no such applicant.")
    else:
        yield from _kind_errors(item, applicant)
    if place in batch.unknown_operators:
        yield _operator_error(batch.unknown_operators[place])
    replaced = conflicts.replaced.get(place)
    line = {replaced.id, replaced.replaced_by} if replaced else set[UUID | None]()
    if item.replaces or item.transfer_code or (existing and existing.request.replaces):
        subject, successor = applicant and applicant.subject, existing and existing.id
        errors = [*replacement_errors(replaced, subject, conflicts.partner_id, _pointer_of(item), successor)]
        yield from errors
        if any(each.code == NotFound.code for each in errors):
            line = set()  # an answer that left out its networks would tell whose they are
    overlaps = [each for each in conflicts.overlaps.get(place, ()) if each.registration_id not in line]
    yield from _network_errors(item, applicant, overlaps, existing)


def _pointer_of(item: RegistrationRequest) -> str:
    return "/transfer_code" if item.transfer_code and not item.replaces else "/replaces"


def _kind_errors(item: RegistrationRequest, applicant: Identity) -> Iterator[FieldError]:
    kinds = TRACKS[item.track].applicant_kinds if item.track in TRACKS else (applicant.kind,)
    if applicant.kind not in kinds:
        yield InvalidValue.at("/track", f"{item.track} is for {' or '.join(kinds)}, not for {applicant.kind}.")


def _operator_error(meant: str | None) -> FieldError:
    """Return the error of an unknown operator; its text, maybe of another column, is not repeated."""
    detail = f"Write {meant}." if meant else "There is no operator with this code. GET /v1/operators lists them."
    return UnknownOperator.at("/operator", detail)


def _reference_errors(
    item: RegistrationRequest, conflicts: Conflicts, existing: ExistingCase | None
) -> Iterator[FieldError]:
    holder = conflicts.by_reference.get(item.reference or "")
    if holder is None or (existing is not None and holder.id == existing.id and existing.status in EDITABLE):
        return
    detail = f"The reference {item.reference!r} is used for another registration, with other content."
    yield ReferenceDuplicate.at("/reference", detail)


def _network_errors(
    item: RegistrationRequest, applicant: Identity | None, overlaps: Sequence[Overlap], existing: ExistingCase | None
) -> Iterator[FieldError]:
    """Yield overlaps; of an unknown applicant only those with other partners' entries, which are nobody's own."""
    for each in overlaps:
        is_itself = existing is not None and each.registration_id == existing.id and not each.is_listed
        if applicant and each.subject == applicant.subject and not is_itself:
            yield _own_overlap(item, each.position)
    for each in overlaps:
        is_others = each.subject is None or (applicant is not None and each.subject != applicant.subject)
        if each.is_listed and is_others:
            detail = f"{item.networks[each.position]} is granted to another registrant."
            yield NetworkTaken.at(f"/networks/{each.position}", detail)


def _own_overlap(item: RegistrationRequest, position: int) -> FieldError:
    detail = f"{item.networks[position]} overlaps a network that this applicant has registered already."
    return NetworkOverlap.at(f"/networks/{position}", detail)
