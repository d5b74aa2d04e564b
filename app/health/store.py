"""SQL of readiness: the heartbeats of workers, and the migration of the database."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import delete, func, select, text
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
def newest_migration() -> str | None:
    """The newest Alembic revision in this code."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


async def applied_migration(tx: Transaction) -> str | None:
    """The Alembic revision of the database, or None when it was never migrated."""
    if await tx.scalar(select(func.to_regclass("alembic_version"))) is None:
        return None
    revision: str | None = await tx.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
