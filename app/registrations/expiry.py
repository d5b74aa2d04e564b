"""Reminders, lapses and expiries: what the register's clock asks of approvals, a bounded number at a time."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from app.allowlist import service as allowlist
from app.core.database.transaction import Transaction
from app.events import store as events
from app.registrations import due_store, store
from app.registrations.computed_fields import VALIDITY
from app.registrations.rules import Status, Transition
from app.registrations.validity import Move, Reminder, due_moves

# Cases that are locked and changed by one statement.
MOVED_AT_ONCE = 5_000
NOBODY = events.actor_columns(None)


async def move_due(tx: Transaction) -> int:
    """Remind of approvals that expire soon, and let those lapse or expire whose time has come; returns how many."""
    now = await tx.now()
    due: dict[Move, list[UUID]] = defaultdict(list)
    ids = await due_store.due_by_validity(tx, MOVED_AT_ONCE)
    async for cases in store.lock_cases(tx, store.with_ids(ids), MOVED_AT_ONCE):
        for case in cases:  # as it is now that it is locked
            for move in due_moves(case, now):
                due[move].append(case.id)
    count = 0
    for move, moved in due.items():
        if isinstance(move, Reminder):
            await _remind(tx, moved, move.days_before)
        elif move in MOVES:
            await MOVES[move](tx, moved)
        else:
            continue  # an announced decision, which reviews carry out
        count += len(moved)
    return count


async def _remind(tx: Transaction, ids: Sequence[UUID], days: int) -> None:
    await due_store.note_reminder(tx, ids, days)
    rows = store.event_rows(ids, {"status": Status.APPROVED, "days_before": days}, VALIDITY)
    await tx.execute(events.insert_events("registration.expiring", rows, NOBODY))


async def _lapse(tx: Transaction, ids: Sequence[UUID]) -> None:
    await store.update_cases(tx, ids, {"status": Status.LAPSED})
    rows = store.event_rows(ids, {"status": Status.LAPSED}, VALIDITY)
    await tx.execute(events.insert_events("registration.lapsed", rows, NOBODY))


async def _expire(tx: Transaction, ids: Sequence[UUID]) -> None:
    await store.update_cases(tx, ids, {"status": Status.EXPIRED})
    await allowlist.withdraw(tx, ids, "expired", allowlist.EXPIRY)
    rows = store.event_rows(ids, {"status": Status.EXPIRED})
    await tx.execute(events.insert_events("registration.expired", rows, NOBODY))


MOVES = {Transition.LAPSE: _lapse, Transition.EXPIRE: _expire}
