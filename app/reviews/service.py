"""Decisions on cases, one or many: each changes the status of a case, and grants or withdraws its networks."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from uuid_utils.compat import uuid7

from app.allowlist import service as allowlist
from app.allowlist.errors import NetworkTaken
from app.allowlist.service import Succession
from app.allowlist.store import Cause
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, Invalid, NotFound
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.events import store as events
from app.operators import store as operators
from app.partners import store as partners
from app.registrations import line_store, succession
from app.registrations import store as registrations
from app.registrations.claims import UNCLAIMED, clients_of
from app.registrations.computed_fields import VALIDITY
from app.registrations.errors import IllegalTransition
from app.registrations.rules import Case, Status, Transition, next_status
from app.registrations.validity import GRACE
from app.reviews import notices, rules, store
from app.reviews.rules import Action, AddressFlag
from app.reviews.schemas import BatchDecision, DecisionDetails, Selection

DECIDED_AT_ONCE = 10_000
APPROVAL_PERIOD = timedelta(days=365)
# The time over which the ends of a batch's approvals are spread, so that their renewals do not come at once.
SPREAD = timedelta(days=30)


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
    """Decide one case as a batch of one; returns the batch's id.

    Raises ``Invalid`` for a time that is not in the future, ``NotFound``, and the refusal, if any.
    """
    await _check_times(tx, decision)
    batch_id = uuid7()
    found = registrations.lock_cases(tx, registrations.with_ids([registration_id]), 1)
    cases = await anext(found, None)
    if cases is None:
        raise NotFound("There is no such registration.", [NotFound.at("/registration_id")])
    if_match.check(cases[0])
    allowed, refused = await _split(tx, officer, cases, decision)
    refused |= await _decide(tx, allowed, decision, Cause(officer.client_id, in_mass=False), officer, batch_id)
    for refusal in refused.values():
        raise refusal
    return batch_id


async def decide_many(tx: Transaction, officer: Principal, decision: BatchDecision) -> BatchResult:
    """Decide all selected cases in the caller's transaction, a bounded number at a time.

    A dry run does the same and rolls it back, so that it tells the same. Raises ``Invalid`` for a time that is not in
    the future and for an unknown operator.
    """
    await _check_times(tx, decision)
    if chosen := decision.selection.filter:
        await operators.check_known(tx, chosen.operator or (), "/selection/filter/operator")
    async with tx.dry_run() if decision.dry_run else nullcontext():
        return await _decide_many(tx, officer, decision)


async def _decide_many(tx: Transaction, officer: Principal, decision: BatchDecision) -> BatchResult:
    batch_id, cause, selection = uuid7(), Cause(officer.client_id, in_mass=True), decision.selection
    missing = set(selection.registration_ids or ())
    refused: dict[UUID, DomainError] = {}
    statuses, flagged = Counter[str](), Counter[AddressFlag]()
    selected = len(missing)
    condition, values = await _condition(tx, selection)
    async for cases in registrations.lock_cases(tx, condition, DECIDED_AT_ONCE, values):
        statuses.update(case.status for case in cases)
        allowed, not_allowed = await _split(tx, officer, cases, decision)
        if decision.action in rules.GRANTS:
            flagged.update(flag for case in allowed for flag in rules.flags_of(case))
            allowed, not_named = rules.split_flagged(allowed, decision.including_flags)
            not_allowed |= not_named
        refused |= not_allowed | await _decide(tx, allowed, decision, cause, officer, batch_id)
        selected += 0 if selection.registration_ids else len(cases)
        missing.difference_update(case.id for case in cases)
    refused |= {id_: NotFound() for id_ in selection.registration_ids or () if id_ in missing}
    return BatchResult(batch_id, selected, selected - len(refused), statuses, flagged, refused)


async def _condition(tx: Transaction, selection: Selection) -> tuple[ColumnElement[bool], dict[str, Any]]:
    """Return the condition of being selected, and the values of its parameters."""
    values: dict[str, Any] = {}
    if selection.filter:
        condition, values = registrations.selected_by(selection.filter.model_dump(exclude_none=True))
    elif selection.bulk_upload_id and selection.status:
        condition = registrations.of_upload(selection.bulk_upload_id, selection.status)
    elif selection.renewals:
        condition = registrations.under_review()
    else:
        condition = registrations.with_ids(selection.registration_ids or [])
    if not selection.renewals:
        return condition, values
    # found once, since comparing networks takes as long as deciding
    found = await registrations.ids_where(tx, line_store.is_unchanged_renewal(condition), values=values)
    return registrations.with_ids(found), {}


async def _check_times(tx: Transaction, decision: DecisionDetails) -> None:
    if errors := rules.times_passed(decision.times, await tx.now()):
        raise Invalid.of(errors)


async def _split(
    tx: Transaction, officer: Principal, cases: Sequence[Case], decision: DecisionDetails
) -> tuple[list[Case], dict[UUID, DomainError]]:
    """``rules.split`` and ``rules.untimely`` with the users of the cases' clients and the register's clock."""
    users = await partners.client_users(tx, officer.client_id, {id_ for case in cases for id_ in clients_of(case)})
    now = await tx.now()
    allowed, refused = rules.split(cases, decision.action, users, now)
    for case in allowed:
        if why := rules.untimely(case, decision.action, now, **decision.times):
            refused[case.id] = why
    return [case for case in allowed if case.id not in refused], refused


async def _decide(
    tx: Transaction,
    allowed: Sequence[Case],
    decision: DecisionDetails,
    cause: Cause,
    officer: Principal,
    batch_id: UUID,
) -> dict[UUID, DomainError]:
    """Decide cases; returns the refusals of those whose networks do not allow it.

    An approved successor supersedes the case that it replaces, and a rejected one leaves its place to others.
    """
    successors = await succession.check_successors(tx, allowed if decision.action == Action.APPROVE else ())
    refused = dict(successors.refused)
    free = [case for case in allowed if case.id not in refused]
    if not decision.effective_at:
        refused |= await _change_list(tx, free, Action(decision.action), cause, successors.successions)
    decided = [case for case in free if case.id not in refused]
    if decided:
        await succession.supersede(tx, officer, successors, {case.id for case in decided})
        await _record(tx, officer, decided, decision, batch_id, in_mass=cause.in_mass)
        if decision.action == Action.REJECT:
            await succession.free_replaced(tx, decided)
    return refused


async def _change_list(
    tx: Transaction, cases: Sequence[Case], action: Action, cause: Cause, successions: Sequence[Succession]
) -> dict[UUID, DomainError]:
    """Change the allowlist as an action needs; returns the refusals of the cases whose networks do not allow it."""
    ids = [case.id for case in cases]
    if action == Action.EXTEND:
        ids = [case.id for case in cases if case.status == Status.EXPIRED]
    if not ids:
        return {}
    if action in rules.GRANTS:
        taken = await _grant(tx, ids, action, cause, successions)
        return {id_: NetworkTaken("A network of it is granted to another registrant.") for id_ in taken}
    if action == Action.EXTEND:
        gone = await allowlist.take_back_removals(tx, registrations.networks_of(ids))
        return {id_: IllegalTransition("This case is expired, and its networks have left the list.") for id_ in gone}
    if action in rules.WITHDRAWS:
        await allowlist.withdraw(tx, ids, rules.PARTICIPLES[action], cause)
    return {}


async def _grant(
    tx: Transaction, ids: Sequence[UUID], action: Action, cause: Cause, successions: Sequence[Succession]
) -> set[UUID]:
    if action == Action.REINSTATE:
        return await allowlist.reinstate(tx, ids, registrations.networks_of, cause)
    return await allowlist.grant(tx, ids, registrations.networks_of, cause, successions)


def _validity(decision: DecisionDetails, now: datetime, *, in_mass: bool) -> dict[str, Any]:
    """Return the values by which a decision changes how long a case is valid, and that nobody was reminded of it."""
    if decision.action not in rules.SETS_EXPIRY:
        return {}
    expires_at: Any = decision.expires_at or now + APPROVAL_PERIOD
    if decision.expires_at is None and in_mass:
        expires_at = store.spread_from(expires_at, SPREAD)
    grace = timedelta(days=_grace_days(decision)) if decision.action == Action.APPROVE else None
    return {"expires_at": expires_at, "ends_at": store.end_after(expires_at, grace), "reminded_days": None}


def _grace_days(decision: DecisionDetails) -> int:
    return GRACE.days if decision.grace_days is None else decision.grace_days


async def _record(
    tx: Transaction,
    officer: Principal,
    cases: Sequence[Case],
    decision: DecisionDetails,
    batch_id: UUID,
    *,
    in_mass: bool,
) -> None:
    """Write the decision to the cases, as a decision of its own, and as an event of each case."""
    ids = [case.id for case in cases]
    reasons = decision.model_dump(include={"reason_codes", "note", "legal_basis"})
    now = await tx.now()
    row = {"batch_id": batch_id, "action": decision.action, "officer": officer.client_id, "in_mass": in_mass, **reasons}
    if decision.effective_at:
        await store.add(tx, ids, {**row, "effective_at": decision.effective_at})
        await notices.give(tx, officer, cases, reasons, batch_id)
        return
    action = Action(decision.action)
    validity = _validity(decision, now, in_mass=in_mass)
    # an action leads to the same status from every status in which it is allowed
    status = next_status(cases[0].status, Transition(action))
    values: dict[str, Any] = {"status": status, **UNCLAIMED, "decided_at": now, **reasons, **validity}
    if action in rules.WITHDRAWS:
        await notices.replace(tx, officer, cases)
        values |= store.NO_NOTICE
    await registrations.update_cases(tx, ids, values)
    grace = {"grace_days": _grace_days(decision)} if action == Action.APPROVE else {}
    await store.add(tx, ids, {**row, **grace, "in_effect_at": now}, with_expiry=bool(validity))
    details: dict[str, Any] = {"status": status, "batch_id": batch_id, **reasons}
    rows = registrations.event_rows(ids, details, VALIDITY if validity else None)
    await tx.execute(
        events.insert_events(f"registration.{rules.PARTICIPLES[action]}", rows, events.actor_columns(officer))
    )
