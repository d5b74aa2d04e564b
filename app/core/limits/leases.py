"""Leases of rate limits: the database grants a process a part of a quota for a window of time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base
from app.core.database.transaction import Transaction

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RateWindow(Base):
    """The part of a subject's quota that is leased in a window; UNLOGGED, so a crash of PostgreSQL resets it."""

    __tablename__ = "rate_windows"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    rate_class: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    window_start: Mapped[datetime] = mapped_column(primary_key=True, index=True)
    granted: Mapped[int]  # by all leases of the window
    leased: Mapped[int]  # by the last one


@dataclass(frozen=True, slots=True)
class Grant:
    """A granted lease: its ``requests``, those ``unleased`` after it, and the ``seconds`` to the end of ``window``."""

    window: object
    requests: int
    unleased: int
    seconds: float


async def lease(
    tx: Transaction, rate_class: str, subject: str, *, portion: int, quota: int, window: timedelta
) -> Grant:
    """Lease up to ``portion`` requests, or those left of ``quota``, in the present ``window`` of the database's clock.

    It is one statement, and the row's lock serializes processes, so the leases of a window never exceed the quota.
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


async def delete_ended(tx: Transaction, window: timedelta) -> None:
    """Delete windows that have ended."""
    await tx.execute(delete(RateWindow).where(RateWindow.window_start < func.now() - window))
