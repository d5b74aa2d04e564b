"""Deciding cases, one or many: a decision moves a registration and grants or withdraws its networks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from uuid_utils.compat import uuid7

from app.allowlist import service as allowlist
from app.allowlist.errors import NetworkTaken
from app.allowlist.store import Cause
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, NotFound
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.events import store as events
from app.partners import store as partners
from app.registrations import store as registrations
from app.registrations.claims import UNCLAIMED, clients_of
from app.registrations.rules import Case, Move, next_status
from app.reviews import rules, store
from app.reviews.rules import Action, AddressFlag
from app.reviews.schemas import BatchDecision, Selection, Verdict

DECIDED_AT_ONCE = 10_000
APPROVAL_LASTS = timedelta(days=365)
# The past tense of each action, as events say it and as the feed's removal reason.
DONE = {
    Action.APPROVE: "approved",
    Action.REJECT: "rejected",
    Action.REQUEST_INFORMATION: "information_requested",
    Action.SUSPEND: "suspended",
    Action.REINSTATE: "reinstated",
    Action.REVOKE: "revoked",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch: how many were selected and decided, and why the others were not.

    ``flagged`` counts, of those that it could grant, the cases of each flag.
    """

    batch_id: UUID
    selected: int
    decided: int
    flagged: Counter[AddressFlag]
    refused: dict[UUID, DomainError]


async def decide_one(
    tx: Transaction, officer: Principal, registration_id: UUID, if_match: IfMatch, verdict: Verdict
) -> UUID:
    """Decide one case as a batch of one; give the batch's id. Raises whatever refuses it."""
    batch_id = uuid7()
    found = registrations.lock_cases(tx, registrations.with_ids([registration_id]), 1)
    cases = await anext(found, None)
    if cases is None:
        raise NotFound("There is no such registration.", [NotFound.at("/registration_id")])
    if_match.check(cases[0])
    allowed, refused = await _split(tx, officer, cases, verdict.action)
    refused |= await _decide(tx, allowed, verdict, Cause(officer.client_id, in_mass=False), officer, batch_id)
    for refusal in refused.values():
        raise refusal
    return batch_id


async def decide_many(tx: Transaction, officer: Principal, wanted: BatchDecision) -> Outcome:
    """Decide all selected cases, a number at a time and in a few statements each; all in the caller's transaction."""
    batch_id, cause, selection = uuid7(), Cause(officer.client_id, in_mass=True), wanted.selection
    absent = set(selection.registration_ids or ())
    refused: dict[UUID, DomainError] = {}
    flagged: Counter[AddressFlag] = Counter()
    selected = len(absent)
    async for cases in registrations.lock_cases(tx, _condition(selection), DECIDED_AT_ONCE):
        allowed, not_allowed = await _split(tx, officer, cases, wanted.action)
        if wanted.action in rules.GRANTS:
            flagged.update(flag for case in allowed for flag in rules.flags_of(case))
            allowed, unnamed = rules.split_flagged(allowed, wanted.including_flags)
            not_allowed |= unnamed
        refused |= not_allowed | await _decide(tx, allowed, wanted, cause, officer, batch_id)
        selected += 0 if selection.registration_ids else len(cases)
        absent.difference_update(case.id for case in cases)
    refused |= {id_: NotFound() for id_ in selection.registration_ids or () if id_ in absent}
    return Outcome(batch_id, selected, selected - len(refused), flagged, refused)


def _condition(selection: Selection) -> ColumnElement[bool]:
    if selection.bulk_upload_id and selection.status:
        return registrations.of_upload(selection.bulk_upload_id, selection.status)
    return registrations.with_ids(selection.registration_ids or [])


async def _split(
    tx: Transaction, officer: Principal, cases: Sequence[Case], action: str
) -> tuple[list[Case], dict[UUID, DomainError]]:
    """The cases that the officer may decide so, and why not of the others."""
    users = await partners.client_users(tx, officer.client_id, {id_ for case in cases for id_ in clients_of(case)})
    return rules.split(cases, action, users, datetime.now(UTC))


async def _decide(
    tx: Transaction, allowed: Sequence[Case], verdict: Verdict, cause: Cause, officer: Principal, batch_id: UUID
) -> dict[UUID, DomainError]:
    """Decide cases alike that may be decided so; give those whose networks others were granted."""
    taken = await _grant_or_withdraw(tx, [case.id for case in allowed], Action(verdict.action), cause)
    decided = [case for case in allowed if case.id not in taken]
    if decided:
        await _move(tx, officer, decided, verdict, batch_id)
    return {id_: NetworkTaken("A network of it is granted to another registrant.") for id_ in taken}


async def _grant_or_withdraw(tx: Transaction, ids: Sequence[UUID], action: Action, cause: Cause) -> set[UUID]:
    if not ids:
        return set()
    if action in rules.GRANTS:
        return await allowlist.grant(tx, ids, registrations.networks_of(ids), cause)
    if action in rules.NEEDS_LEGAL_BASIS:
        await allowlist.withdraw(tx, ids, DONE[action], cause)
    return set()


async def _move(tx: Transaction, officer: Principal, cases: Sequence[Case], verdict: Verdict, batch_id: UUID) -> None:
    ids = [case.id for case in cases]
    why = verdict.model_dump(include={"reason_codes", "note", "legal_basis"})
    end = verdict.expires_at or datetime.now(UTC) + APPROVAL_LASTS
    expires_at = {"expires_at": end} if verdict.action == Action.APPROVE else {}
    decision = {"batch_id": batch_id, "action": verdict.action, "officer": officer.client_id, **why, **expires_at}
    # every allowed case is in a status from which the action leads to the same one
    status = next_status(cases[0].status, Move(verdict.action))
    now = datetime.now(UTC)
    await registrations.move(tx, ids, {"status": status, **UNCLAIMED, "decided_at": now, **why, **expires_at})
    await store.add(tx, ids, decision)
    details: dict[str, Any] = {"status": status, "batch_id": batch_id, **why, **expires_at}
    name = f"registration.{DONE[Action(verdict.action)]}"
    decided = registrations.decided(ids, details)
    await tx.execute(events.insert_events(name, decided, events.actor_columns(officer)))
