"""Validity of an approval: reminders before it expires, its grace period, its end. Pure functions of values."""

from datetime import datetime, timedelta
from typing import NamedTuple

from app.registrations.rules import LISTED, Case, Status, Transition, next_status

# The time for which a case that has expired stays on the list, unless its approval says otherwise.
GRACE = timedelta(days=14)
# Days before the expiry at which a partner is reminded, the earliest first.
REMINDER_DAYS = (30, 7, 1)


class Reminder(NamedTuple):
    """A reminder that an approval expires within ``days_before`` days."""

    days_before: int


Move = Transition | Reminder


def due_moves(case: Case, now: datetime) -> tuple[Move, ...]:
    """Return what is due for a case at a time: nothing, or one move.

    An announced decision goes first, unless the case has ended before it. Of several reminders only the nearest to the
    expiry is due, and none once the approval has expired, so that a register that stood still says one thing.
    """
    has_ended = case.ends_at is not None and case.ends_at <= now and not case.awaits_successor
    if decision := _announced(case, now, has_ended=has_ended):
        return (decision,)
    if case.status not in LISTED or case.expires_at is None:
        return ()
    if has_ended:
        return (Transition.EXPIRE,)
    if case.expires_at <= now:
        return (Transition.LAPSE,) if case.status == Status.APPROVED else ()
    return _reminder(case.expires_at - now, case.reminded_days) if case.status == Status.APPROVED else ()


def _announced(case: Case, now: datetime, *, has_ended: bool) -> Transition | None:
    """Return the action of an announced decision whose time has come before the case ended."""
    if case.notice_action is None or case.notice_effective_at is None or case.notice_effective_at > now:
        return None
    action = Transition(case.notice_action)
    has_ended_before = has_ended and case.ends_at is not None and case.ends_at <= case.notice_effective_at
    if next_status(case.status, action) is None or (case.status in LISTED and has_ended_before):
        return None
    return action


def _reminder(left: timedelta, reminded_days: int | None) -> tuple[Reminder, ...]:
    nearest = min((days for days in REMINDER_DAYS if left <= timedelta(days=days)), default=None)
    if nearest is None or (reminded_days is not None and reminded_days <= nearest):
        return ()
    return (Reminder(nearest),)
