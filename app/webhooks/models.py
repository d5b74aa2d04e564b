"""Tables of webhooks and of deliveries to them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.database.base import Base, Identified, Versioned, one_of, sealed_column
from app.partners.models import Partner
from app.webhooks.rules import DeliveryStatus, DisabledReason, WebhookStatus

SECRET, PREVIOUS_SECRET = "webhooks.sealed_secret", "webhooks.sealed_previous_secret"
PRIVATE_KEY = "webhooks.sealed_private_key"


class Webhook(Identified, Versioned, Base):
    """A partner's endpoint for events. ``after`` is the last event of the log that was read for it.

    ``failing_since`` is the first failed attempt since the last success; nothing is sent before ``paused_until``.
    The previous secret also signs until ``previous_secret_until``.
    """

    __tablename__ = "webhooks"
    __table_args__ = (
        one_of("status", WebhookStatus),
        one_of("disabled_reason", DisabledReason),
        Index(None, "partner_id", "id"),
    )

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    url: Mapped[str]
    event_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(default=WebhookStatus.ACTIVE)
    disabled_reason: Mapped[str | None]
    sealed_secret: Mapped[bytes] = sealed_column()
    sealed_previous_secret: Mapped[bytes | None] = sealed_column()
    previous_secret_until: Mapped[datetime | None]
    sealed_private_key: Mapped[bytes] = sealed_column()
    public_key: Mapped[str]
    after: Mapped[UUID | None]
    failing_since: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    partner: Mapped[Partner] = relationship(lazy="joined", innerjoin=True)


class Delivery(Identified, Base):
    """Delivery of one event to one webhook. During an attempt, ``next_attempt_at`` is the end of the worker's claim."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        one_of("status", DeliveryStatus),
        UniqueConstraint("webhook_id", "event_id"),
        Index(None, "webhook_id", "id"),
        Index(
            "webhook_deliveries_due_idx", "webhook_id", "next_attempt_at", postgresql_where=text("status = 'pending'")
        ),
        Index(None, "settled_at"),
    )

    webhook_id: Mapped[UUID] = mapped_column(ForeignKey(Webhook.id, ondelete="CASCADE"))
    event_id: Mapped[UUID]
    event_type: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    next_attempt_at: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    response_status: Mapped[int | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    settled_at: Mapped[datetime | None]
