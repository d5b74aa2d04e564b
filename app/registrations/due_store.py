"""SQL of what the register's clock asks of cases."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, or_, select, union, update

from app.core.database.base import NOW
from app.core.database.batches import any_of
from app.core.database.transaction import Transaction
from app.partners.models import Client
from app.registrations.computed_fields import awaits_successor
from app.registrations.models import Registration
from app.registrations.rules import GRANTED, Status
from app.registrations.store import NOT_SYNCHRONIZED, with_ids
from app.registrations.validity import REMINDER_DAYS


def _due_by_validity() -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of the moves of ``validity.due_moves`` by expiry, each with an index of its own."""
    is_approved = Registration.status == Status.APPROVED
    yield and_(is_approved, Registration.expires_at <= NOW)
    yield and_(Registration.status == Status.LAPSED, Registration.ends_at <= NOW, not_(awaits_successor()))
    for earlier, days in zip((None, *REMINDER_DAYS), REMINDER_DAYS, strict=False):
        yield and_(
            is_approved, Registration.reminded_days == earlier, Registration.expires_at <= NOW + timedelta(days=days)
        )


async def due_by_validity(tx: Transaction, limit: int) -> list[UUID]:
    """Return the ids of up to ``limit`` cases that are to be reminded of, or to lapse or expire."""
    due = [select(Registration.id).where(each).limit(limit).subquery() for each in _due_by_validity()]
    return list(await tx.scalars(union(*(select(each.c.id) for each in due)).limit(limit)))


def notice_is_due() -> ColumnElement[bool]:
    """Return the condition of having an announced decision that is to take effect, or whose grant has ended."""
    has_ended = not_(any_of(Registration.status, sorted(GRANTED)))
    return and_(Registration.notice_decision_id.is_not(None), or_(Registration.notice_effective_at <= NOW, has_ended))


async def note_reminder(tx: Transaction, ids: Sequence[UUID], days: int) -> None:
    """Note the reminder that was recorded last, which is no part of a case's version."""
    noted = update(Registration).where(with_ids(ids)).values(reminded_days=days)
    await tx.execute(noted.execution_options(**NOT_SYNCHRONIZED))


def claimed_too_long(hours: int) -> ColumnElement[bool]:
    """Return the condition of having a claim whose time has passed: ``hours``, if it was made without an end."""
    end = func.coalesce(Registration.claim_ends_at, Registration.updated_at + timedelta(hours=hours))
    return and_(Registration.status == Status.IN_REVIEW, end <= NOW)


def claimed_by_disabled() -> ColumnElement[bool]:
    """Return the condition of being claimed by a client that has been disabled."""
    disabled = select(Client.id).where(Client.disabled_at.is_not(None))
    return and_(Registration.status == Status.IN_REVIEW, Registration.claimed_by.in_(disabled))
