"""Leases of a window's quota, as the database grants them: the table, the one statement, the sweep."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base
from app.core.database.transaction import Transaction

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RateWindow(Base):
    """How much of one subject's quota is leased in one window. A crash of the server may empty it: nothing depends."""

    __tablename__ = "rate_windows"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    rate_class: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    window_start: Mapped[datetime] = mapped_column(primary_key=True, index=True)
    granted: Mapped[int]  # what all leases of the window took together
    leased: Mapped[int]  # what the last one took


@dataclass(frozen=True, slots=True)
class Grant:
    """A portion of one window's quota: ``requests`` of it, what is ``unleased`` after, and the window's last seconds.

    ``window`` tells one window from another.
    """

    window: object
    requests: int
    unleased: int
    seconds: float


async def lease(
    tx: Transaction, rate_class: str, subject: str, *, portion: int, quota: int, window: timedelta
) -> Grant:
    """Lease up to ``portion`` of what is left of ``quota`` in this ``window`` of the database's clock, if only nothing.

    One statement: the row's lock orders the processes, so all leases of a window together are at most the quota.
    """
    now = func.statement_timestamp()
    start = func.date_bin(window, now, EPOCH)
    first = min(portion, quota)
    more = func.greatest(0, func.least(portion, quota - RateWindow.granted))
    added = insert(RateWindow).values(
        rate_class=rate_class, subject=subject, window_start=start, granted=first, leased=first
    )
    statement = added.on_conflict_do_update(
        index_elements=[RateWindow.rate_class, RateWindow.subject, RateWindow.window_start],
        set_={"granted": RateWindow.granted + more, "leased": more},
    ).returning(
        RateWindow.window_start,
        RateWindow.leased,
        RateWindow.granted,
        func.extract("epoch", RateWindow.window_start + window - now),
    )
    began, leased, granted, seconds = (await tx.execute(statement)).one()
    return Grant(began, leased, max(0, quota - granted), float(seconds))


async def forget_ended(tx: Transaction, window: timedelta) -> None:
    """Drop the windows that have ended."""
    await tx.execute(delete(RateWindow).where(RateWindow.window_start < func.now() - window))
