"""SQL statements on webhooks and deliveries."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased
from uuid_utils.compat import uuid7

from app.core.database.base import INSTANT
from app.core.database.batches import json_rows
from app.core.database.pagination import PageQuery, fetch_page, matching
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.core.principal import Principal
from app.events.models import Event
from app.partners.models import Partner
from app.webhooks.models import Delivery, Webhook
from app.webhooks.rules import DeliveryStatus, WebhookStatus
from app.webhooks.schemas import DeliveriesQuery

# A disabled partner is told nothing; what is due waits until it is enabled.
OF_ENABLED_PARTNER = select(Partner.id).where(Partner.id == Webhook.partner_id, Partner.disabled_at.is_(None)).exists()


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that a worker has claimed for attempt number ``attempts``."""

    id: UUID
    event_id: UUID
    attempts: int


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """State of a delivery after attempt number ``attempts``; ignored when another attempt has begun."""

    id: UUID
    attempts: int
    status: str
    next_attempt_at: datetime | None
    response_status: int | None
    last_error: str | None
    settled_at: datetime | None


async def add(tx: Transaction, webhook: Webhook) -> None:
    """Insert a webhook."""
    tx.add(webhook)
    await tx.flush()
    await tx.refresh(webhook)


async def count_webhooks(tx: Transaction, partner_id: UUID) -> int:
    """Count a partner's webhooks under a lock that keeps other transactions from creating one."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"webhooks {partner_id}", 0))))
    return int(await tx.scalar(select(func.count()).where(Webhook.partner_id == partner_id)) or 0)


async def get(tx: Transaction, principal: Principal, webhook_id: UUID, *, lock: bool = False) -> Webhook:
    """Return one webhook of the caller's partner; ``lock`` locks its row. Raises ``NotFound``."""
    statement = select(Webhook).where(Webhook.id == webhook_id, Webhook.partner_id == principal.partner_id)
    webhook = await tx.scalar(statement.with_for_update(of=Webhook) if lock else statement)
    if webhook is None:
        raise NotFound
    return webhook


async def list_page(tx: Transaction, principal: Principal, query: PageQuery) -> tuple[Sequence[Webhook], str | None]:
    """Return a page of the caller's webhooks, oldest first, and the cursor of the next page."""
    statement = select(Webhook).where(Webhook.partner_id == principal.partner_id)
    return await fetch_page(tx, statement, Webhook.id, query, list_name="webhooks")


async def list_deliveries(
    tx: Transaction, webhook: Webhook, query: DeliveriesQuery
) -> tuple[Sequence[Delivery], str | None]:
    """Return a page of a webhook's deliveries, newest first, and the cursor of the next page."""
    statement = select(Delivery).where(Delivery.webhook_id == webhook.id, *matching(Delivery, query.filters()))
    name = f"deliveries {webhook.id}"
    return await fetch_page(tx, statement, Delivery.id, query, list_name=name, descending=True)


async def save(tx: Transaction, webhook: Webhook) -> None:
    """Write a changed webhook with its next version."""
    webhook.version += 1
    webhook.updated_at = func.now()
    await tx.flush()
    await tx.refresh(webhook)


async def remove(tx: Transaction, webhook: Webhook) -> None:
    """Delete a webhook and its deliveries."""
    await tx.delete(webhook)
    await tx.flush()


async def lock_active(tx: Transaction, webhook_id: UUID, *, wait: bool = False) -> Webhook | None:
    """Lock an active webhook and return it; None when it is not active, or locked by another unless ``wait``."""
    statement = select(Webhook).where(Webhook.id == webhook_id, Webhook.status == WebhookStatus.ACTIVE)
    webhook: Webhook | None = await tx.scalar(statement.with_for_update(of=Webhook, skip_locked=not wait))
    return webhook


async def find_behind(tx: Transaction) -> Sequence[UUID]:
    """Return the active webhooks with committed events after their position in the log."""
    start = aliased(Event)
    settled = Event.transaction_id < func.pg_snapshot_xmin(func.pg_current_snapshot())
    later = tuple_(Event.transaction_id, Event.sequence) > tuple_(start.transaction_id, start.sequence)
    statement = (
        select(Webhook.id)
        .join(start, start.id == Webhook.after)
        .where(
            Webhook.status == WebhookStatus.ACTIVE, OF_ENABLED_PARTNER, select(Event.id).where(settled, later).exists()
        )
    )
    return (await tx.scalars(statement)).all()


async def add_deliveries(tx: Transaction, webhook_id: UUID, events: Sequence[tuple[UUID, str]], now: datetime) -> None:
    """Insert a delivery for each event (id and name), in this order; existing deliveries stay as they are."""
    if not events:
        return
    column_types: dict[str, Any] = {
        "id": Uuid, "webhook_id": Uuid, "event_id": Uuid, "event_type": Text, "next_attempt_at": INSTANT,
    }  # fmt: skip
    rows = [
        dict(zip(column_types, (uuid7(), webhook_id, event_id, name, now), strict=True)) for event_id, name in events
    ]
    batch = json_rows("delivery", column_types, rows)
    statement = insert(Delivery).from_select(list(column_types), select(*batch.c))
    await tx.execute(statement.on_conflict_do_nothing())


async def find_due(tx: Transaction, now: datetime) -> list[tuple[UUID, UUID]]:
    """Return the active, unpaused webhooks that have a due delivery, each with its partner."""
    waiting = select(Delivery.id).where(
        Delivery.webhook_id == Webhook.id,
        Delivery.status == DeliveryStatus.PENDING,
        Delivery.next_attempt_at <= now,
    )
    unpaused = or_(Webhook.paused_until.is_(None), Webhook.paused_until <= now)
    active = select(Webhook.id, Webhook.partner_id).where(Webhook.status == WebhookStatus.ACTIVE)
    found = await tx.execute(active.where(unpaused, OF_ENABLED_PARTNER, waiting.exists()))
    return [(webhook_id, partner_id) for webhook_id, partner_id in found]


async def claim(
    tx: Transaction, webhook_id: UUID, now: datetime, *, limit: int, lease: timedelta
) -> list[ClaimedDelivery]:
    """Claim up to ``limit`` due deliveries; they are due again after ``lease`` if the worker dies."""
    chosen = (
        select(Delivery.id)
        .where(
            Delivery.webhook_id == webhook_id,
            Delivery.status == DeliveryStatus.PENDING,
            Delivery.next_attempt_at <= now,
        )
        .order_by(Delivery.next_attempt_at, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    statement = (
        update(Delivery)
        .where(Delivery.id == chosen.c.id)
        .values(attempts=Delivery.attempts + 1, last_attempt_at=now, next_attempt_at=now + lease)
        .returning(Delivery.id, Delivery.event_id, Delivery.attempts)
        .execution_options(synchronize_session=False)
    )
    claimed = [ClaimedDelivery(id_, event_id, attempts) for id_, event_id, attempts in await tx.execute(statement)]
    return sorted(claimed, key=lambda each: each.id)


async def record_attempts(tx: Transaction, results: Sequence[AttemptResult]) -> None:
    """Update deliveries by the results of their attempts."""
    column_types: dict[str, Any] = {
        "id": Uuid, "attempts": Integer, "status": Text, "next_attempt_at": INSTANT, "response_status": Integer,
        "last_error": Text, "settled_at": INSTANT,
    }  # fmt: skip
    batch = json_rows("result", column_types, [asdict(each) for each in results])
    written = ("status", "next_attempt_at", "response_status", "last_error", "settled_at")
    await tx.execute(
        update(Delivery)
        .where(Delivery.id == batch.c.id, Delivery.attempts == batch.c.attempts)
        .values({name: batch.c[name] for name in written})
        .execution_options(synchronize_session=False)
    )


async def delete_ended_after(tx: Transaction, webhook: Webhook, event_id: UUID) -> None:
    """Delete ended deliveries of the events after ``event_id``, so that these can be delivered again."""
    start = aliased(Event)
    position = select(start.transaction_id, start.sequence).where(start.id == event_id).subquery()
    is_ended_after = and_(
        Delivery.webhook_id == webhook.id,
        Delivery.status != DeliveryStatus.PENDING,
        Event.id == Delivery.event_id,
        tuple_(Event.transaction_id, Event.sequence) > tuple_(position.c.transaction_id, position.c.sequence),
    )
    await tx.execute(delete(Delivery).where(is_ended_after).execution_options(synchronize_session=False))


async def delete_ended_before(tx: Transaction, instant: datetime) -> None:
    """Delete deliveries that ended before ``instant``."""
    await tx.execute(delete(Delivery).where(Delivery.settled_at < instant))
