"""The table of events, which is append-only."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import XID8, Base, Identified


class Event(Identified, Base):
    """A fact, recorded in the transaction in which it happened.

    ``(transaction_id, sequence)`` is the order of the log. ``partner_id`` and ``operator`` name the partner and the
    operator that may read the event; when both are null, everyone may.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index(None, "transaction_id", "sequence"),
        Index(None, "subject_id", "transaction_id", "sequence"),
        Index(None, "name", "transaction_id", "sequence"),
        Index(None, "partner_id", "transaction_id", "sequence"),
        Index(
            "events_operator_transaction_id_sequence_idx",
            "operator",
            "transaction_id",
            "sequence",
            postgresql_where=text("operator IS NOT NULL"),
        ),
    )

    transaction_id: Mapped[int] = mapped_column(XID8, server_default=text("pg_current_xact_id()"))
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.now())
    name: Mapped[str]
    subject_id: Mapped[UUID | None]
    partner_id: Mapped[UUID | None]
    operator: Mapped[str | None]
    actor_client_id: Mapped[UUID | None]
    actor_partner_id: Mapped[UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
