"""Entries, publications, and the one feed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import CIDR, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import Base


class Feed(Base):
    """The session of the feed's unbroken history: one row, made by the migration and never by the service."""

    __tablename__ = "allowlist_feed"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, server_default=text("1"))
    session: Mapped[UUID]


class Publication(Base):
    """One serial of the list: never rewritten, made by the one publisher."""

    __tablename__ = "publications"

    serial: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    published_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    count: Mapped[int]
    added: Mapped[int]
    removed: Mapped[int]
    digest: Mapped[str]
    previous_digest: Mapped[str | None]


class Entry(Base):
    """A network granted by an approval.

    ``added_serial`` and ``removed_serial`` are its whole history in the feed; 0 in both: withdrawn before it
    was ever published. ``holder`` is the accountable registrant's subject.
    """

    __tablename__ = "allowlist_entries"
    __table_args__ = (
        ExcludeConstraint(
            ("network", "&&"), using="spgist", where=text("removed_serial IS NULL"), name="allowlist_entries_no_overlap"
        ),
        Index("allowlist_entries_pending_idx", "id", postgresql_where=text("added_serial IS NULL")),
        Index(
            "allowlist_entries_withdrawn_idx",
            "id",
            postgresql_where=text("withdrawn_at IS NOT NULL AND removed_serial IS NULL"),
        ),
        Index(None, "registration_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    network: Mapped[str] = mapped_column(CIDR)
    registration_id: Mapped[UUID]
    holder: Mapped[str]
    granted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    added_serial: Mapped[int | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_reason: Mapped[str | None]
    removed_serial: Mapped[int | None]
