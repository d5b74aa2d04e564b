"""Alembic environment: runs each migration in a transaction of its own, by asyncpg."""

import asyncio

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.database.connecting import Connector
from app.core.settings import Settings
from app.models import metadata

# A migration that does not get its locks soon fails, since other statements queue behind it.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "15min"
CALL_SECONDS = 16 * 60.0  # on this side


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=metadata, transaction_per_migration=True, compare_type=True
    )
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    connection.commit()
    with context.begin_transaction():
        context.run_migrations()


async def _online(url: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=Connector(url, seconds=CALL_SECONDS).connect,
        poolclass=pool.NullPool,
        native_inet_types=False,
    )
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_online(context.config.attributes.get("database_url") or Settings().database_url))
