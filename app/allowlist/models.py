"""Tables of the allowlist: entries, publications, held changes, and the session of the feed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import CIDR, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.allowlist.guards import HeldKind
from app.core.database.base import NOW, Base, Identified, one_of

GONE = "removed_serial IS NOT NULL"


class Feed(Base):
    """The session of the feed, in one row that the migration inserts and the service never does."""

    __tablename__ = "allowlist_feed"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, server_default=text("1"))
    session: Mapped[UUID]


class Publication(Base):
    """One serial of the list; rows are inserted by the publisher and never updated.

    ``exempt_*`` are the numbers of its changes that the bounds on mass changes do not count: those that an officer
    released, and removals whose addresses the same serial adds again.
    """

    __tablename__ = "publications"
    __table_args__ = (Index(None, "published_at"),)

    serial: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    published_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    count: Mapped[int]
    added: Mapped[int]
    removed: Mapped[int]
    digest: Mapped[str]
    previous_digest: Mapped[str | None]
    exempt_added: Mapped[int] = mapped_column(server_default=text("0"))
    exempt_removed: Mapped[int] = mapped_column(server_default=text("0"))


class HeldChange(Identified, Base):
    """A mass change that waits for another officer; its entries have its id.

    With it, the window would have had ``in_window`` changes of its kind, more than ``bound``; both are null for changes
    that were held before windows were counted.
    """

    __tablename__ = "held_changes"
    __table_args__ = (one_of("kind", HeldKind),)

    kind: Mapped[str]
    count: Mapped[int]
    in_force: Mapped[int]
    in_window: Mapped[int | None]
    bound: Mapped[int | None]
    held_at: Mapped[datetime] = mapped_column(server_default=func.now())
    released_at: Mapped[datetime | None]
    released_by: Mapped[UUID | None]


class Entry(Base):
    """A network granted by an approval.

    ``added_serial`` and ``removed_serial`` are its whole history in the feed; both are 0 if it was withdrawn before it
    was published. ``holder`` is the subject of the accountable registrant. ``*_by`` is the client that decided (null: a
    periodic job of the service); ``*_in_mass`` is true for a decision in a batch or by such a job.
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
        # complements the partial index of the constraint: each entry is in one of the two
        Index("allowlist_entries_gone_idx", "network", postgresql_using="spgist", postgresql_where=text(GONE)),
        Index("allowlist_entries_in_order_idx", "network", postgresql_where=text("removed_serial IS NULL")),
        Index(None, "added_serial"),
        Index(None, "removed_serial", postgresql_where=text(GONE)),
        Index(None, "held_id", postgresql_where=text("held_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    network: Mapped[str] = mapped_column(CIDR)
    registration_id: Mapped[UUID]
    holder: Mapped[str]
    granted_at: Mapped[datetime] = mapped_column(server_default=NOW)
    added_serial: Mapped[int | None]
    granted_by: Mapped[UUID | None]
    granted_in_mass: Mapped[bool] = mapped_column(server_default=text("false"))
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[UUID | None]
    withdrawn_in_mass: Mapped[bool] = mapped_column(server_default=text("false"))
    held_id: Mapped[UUID | None] = mapped_column(ForeignKey(HeldChange.id))
    withdrawn_reason: Mapped[str | None]
    removed_serial: Mapped[int | None]
