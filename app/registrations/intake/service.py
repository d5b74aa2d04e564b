"""Intake: checks the items of a batch, registers those that are eligible, and gives each item an outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple
from uuid import UUID

from app.core.database.transaction import Transaction
from app.core.errors import DomainError
from app.core.principal import Principal
from app.registrations import line_store, store, transfer_codes
from app.registrations.intake import statements
from app.registrations.intake.batch import Batch, Locks
from app.registrations.intake.conflicts import ExistingCase, find_conflicts
from app.registrations.intake.eligibility import Accepted, Eligibility, Unchanged, check_content, check_eligibility
from app.registrations.intake.statements import NewCase
from app.registrations.rules import AcceptedNetworks, RegistrationRequest, rounds


class Registered(NamedTuple):
    """The case that an item led to, and what was done to it."""

    registration_id: UUID
    outcome: Literal["created", "unchanged", "updated"]


class Outcomes(NamedTuple):
    """Outcomes of a batch: ``others``, by position, of the items that did not become a new case.

    ``new_cases`` are those that became one, by their ids, unless they came in an upload.
    """

    others: dict[int, Registered | DomainError]
    new_cases: dict[UUID, NewCase]

    def of_each(self, batch: Batch) -> list[Registered | DomainError]:
        """Return the outcome of each item of ``batch``, in order."""
        new = (Registered(UUID(id_), "created") for id_ in batch.ids)
        return [self.others.get(place, created) for place, created in enumerate(new)]


async def prepare(tx: Transaction, principal: Principal, requests: Sequence[RegistrationRequest]) -> Batch:
    """Make a batch of requests for the caller's applicants; its locks are taken."""
    applicants, prefixes = await statements.load_prerequisites(tx, principal.partner_id, requests)
    found = [applicants.get(each.applicant_id) for each in requests]
    return replace(Batch.of(requests, prefixes), applicants=found, locks=Locks())


async def submit(tx: Transaction, principal: Principal, batch: Batch) -> Outcomes:
    """Register the items of a batch for the caller's partner.

    An item whose reference is known and whose content is the same is ``unchanged``. Other content corrects and
    resubmits a case that may still be edited (``updated``); else it is refused. Items with the same reference are
    registered one after another, and all locks are taken before the first: taking more later could deadlock.
    """
    await statements.take_locks(tx, principal.partner_id, batch.locks)
    outcomes = Outcomes({}, {})
    in_rounds = rounds([item.reference for item in batch.items])
    if len(in_rounds) > 1:
        await line_store.lock_replaced(tx, {item.replaces for item in batch.items if item.replaces})
    for places in in_rounds:
        others, new_cases = await _submit_round(tx, principal, batch.at(places))
        outcomes.others.update((places[i], outcome) for i, outcome in others.items())
        outcomes.new_cases.update(new_cases)
    return outcomes


async def _submit_round(tx: Transaction, principal: Principal, batch: Batch) -> Outcomes:
    """Submit a batch whose locks are taken and whose references differ."""
    conflicts = await find_conflicts(tx, principal.partner_id, batch.items)
    checked = check_eligibility(batch, conflicts)
    others = {place: outcome for place, each in checked.items() if (outcome := _outcome(each))}
    accepted = {place: each for place, each in checked.items() if isinstance(each, Accepted)}
    await take_places(tx, {_successor(batch, place, each): each for place, each in accepted.items() if each.replaced})
    new = _with_replaced(batch, accepted)
    new_cases = await _create(tx, principal, new.at([i for i in range(len(batch.items)) if i not in others]))
    corrections = [each for each in accepted.values() if each.existing]
    await statements.correct(tx, principal, corrections, resubmit=True)
    await store.record_submitted(tx, principal, [each.existing.id for each in corrections if each.existing])
    return Outcomes(others, new_cases)


def _successor(batch: Batch, place: int, accepted: Accepted) -> UUID:
    return accepted.existing.id if accepted.existing else UUID(batch.ids[place])


def _with_replaced(batch: Batch, accepted: Mapping[int, Accepted]) -> Batch:
    """Return the batch with the ids of the cases that its items replace, which a transfer code may have told alone."""
    requests = {place: each.request for place, each in accepted.items() if each.replaced}
    if not requests:
        return batch
    return replace(batch, items=[requests.get(place, item) for place, item in enumerate(batch.items)])


async def take_places(tx: Transaction, successors: Mapping[UUID, Accepted]) -> None:
    """Note by which case each case that is replaced is replaced from now on, and which transfer codes are used."""
    replaced = {id_: each.replaced for id_, each in successors.items() if each.replaced}
    free = {id_: each for id_, each in replaced.items() if each.replaced_by is None}
    if free:
        await transfer_codes.use(tx, [each.code_hash for each in free.values() if each.code_hash])
        cases = [each.id for each in free.values()]
        await line_store.set_replaced_by(tx, cases, [None] * len(cases), list(free))


def _outcome(checked: Eligibility) -> Registered | DomainError | None:
    """The outcome of an item, None for one that becomes a new case."""
    if isinstance(checked, DomainError):
        return checked
    if isinstance(checked, Unchanged):
        return Registered(checked.registration_id, "unchanged")
    return Registered(checked.existing.id, "updated") if checked.existing else None


async def _create(tx: Transaction, principal: Principal, batch: Batch) -> dict[UUID, NewCase]:
    """Insert the items of a batch as new cases; gives the ``new_cases`` of ``Outcomes``."""
    if not batch.items:
        return {}
    await statements.insert_cases(tx, principal, batch)
    networks = [(id_, item.networks) for id_, item in zip(batch.ids, batch.items, strict=True)]
    # ``contested`` of the regulator's cases is not seen by the statement that inserts their networks
    if batch.bulk_upload_id is None and not principal.sees_all:
        return await statements.insert_networks_returning_json(tx, principal, networks)
    await statements.insert_networks(tx, networks)
    return {} if batch.bulk_upload_id else await statements.read_new_cases(tx, principal, batch.ids)


async def check_correction(
    tx: Transaction, principal: Principal, request: RegistrationRequest, corrected: ExistingCase
) -> Accepted:
    """Check new content for a case of the caller's. Raises ``NotFound`` for its applicant, ``Invalid``."""
    batch = await prepare(tx, principal, [request])
    conflicts = await find_conflicts(tx, principal.partner_id, batch.items, corrected)
    checked = check_content(batch, 0, conflicts, AcceptedNetworks(), corrected)
    if isinstance(checked, DomainError):
        raise checked
    return checked
