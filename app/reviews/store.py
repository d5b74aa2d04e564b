"""SQL of decisions: recording them, and what becomes of announced ones."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Interval,
    SmallInteger,
    Text,
    Uuid,
    cast,
    func,
    insert,
    literal,
    null,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database.base import INSTANT, NOW
from app.core.database.batches import UUID7, Rows, any_of
from app.core.database.pagination import fetch_page, matching
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.partners.models import Client
from app.registrations import store as registrations
from app.registrations.claims import UNCLAIMED
from app.registrations.models import NOTICE_COLUMNS, Registration
from app.registrations.validity import GRACE
from app.reviews.models import ReviewDecision
from app.reviews.schemas import ReviewDecisionsQuery

COLUMNS: dict[str, Any] = {
    "batch_id": Uuid, "action": Text, "reason_codes": ARRAY(Text), "note": Text, "legal_basis": Text,
    "grace_days": SmallInteger, "officer": Uuid, "in_mass": Boolean, "effective_at": INSTANT, "in_effect_at": INSTANT,
}  # fmt: skip
NO_NOTICE: dict[str, None] = dict.fromkeys(NOTICE_COLUMNS)
UNSYNCHRONIZED = {"synchronize_session": False}
IS_PENDING = (ReviewDecision.in_effect_at.is_(None), ReviewDecision.cancelled_at.is_(None),
              ReviewDecision.voided_at.is_(None))  # fmt: skip


class Announced(NamedTuple):
    """Announced decisions of one officer and action, with their cases; ``in_mass`` as in the decisions."""

    action: str
    officer: UUID
    officers_partner: UUID
    in_mass: bool
    registration_ids: Sequence[UUID]
    decision_ids: Sequence[UUID]


async def add(
    tx: Transaction, registration_ids: Sequence[UUID], decision: dict[str, Any], *, with_expiry: bool = False
) -> None:
    """Insert the same decision for each registration, ``with_expiry`` with the ``expires_at`` of its case."""
    expires_at = Registration.expires_at if with_expiry else cast(null(), INSTANT)
    values = {name: literal(decision.get(name), kind) for name, kind in COLUMNS.items()}
    rows = select(UUID7, Registration.id, expires_at, *values.values()).where(registrations.with_ids(registration_ids))
    await tx.execute(insert(ReviewDecision).from_select(["id", "registration_id", "expires_at", *values], rows))


def spread_from(earliest: datetime, over: timedelta) -> ColumnElement[datetime]:
    """Return a time within ``over`` from ``earliest`` on, by a hash of the case, in whole seconds."""
    hashed = func.hashtextextended(cast(Registration.id, Text), 0, type_=BigInteger)
    seconds = func.abs(func.mod(hashed, int(over.total_seconds())), type_=Integer)
    return type_coerce(literal(earliest, INSTANT) + seconds * literal(timedelta(seconds=1), Interval), INSTANT)


def end_after(expires_at: datetime | ColumnElement[datetime], grace: timedelta | None) -> ColumnElement[datetime]:
    """Return the end of a grace period; without ``grace`` of the period that the case has."""
    present = func.coalesce(Registration.ends_at - Registration.expires_at, literal(GRACE, Interval), type_=Interval)
    expiry = literal(expires_at, INSTANT) if isinstance(expires_at, datetime) else expires_at
    return type_coerce(expiry + (present if grace is None else literal(grace, Interval)), INSTANT)


async def announce(tx: Transaction, registration_ids: Sequence[UUID], batch_id: UUID) -> None:
    """Make the decisions of a batch the notices of their cases."""
    ours = (ReviewDecision.batch_id == batch_id, ReviewDecision.registration_id == Registration.id)
    notice = {
        "notice_decision_id": ReviewDecision.id,
        "notice_action": ReviewDecision.action,
        "notice_effective_at": ReviewDecision.effective_at,
    }
    await _update(tx, registration_ids, notice, *ours)


async def _update(
    tx: Transaction, registration_ids: Sequence[UUID], values: dict[str, Any], *of_decision: ColumnElement[bool]
) -> None:
    """Give cases values of their decisions, as their next version."""
    changed = update(Registration).where(registrations.with_ids(registration_ids), *of_decision)
    versioned = changed.values(version=Registration.version + 1, updated_at=func.now(), **values)
    await tx.execute(versioned.execution_options(**UNSYNCHRONIZED))


async def carry_out(tx: Transaction, registration_ids: Sequence[UUID], status: str) -> None:
    """Give cases the status and the reasons of their announced decisions."""
    reasons = {name: getattr(ReviewDecision, name) for name in ("reason_codes", "note", "legal_basis")}
    values = {"status": status, **UNCLAIMED, "decided_at": NOW, **reasons, **NO_NOTICE}
    await _update(tx, registration_ids, values, ReviewDecision.id == Registration.notice_decision_id)


def announced_event_rows(ids: Sequence[UUID], decision_ids: Sequence[UUID], details: dict[str, Any]) -> Rows:
    """Select the rows of ``events.insert_events`` for cases, with the batch and the reasons of their decisions."""
    names = ("batch_id", "reason_codes", "note", "legal_basis")
    rows = registrations.event_rows(ids, details, {name: getattr(ReviewDecision, name) for name in names})
    # not by the decision's case, which may have been replaced since
    return rows.where(any_of(ReviewDecision.id, decision_ids), ReviewDecision.id == Registration.notice_decision_id)


async def announced(tx: Transaction, registration_ids: Sequence[UUID]) -> list[Announced]:
    """Return the announced decisions of cases by action, officer and kind."""
    by = (ReviewDecision.action, ReviewDecision.officer, Client.partner_id, ReviewDecision.in_mass)
    listed = (func.array_agg(each, type_=ARRAY(Uuid)) for each in (Registration.id, ReviewDecision.id))
    statement = (
        select(*by, *listed)
        .select_from(Registration)
        .join(ReviewDecision, ReviewDecision.id == Registration.notice_decision_id)
        .join(Client, Client.id == ReviewDecision.officer)
        .where(registrations.with_ids(registration_ids))
        .group_by(*by)
        .order_by(*by)
    )
    return [Announced._make(row) for row in await tx.execute(statement)]


async def close(
    tx: Transaction,
    decision_ids: Collection[UUID],
    moment: InstrumentedAttribute[Any],
    cancelled_by: UUID | None = None,
) -> None:
    """Write into announced decisions that they are in effect, cancelled or void since now, by the column ``moment``."""
    values = {moment.key: NOW, **({"cancelled_by": cancelled_by} if cancelled_by else {})}
    closed = update(ReviewDecision).where(any_of(ReviewDecision.id, decision_ids), *IS_PENDING).values(values)
    await tx.execute(closed.execution_options(**UNSYNCHRONIZED))


async def of_batch(tx: Transaction, batch_id: UUID) -> ReviewDecision:
    """Return the decision of a batch of one. Raises ``NotFound``."""
    decision = await tx.scalar(select(ReviewDecision).where(ReviewDecision.batch_id == batch_id))
    if decision is None:
        raise NotFound
    return decision


async def get(tx: Transaction, decision_id: UUID) -> ReviewDecision:
    """Return a decision, as it is now. Raises ``NotFound``."""
    decision = await tx.get(ReviewDecision, decision_id, populate_existing=True)
    if decision is None:
        raise NotFound
    return decision


async def list_page(tx: Transaction, query: ReviewDecisionsQuery) -> tuple[Sequence[ReviewDecision], str | None]:
    """Return a page of decisions, oldest first, and the next cursor."""
    filters = query.filters()
    statement = select(ReviewDecision)
    if start := filters.pop("decided_from", None):
        statement = statement.where(ReviewDecision.decided_at >= start)
    if end := filters.pop("decided_before", None):
        statement = statement.where(ReviewDecision.decided_at < end)
    statement = statement.where(*matching(ReviewDecision, filters))
    return await fetch_page(tx, statement, ReviewDecision.id, query, list_name="review-decisions")
