"""A failover that loses commits: a copy replaces the database, as a replica that lags behind does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from tests.support.service import Service


@asynccontextmanager
async def _administering(service: Service) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    """Yield a connection to the server and the name of the service's database, which is closed to others meanwhile."""
    url = service.settings.database_url
    name = urlsplit(url).path.removeprefix("/")
    connection = await asyncpg.connect(url.replace(f"/{name}", "/postgres"))
    try:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        yield connection, name
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    finally:
        await connection.close()
    await asyncio.sleep(0.05)  # for the service to see that its connections are gone


async def replica(service: Service) -> str:
    """The name of a copy of the database as it is now."""
    copy = f"t_{uuid4().hex}"
    async with _administering(service) as (connection, name):
        await connection.execute(f"CREATE DATABASE {copy} TEMPLATE {name}")
    return copy


async def fail_over(service: Service, copy: str) -> None:
    """Put a copy in the place of the database: what was committed since it was made is lost."""
    async with _administering(service) as (connection, name):
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.execute(f"ALTER DATABASE {copy} RENAME TO {name}")
