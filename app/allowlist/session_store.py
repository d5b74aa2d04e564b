"""SQL of the feed's sessions: what is known of them after a failover, and the begin of a new one."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Text, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.allowlist.models import Feed, FeedSession
from app.core.database.transaction import Transaction

# The timeline of the server, which a promotion and a restore to a moment change; it begins the name of a WAL file.
_TIMELINE: ColumnElement[str] = func.substr(func.pg_walfile_name(func.pg_current_wal_lsn()), 1, 8, type_=Text)


class KnownSession(NamedTuple):
    """The timeline in which a session was last published, that of the server now, and a serial that it lacks."""

    timeline: str | None
    present_timeline: str
    served_serial: int | None


async def find(tx: Transaction, session: UUID) -> KnownSession:
    """Return what is known of a session. Fails on a standby, which has no timeline of its own."""
    timeline, served = (
        select(column).where(FeedSession.session == session).scalar_subquery()
        for column in (FeedSession.timeline, FeedSession.served_serial)
    )
    row = await tx.execute(select(timeline, _TIMELINE, served))
    return KnownSession._make(row.one())


async def is_behind(tx: Transaction, session: UUID) -> bool:
    """True when the database lacks a list of this session that was served."""
    served = select(FeedSession.served_serial).where(FeedSession.session == session)
    return await tx.scalar(served) is not None


async def set_timeline(tx: Transaction, session: UUID, timeline: str) -> None:
    """Record the timeline in which the session is published."""
    await _put(tx, session, {"timeline": timeline})


async def report_served(tx: Transaction, session: UUID, serial: int, digest: str) -> None:
    """Record that a list of this session was served which the database does not have."""
    await _put(tx, session, {"served_serial": serial, "served_digest": digest, "reported_at": func.now()})


async def _put(tx: Transaction, session: UUID, values: dict[str, object]) -> None:
    statement = insert(FeedSession).values(session=session, **values)
    await tx.execute(statement.on_conflict_do_update(index_elements=[FeedSession.session], set_=values))


async def begin(tx: Transaction) -> UUID | None:
    """Give the feed a new session and return it; None when its row is missing."""
    begun: UUID | None = await tx.scalar(update(Feed).values(session=func.gen_random_uuid()).returning(Feed.session))
    return begun
