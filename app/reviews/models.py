"""The table of decisions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import NOW, Base, Identified, one_of
from app.registrations.models import Registration
from app.reviews.rules import Action


class ReviewDecision(Identified, Base):
    """A decision on one registration, never changed; decisions of one batch share their ``batch_id``."""

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
