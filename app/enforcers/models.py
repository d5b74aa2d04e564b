"""Tables of enforcers and of their states over time."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import NOW, Base, Identified, one_of
from app.enforcers.rules import EnforcerState, Grade
from app.partners.models import Partner

IS_APPLIED, IS_FETCHED = text(f"grade = '{Grade.APPLIED}'"), text(f"grade = '{Grade.FETCHED}'")


class Enforcer(Identified, Base):
    """An enforcer, with the newest list that it confirmed, or that a client fetched.

    Of the grade ``applied``, ``name`` is the operator's; of ``fetched`` it is that of the client ``client_id``.
    ``seen_at`` is the last time that it was heard of, ``first_seen_at`` the first. The list is the one of ``session``,
    ``serial`` and ``digest``, as it was said.
    """

    __tablename__ = "enforcers"
    __table_args__ = (
        one_of("grade", Grade),
        one_of("state", EnforcerState),
        Index("enforcers_applied_key", "partner_id", "name", unique=True, postgresql_where=IS_APPLIED),
        Index("enforcers_fetched_key", "client_id", unique=True, postgresql_where=IS_FETCHED),
        Index(None, "partner_id", "id"),
        Index(None, "operator"),
        Index(None, "seen_at"),
    )

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    operator: Mapped[str]
    grade: Mapped[str]
    name: Mapped[str]
    client_id: Mapped[UUID]
    session: Mapped[UUID]
    serial: Mapped[int]
    digest: Mapped[str]
    applied_at: Mapped[datetime | None]
    first_seen_at: Mapped[datetime] = mapped_column(server_default=NOW)
    seen_at: Mapped[datetime] = mapped_column(server_default=NOW)
    state: Mapped[str] = mapped_column(server_default=text(f"'{EnforcerState.IN_STEP}'"))
    state_since: Mapped[datetime] = mapped_column(server_default=NOW)


class StateChange(Base):
    """A state of an enforcer and since when; the next row of the enforcer ends it. Before the first it was in step."""

    __tablename__ = "enforcer_states"
    __table_args__ = (one_of("state", EnforcerState),)

    enforcer_id: Mapped[UUID] = mapped_column(ForeignKey(Enforcer.id, ondelete="CASCADE"), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id), index=True)
    state: Mapped[str]
