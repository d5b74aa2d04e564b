"""The signs of life that readiness asks for."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from app.core.transaction import Transaction
from app.health.models import Worker

WORKER_SEEN_WITHIN = timedelta(seconds=30)
MIGRATIONS = Path(__file__).parents[2] / "migrations"


async def beat(session: Transaction, worker_id: UUID) -> None:
    """Record that a worker lives, and forget those that have not for a day."""
    statement = insert(Worker).values(id=worker_id)
    await session.execute(statement.on_conflict_do_update(index_elements=[Worker.id], set_={"seen_at": func.now()}))
    await session.execute(delete(Worker).where(Worker.seen_at < func.now() - timedelta(days=1)))


async def worker_seen_lately(session: Transaction) -> bool:
    """Whether any worker gave a sign of life in the last 30 seconds."""
    seen = select(Worker.id).where(Worker.seen_at > func.now() - WORKER_SEEN_WITHIN).limit(1)
    return await session.scalar(seen) is not None


@cache  # it loads every migration
def newest_migration() -> str | None:
    """The revision that this code was written for."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


async def applied_migration(session: Transaction) -> str | None:
    """The revision that the database is at; None when it was never migrated."""
    if await session.scalar(select(func.to_regclass("alembic_version"))) is None:
        return None
    revision: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
