"""The migrations produce the schema of the models, and can be reverted."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.health.store import newest_migration
from app.migrating import ALEMBIC_INI, migrate
from tests.support import cases, postgres
from tests.support.service import Caller, Service

TABLES = (
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
)
# Columns, indexes and constraints as text, to compare schemas.
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
    """The URL of an empty database."""
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


async def test_the_migrations_produce_the_schema_of_the_models(empty_url: str) -> None:
    config = _config(empty_url)
    await asyncio.to_thread(command.upgrade, config, "head")
    await asyncio.to_thread(command.check, config)


async def test_downgrade_removes_everything_and_a_second_upgrade_gives_the_same_schema(empty_url: str) -> None:
    config = _config(empty_url)
    await asyncio.to_thread(command.upgrade, config, "head")
    before = await _rows(empty_url, SHAPE)
    await asyncio.to_thread(command.downgrade, config, "base")
    assert await _rows(empty_url, TABLES) == [0]
    await asyncio.to_thread(command.upgrade, config, "head")
    assert await _rows(empty_url, SHAPE) == before
    assert len(before) > 100


async def test_migrating_twice_keeps_the_feed_its_session_and_the_signing_key(empty_url: str) -> None:
    settings = postgres.settings_for(empty_url)
    await migrate(settings)
    (session,) = await _rows(empty_url, "SELECT session FROM allowlist_feed")
    await migrate(settings)
    assert await _rows(empty_url, "SELECT session FROM allowlist_feed") == [session]
    assert await _rows(empty_url, "SELECT count(*) FROM signing_keys") == [1]
    for row in ("(1, gen_random_uuid())", "(2, gen_random_uuid())"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await postgres.execute(empty_url, f"INSERT INTO allowlist_feed (id, session) VALUES {row}")


async def test_approvals_from_before_the_notice_clock_get_a_grace_period(
    service: Service, pseb: Caller, officer: Caller, database_url: str
) -> None:
    made = {name: await cases.approved(pseb, officer) for name in ("approved", "suspended", "revoked")}
    why = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}
    for name, action in (("suspended", "suspend"), ("revoked", "revoke")):
        await cases.decide(officer, made[name], action, **why)
    waiting = await cases.submitted(pseb)
    config = _config(database_url)
    clock = ScriptDirectory.from_config(config).get_revision("0024")
    await asyncio.to_thread(command.downgrade, config, str(clock.down_revision))
    await asyncio.to_thread(command.upgrade, config, "head")

    async def dates(case: dict[str, Any]) -> list[Any]:
        read = (await officer.get(f"/v1/registrations/{case['id']}")).json()
        return [datetime.fromisoformat(read[name]) if read[name] else None for name in ("expires_at", "ends_at")]

    for name, days in (("approved", 14), ("suspended", 14), ("revoked", 0)):
        expires_at, ends_at = await dates(made[name])
        assert ends_at - expires_at == timedelta(days=days), name
    assert await dates(waiting) == [None, None]
    decisions = (await officer.get("/v1/review-decisions")).json()["items"]
    assert len(decisions) == 5
    assert all(each["in_effect_at"] == each["decided_at"] for each in decisions)


def test_the_migrations_are_linear_and_the_code_names_the_newest() -> None:
    script = ScriptDirectory.from_config(Config(str(ALEMBIC_INI)))
    assert script.get_heads() == [newest_migration()]
    assert len(script.get_bases()) == 1
