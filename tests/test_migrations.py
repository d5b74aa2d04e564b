"""The migrations and the models say the same, one way and back."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.health.store import newest_migration
from app.migrating import ALEMBIC_INI, migrate
from tests.support import postgres

TABLES = (
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
)
# Everything that a schema is made of, to be compared as text.
SHAPE = """
SELECT 'column ' || table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable
       || coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace
ORDER BY 1
"""


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """The URL of a database with nothing in it."""
    name = f"t_{uuid4().hex}"
    await postgres.execute(server_url, f"CREATE DATABASE {name}")
    url = postgres.database_url(server_url, name)
    yield url
    await postgres.drop(server_url, url)


def _config(url: str) -> Config:
    config = Config(str(ALEMBIC_INI))
    config.attributes["database_url"] = url
    return config


async def _rows(url: str, statement: str) -> list[object]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_nothing_in_the_models_is_missing_from_the_migrations(empty_url: str) -> None:
    config = _config(empty_url)
    await asyncio.to_thread(command.upgrade, config, "head")
    await asyncio.to_thread(command.check, config)


async def test_the_way_down_leaves_nothing_and_the_way_up_again_leads_to_the_same_schema(empty_url: str) -> None:
    config = _config(empty_url)
    await asyncio.to_thread(command.upgrade, config, "head")
    before = await _rows(empty_url, SHAPE)
    await asyncio.to_thread(command.downgrade, config, "base")
    assert await _rows(empty_url, TABLES) == [0]
    await asyncio.to_thread(command.upgrade, config, "head")
    assert await _rows(empty_url, SHAPE) == before
    assert len(before) > 100


async def test_migrating_twice_makes_one_feed_and_one_signing_key_and_never_a_new_session(empty_url: str) -> None:
    settings = postgres.settings_for(empty_url)
    await migrate(settings)
    (session,) = await _rows(empty_url, "SELECT session FROM allowlist_feed")
    await migrate(settings)
    assert await _rows(empty_url, "SELECT session FROM allowlist_feed") == [session]
    assert await _rows(empty_url, "SELECT count(*) FROM signing_keys") == [1]
    for row in ("(1, gen_random_uuid())", "(2, gen_random_uuid())"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await postgres.execute(empty_url, f"INSERT INTO allowlist_feed (id, session) VALUES {row}")


def test_the_migrations_are_one_line_and_the_code_knows_its_end() -> None:
    script = ScriptDirectory.from_config(Config(str(ALEMBIC_INI)))
    assert script.get_heads() == [newest_migration()]
    assert len(script.get_bases()) == 1
