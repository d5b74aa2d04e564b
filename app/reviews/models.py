"""The table of decisions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import NOW, Base, Identified, one_of
from app.registrations.models import Registration
from app.reviews.rules import Action


class ReviewDecision(Identified, Base):
    """A decision on one registration; decisions of one batch share their ``batch_id``.

    With ``effective_at`` it was announced, and then is in effect (``in_effect_at``), cancelled by an officer, or void
    since its case had moved on. Nothing else of it is ever changed. ``grace_days`` are of an approval. ``in_mass`` says
    that it was made in a batch, for the bounds on mass changes.
    """

    __tablename__ = "review_decisions"
    __table_args__ = (
        one_of("action", Action),
        Index(None, "batch_id"),
        Index(None, "registration_id"),
        Index(None, "officer", "id"),
    )

    batch_id: Mapped[UUID]
    registration_id: Mapped[UUID] = mapped_column(ForeignKey(Registration.id))
    action: Mapped[str]
    reason_codes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    note: Mapped[str | None]
    legal_basis: Mapped[str | None]
    expires_at: Mapped[datetime | None]
    officer: Mapped[UUID]
    decided_at: Mapped[datetime] = mapped_column(server_default=NOW)
    grace_days: Mapped[int | None] = mapped_column(SmallInteger)
    in_mass: Mapped[bool] = mapped_column(server_default=text("false"))
    effective_at: Mapped[datetime | None]
    in_effect_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancelled_by: Mapped[UUID | None]
    voided_at: Mapped[datetime | None]
