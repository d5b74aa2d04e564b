"""SQL of readiness: the heartbeats of workers, the migration of the database, and a write that leaves nothing."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.database.transaction import Transaction
from app.health.models import Worker

HEARTBEAT_TIMEOUT = timedelta(seconds=30)
MIGRATIONS = Path(__file__).parents[2] / "migrations"


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
