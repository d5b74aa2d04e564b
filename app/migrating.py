"""Migrating a database: schema, login, data keys, reference data."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config

from app.applicants import store as applicants
from app.core.database import data_keys
from app.core.database.engine import Database
from app.core.database.roles import ensure_login
from app.core.settings import Settings
from app.operators import service as operators
from app.partners import store as partners

ALEMBIC_INI = Path(__file__).parents[1] / "alembic.ini"


async def migrate(settings: Settings) -> None:
    """Apply missing migrations, and create missing keys and reference data; idempotent."""
    config = Config(str(ALEMBIC_INI))
    config.attributes["database_url"] = settings.owner_url or settings.database_url
    await asyncio.to_thread(command.upgrade, config, "head")
    if settings.owner_url:
        await ensure_login(settings.owner_url, settings.database_url)
    database = Database(settings)
    try:
        async with database.transaction() as tx:
            await data_keys.add_first(tx, database.keyring)
            await data_keys.rewrap(tx, database.keyring)
        await database.read_keys()
        async with database.transaction() as tx:
            while await applicants.seal_plain_contacts(tx):
                pass
            await partners.ensure_signing_key(tx, settings.signing_algorithm)
            await operators.load_reference(tx)
    finally:
        await database.close()
