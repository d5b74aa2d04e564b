"""Bringing a database to this code: migrations, reference data, and the first signing key."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config

from app.core.db import Database
from app.core.keyring import Keyring
from app.core.settings import Settings
from app.operators import service as operators
from app.partners import store as partners

ALEMBIC_INI = Path(__file__).parents[1] / "alembic.ini"


async def migrate(settings: Settings) -> None:
    """Apply what is missing; doing it again changes nothing."""
    config = Config(str(ALEMBIC_INI))
    config.attributes["database_url"] = settings.database_url
    await asyncio.to_thread(command.upgrade, config, "head")
    database = Database(settings, Keyring(settings.secret_key.get_secret_value()))
    try:
        async with database.write() as session:
            await partners.add_first_signing_key(session)
            await operators.load_reference(session)
    finally:
        await database.close()
