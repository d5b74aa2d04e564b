"""Decisions on cases, one or many: each changes the status of a case, and grants or withdraws its networks."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from uuid_utils.compat import uuid7

from app.allowlist import service as allowlist
from app.allowlist.errors import NetworkTaken
from app.allowlist.service import Succession
from app.allowlist.store import Cause
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, NotFound
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.events import store as events
from app.partners import store as partners
from app.registrations import line_store, succession
from app.registrations import store as registrations
from app.registrations.claims import UNCLAIMED, clients_of
from app.registrations.rules import Case, Transition, next_status
from app.reviews import rules, store
from app.reviews.rules import Action, AddressFlag
from app.reviews.schemas import BatchDecision, DecisionDetails, Selection

DECIDED_AT_ONCE = 10_000
APPROVAL_PERIOD = timedelta(days=365)
# The participle of each action, in the names of events and as the feed's removal reason.
PARTICIPLES = {
    Action.APPROVE: "approved",
    Action.REJECT: "rejected",
    Action.REQUEST_INFORMATION: "information_requested",
    Action.SUSPEND: "suspended",
    Action.REINSTATE: "reinstated",
    Action.REVOKE: "revoked",
}


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Numbers of cases selected and decided in a batch, and the refusals of the others by id.

    ``statuses`` counts the cases by the status that they had, ``flagged`` by flag those that the batch could grant.
    """

    batch_id: UUID
    selected: int
    decided: int
    statuses: Counter[str]
    flagged: Counter[AddressFlag]
    refused: dict[UUID, DomainError]


async def decide_one(
    tx: Transaction, officer: Principal, registration_id: UUID, if_match: IfMatch, decision: DecisionDetails
) -> UUID:
    """Decide one case as a batch of one; returns the batch's id. Raises ``NotFound`` and the refusal, if any."""
    batch_id = uuid7()
    found = registrations.lock_cases(tx, registrations.with_ids([registration_id]), 1)
    cases = await anext(found, None)
    if cases is None:
        raise NotFound("There is no such registration.", [NotFound.at("/registration_id")])
    if_match.check(cases[0])
    allowed, refused = await _split(tx, officer, cases, decision.action)
    refused |= await _decide(tx, allowed, decision, Cause(officer.client_id, in_mass=False), officer, batch_id)
    for refusal in refused.values():
        raise refusal
    return batch_id


async def decide_many(tx: Transaction, officer: Principal, decision: BatchDecision) -> BatchResult:
    """Decide all selected cases in the caller's transaction, a bounded number at a time.

    A dry run does the same and rolls it back, so that it tells the same.
    """
    async with tx.dry_run() if decision.dry_run else nullcontext():
        return await _decide_many(tx, officer, decision)


async def _decide_many(tx: Transaction, officer: Principal, decision: BatchDecision) -> BatchResult:
    batch_id, cause, selection = uuid7(), Cause(officer.client_id, in_mass=True), decision.selection
    missing = set(selection.registration_ids or ())
    refused: dict[UUID, DomainError] = {}
    statuses, flagged = Counter[str](), Counter[AddressFlag]()
    selected = len(missing)
    async for cases in registrations.lock_cases(tx, await _condition(tx, selection), DECIDED_AT_ONCE):
        statuses.update(case.status for case in cases)
        allowed, not_allowed = await _split(tx, officer, cases, decision.action)
        if decision.action in rules.GRANTS:
            flagged.update(flag for case in allowed for flag in rules.flags_of(case))
            allowed, not_named = rules.split_flagged(allowed, decision.including_flags)
            not_allowed |= not_named
        refused |= not_allowed | await _decide(tx, allowed, decision, cause, officer, batch_id)
        selected += 0 if selection.registration_ids else len(cases)
        missing.difference_update(case.id for case in cases)
    refused |= {id_: NotFound() for id_ in selection.registration_ids or () if id_ in missing}
    return BatchResult(batch_id, selected, selected - len(refused), statuses, flagged, refused)


async def _condition(tx: Transaction, selection: Selection) -> ColumnElement[bool]:
    condition = registrations.under_review()
    if selection.bulk_upload_id and selection.status:
        condition = registrations.of_upload(selection.bulk_upload_id, selection.status)
    if selection.renewals:  # found once, since comparing networks takes as long as deciding
        return registrations.with_ids(await registrations.ids_where(tx, line_store.is_unchanged_renewal(condition)))
    if selection.bulk_upload_id:
        return condition
    return registrations.with_ids(selection.registration_ids or [])


async def _split(
    tx: Transaction, officer: Principal, cases: Sequence[Case], action: str
) -> tuple[list[Case], dict[UUID, DomainError]]:
    """``rules.split`` with the users of the cases' clients."""
    users = await partners.client_users(tx, officer.client_id, {id_ for case in cases for id_ in clients_of(case)})
    return rules.split(cases, action, users, await tx.now())


async def _decide(
    tx: Transaction,
    allowed: Sequence[Case],
    decision: DecisionDetails,
    cause: Cause,
    officer: Principal,
    batch_id: UUID,
) -> dict[UUID, DomainError]:
    """Decide cases; returns the refusals of those with a network that is granted to someone else.

    An approved successor supersedes the case that it replaces, and a rejected one leaves its place to others.
    """
    successors = await succession.check_successors(tx, allowed if decision.action == Action.APPROVE else ())
    ids = [case.id for case in allowed if case.id not in successors.refused]
    taken = await _grant_or_withdraw(tx, ids, Action(decision.action), cause, successors.successions)
    refused = successors.refused | {
        id_: NetworkTaken("A network of it is granted to another registrant.") for id_ in taken
    }
    decided = [case for case in allowed if case.id not in refused]
    if decided:
        await succession.supersede(tx, officer, successors, {case.id for case in decided})
        await _record(tx, officer, decided, decision, batch_id)
        if decision.action == Action.REJECT:
            await succession.free_replaced(tx, decided)
    return refused


async def _grant_or_withdraw(
    tx: Transaction, ids: Sequence[UUID], action: Action, cause: Cause, successions: Sequence[Succession]
) -> set[UUID]:
    """Change the allowlist as an action needs; returns the cases that could not be granted."""
    if not ids:
        return set()
    if action == Action.APPROVE:
        return await allowlist.grant(tx, ids, registrations.networks_of, cause, successions)
    if action == Action.REINSTATE:
        return await allowlist.reinstate(tx, ids, registrations.networks_of, cause)
    if action in rules.NEEDS_LEGAL_BASIS:
        await allowlist.withdraw(tx, ids, PARTICIPLES[action], cause)
    return set()


async def _record(
    tx: Transaction, officer: Principal, cases: Sequence[Case], decision: DecisionDetails, batch_id: UUID
) -> None:
    """Write the decision to the cases, as a decision of its own, and as an event of each case."""
    ids = [case.id for case in cases]
    reasons = decision.model_dump(include={"reason_codes", "note", "legal_basis"})
    now = await tx.now()
    end = decision.expires_at or now + APPROVAL_PERIOD
    expires_at = {"expires_at": end} if decision.action == Action.APPROVE else {}
    row = {"batch_id": batch_id, "action": decision.action, "officer": officer.client_id, **reasons, **expires_at}
    # an action leads to the same status from every status in which it is allowed
    status = next_status(cases[0].status, Transition(decision.action))
    values = {"status": status, **UNCLAIMED, "decided_at": now, **reasons, **expires_at}
    await registrations.update_cases(tx, ids, values)
    await store.add(tx, ids, row)
    details: dict[str, Any] = {"status": status, "batch_id": batch_id, **reasons, **expires_at}
    name = f"registration.{PARTICIPLES[Action(decision.action)]}"
    await tx.execute(events.insert_events(name, registrations.event_rows(ids, details), events.actor_columns(officer)))
