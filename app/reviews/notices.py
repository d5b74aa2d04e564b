"""Announced decisions: given as a notice, put off, cancelled, and carried out when their time has come."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.allowlist import service as allowlist
from app.allowlist.store import Cause
from app.core.database.transaction import Transaction
from app.core.errors import SelfReview
from app.core.principal import Principal
from app.events import store as events
from app.partners import store as partners
from app.registrations import due_store
from app.registrations import store as registrations
from app.registrations.claims import clients_of, own_content
from app.registrations.models import Registration
from app.registrations.rules import TRANSITIONS, Case, Transition, next_status
from app.registrations.validity import due_moves
from app.reviews import store
from app.reviews.errors import DecisionNotPending
from app.reviews.models import ReviewDecision
from app.reviews.rules import PARTICIPLES, WITHDRAWS, Action
from app.reviews.store import Announced

# Cases that are locked and changed by one statement.
TAKE_EFFECT_AT_ONCE = 5_000
ANNOUNCED = tuple(map(Transition, WITHDRAWS))
OF_NOTICE = {
    "decision_id": Registration.notice_decision_id,
    "action": Registration.notice_action,
    "effective_at": Registration.notice_effective_at,
}


async def give(
    tx: Transaction, officer: Principal, cases: Sequence[Case], reasons: dict[str, Any], batch_id: UUID
) -> None:
    """Give notice of the decisions of a batch, which are recorded. They take the place of earlier notices."""
    await replace(tx, officer, cases)
    by_status: dict[str, list[UUID]] = defaultdict(list)
    for case in cases:
        by_status[case.status].append(case.id)
    await store.announce(tx, [case.id for case in cases], batch_id)
    for status, ids in by_status.items():
        rows = registrations.event_rows(ids, {"status": status, "batch_id": batch_id, **reasons}, OF_NOTICE)
        await tx.execute(events.insert_events("registration.notice_given", rows, events.actor_columns(officer)))


async def replace(tx: Transaction, officer: Principal, cases: Sequence[Case]) -> None:
    """Cancel announced decisions of cases, since another takes their place."""
    earlier = [case.notice_decision_id for case in cases if case.notice_decision_id]
    if earlier:
        await store.close(tx, earlier, ReviewDecision.cancelled_at, officer.client_id)


async def cancel(tx: Transaction, officer: Principal, decision_id: UUID) -> ReviewDecision:
    """Cancel an announced decision; cancelling it again changes nothing.

    Raises ``NotFound``, ``SelfReview`` for a case that the officer gave content, and ``DecisionNotPending`` for a
    decision that is in effect or void.
    """
    decision = await store.get(tx, decision_id)
    holders = await registrations.ids_where(tx, Registration.notice_decision_id == decision_id)
    # a case that replaced the decision's has its notice since
    ids = holders or [decision.registration_id]
    (case,) = await anext(registrations.lock_cases(tx, registrations.with_ids(ids), 1))
    decision = await store.get(tx, decision_id)  # as it is now that the case is locked
    if decision.cancelled_at is not None:
        return decision
    users = await partners.client_users(tx, officer.client_id, clients_of(case))
    if own := own_content(case, users):
        raise SelfReview(users.explain(own))
    if case.notice_decision_id != decision_id or next_status(case.status, Transition(decision.action)) is None:
        raise DecisionNotPending
    rows = registrations.event_rows([case.id], {"status": case.status}, OF_NOTICE)
    await tx.execute(events.insert_events("registration.notice_cancelled", rows, events.actor_columns(officer)))
    await registrations.update_cases(tx, [case.id], dict(store.NO_NOTICE))
    await store.close(tx, [decision_id], ReviewDecision.cancelled_at, officer.client_id)
    return await store.get(tx, decision_id)


async def take_effect(tx: Transaction) -> int:
    """Carry out announced decisions whose time has come, and void those of cases that have ended; returns how many."""
    now = await tx.now()
    due: list[UUID] = []
    over: list[Case] = []
    ids = await registrations.ids_where(tx, due_store.notice_is_due(), TAKE_EFFECT_AT_ONCE)
    async for cases in registrations.lock_cases(tx, registrations.with_ids(ids), TAKE_EFFECT_AT_ONCE):
        for case in cases:  # as it is now that it is locked
            if any(move in ANNOUNCED for move in due_moves(case, now)):
                due.append(case.id)
            elif case.notice_action and next_status(case.status, Transition(case.notice_action)) is None:
                over.append(case)
    for each in await store.announced(tx, due) if due else ():
        await _carry_out(tx, each)
    await _void(tx, over)
    return len(due) + len(over)


async def _carry_out(tx: Transaction, announced: Announced) -> None:
    """Carry out decisions as if they were made now by their officer."""
    action, ids = Action(announced.action), announced.registration_ids
    _, status = TRANSITIONS[Transition(action)]
    rows = store.announced_event_rows(ids, announced.decision_ids, {"status": status})
    actor = events.actor_of(announced.officer, announced.officers_partner)
    await tx.execute(events.insert_events(f"registration.{PARTICIPLES[action]}", rows, actor))
    await store.carry_out(tx, ids, status)
    await allowlist.withdraw(tx, ids, PARTICIPLES[action], Cause(announced.officer, announced.in_mass))
    await store.close(tx, announced.decision_ids, ReviewDecision.in_effect_at)


async def _void(tx: Transaction, cases: Sequence[Case]) -> None:
    if cases:
        announced = [each.notice_decision_id for each in cases if each.notice_decision_id]
        await store.close(tx, announced, ReviewDecision.voided_at)
        await registrations.update_cases(tx, [each.id for each in cases], dict(store.NO_NOTICE))
