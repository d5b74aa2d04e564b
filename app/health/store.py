"""SQL of health: heartbeats of workers, the migration of the database, a write, and what holds back the event log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import delete, func, not_, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.database.transaction import Transaction
from app.events import store as events
from app.events.models import Event
from app.health.models import Worker

# The oldest transaction of the server that has written, in whatever database: it holds back the events after its own.
_OLDEST_WRITER = text(
    "SELECT pid, datname, usename, application_name FROM ("
    " SELECT pid, datname, usename, application_name, backend_xid AS xid FROM pg_stat_activity"
    " UNION ALL SELECT NULL, database, owner, 'prepared transaction ' || gid, transaction FROM pg_prepared_xacts"
    ") AS writers WHERE xid IS NOT NULL ORDER BY age(xid) DESC LIMIT 1"
)
HEARTBEAT_TIMEOUT = timedelta(seconds=30)
MIGRATIONS = Path(__file__).parents[2] / "migrations"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Events that wait: for how many seconds, and for which transaction; ``process`` is PostgreSQL's id of its own."""

    seconds: float
    process: str
    database: str
    login: str
    application: str


async def record_heartbeat(tx: Transaction, worker_id: UUID) -> None:
    """Record a heartbeat of a worker, and delete the workers without one for a day."""
    statement = insert(Worker).values(id=worker_id)
    await tx.execute(statement.on_conflict_do_update(index_elements=[Worker.id], set_={"seen_at": func.now()}))
    await tx.execute(delete(Worker).where(Worker.seen_at < func.now() - timedelta(days=1)))


async def has_live_worker(tx: Transaction) -> bool:
    """True when a worker had a heartbeat in the last 30 seconds."""
    seen = select(Worker.id).where(Worker.seen_at > func.now() - HEARTBEAT_TIMEOUT).limit(1)
    return await tx.scalar(seen) is not None


@cache  # it loads every migration
def own_migrations() -> Sequence[str]:
    """The Alembic revisions of this code, from the first to the newest."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()][::-1]


async def applied_migration(tx: Transaction) -> str | None:
    """The Alembic revision of the database, or None when it was never migrated."""
    if await tx.scalar(select(func.to_regclass("alembic_version"))) is None:
        return None
    revision: str | None = await tx.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


async def oldest_code(tx: Transaction) -> str | None:
    """The oldest migration whose code can run on this database, or None when it does not say."""
    if await tx.scalar(select(func.to_regprocedure("register_oldest_code()"))) is None:
        return None
    oldest: str | None = await tx.scalar(select(func.register_oldest_code()))
    return oldest


async def is_read_only(tx: Transaction) -> bool:
    """True when the server is a standby, or lets no transaction write."""
    standby = func.pg_is_in_recovery()
    return bool(await tx.scalar(select(or_(standby, func.current_setting("transaction_read_only") == "on"))))


async def write_nothing(tx: Transaction) -> None:
    """Write to the write-ahead log only, so that the commit waits for what every commit waits for."""
    await tx.execute(select(func.pg_logical_emit_message(True, "health", "")))


async def find_held_back(tx: Transaction) -> HeldBack | None:
    """Return how long events have been waiting for a transaction that began before them, or None when none waits."""
    waiting = select(func.extract("epoch", func.now() - func.min(Event.occurred_at))).where(not_(events.SETTLED))
    seconds = await tx.scalar(waiting)
    holder = (await tx.execute(_OLDEST_WRITER)).one_or_none() if seconds is not None else None
    return None if holder is None else HeldBack(float(seconds or 0), *(str(each or "") for each in holder))
