"""The embedded PostgreSQL server: access, directories, and error messages."""

import asyncio
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from app.demo import embedded_postgres as embedded
from app.demo.embedded_postgres import ServerNotStarted, embedded_postgres, run_as

pytestmark = pytest.mark.slow
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to be")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short path that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="embedded-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def answers(url: str, statement: str = "SELECT 1") -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def run_stack(data_dir: Path) -> subprocess.CompletedProcess[str]:
    """Run ``make run`` on a data directory where it cannot start."""
    environment = {**os.environ, "DATA_DIR": str(data_dir), "PORT": "0", "SAMPLE": "0"}
    environment.pop("DATABASE_URL", None)
    command = [sys.executable, "-m", "app.cli", "run"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_path_too_long_for_a_socket_is_refused_in_two_lines_and_nothing_is_created(place: Path) -> None:
    told = run_stack(place / ("deep" * 25))
    assert told.returncode == 1
    assert len(told.stderr.splitlines()) == 2
    assert "socket" in told.stderr
    assert "shorter" in told.stderr
    assert not list(place.glob("**/PG_VERSION"))
    assert not list(Path(tempfile.gettempdir()).glob("**/.s.PGSQL.5432*deep*"))


def test_a_server_that_does_not_start_is_reported_in_two_lines(place: Path) -> None:
    with embedded_postgres(place / "postgresql"):
        pass
    (place / "postgresql" / "global" / "pg_control").unlink()
    told = run_stack(place)
    assert told.returncode == 1
    assert len(told.stderr.splitlines()) == 2, told.stderr
    assert "PostgreSQL did not start" in told.stderr
    assert "pg_control" in told.stderr
    assert str(place / "postgresql" / "log") in told.stderr


def test_a_directory_with_other_files_is_not_touched(place: Path) -> None:
    (place / "postgresql").mkdir()
    (place / "postgresql" / "thesis.txt").write_text("do not touch")
    with pytest.raises(ServerNotStarted, match="holds files"), embedded_postgres(place / "postgresql"):
        pass
    assert [each.name for each in (place / "postgresql").iterdir()] == ["thesis.txt"]


def test_a_path_that_a_url_cannot_name_is_refused(place: Path) -> None:
    for name in ("a,b", "a\nb"):
        with pytest.raises(ServerNotStarted, match="without commas"), embedded_postgres(place / name):
            pass


def test_a_link_to_missing_data_is_reported_and_no_new_database_is_created(place: Path) -> None:
    (place / "postgresql").symlink_to(place / "gone" / "postgresql")
    with pytest.raises(ServerNotStarted, match="which is gone"), embedded_postgres(place / "postgresql"):
        pass
    assert not (place / "gone").exists()


async def test_one_directory_has_one_server_at_a_time(place: Path) -> None:
    with embedded_postgres(place / "postgresql") as url:
        with pytest.raises(ServerNotStarted, match="Another process"), embedded_postgres(place / "postgresql"):
            pass
        assert await answers(url) == 1


async def test_it_listens_in_its_own_directory_without_trust_authentication(place: Path) -> None:
    before = {parent: (mode(parent), parent.stat().st_uid) for parent in place.parents}
    with embedded_postgres(place / "odd 'name' 100%" / "postgresql") as url:
        data = place / "odd 'name' 100%" / "postgresql"
        assert mode(data) == 0o700
        assert mode(data / ".s.PGSQL.5432") == 0o700
        rules = [line for line in (data / "pg_hba.conf").read_text().splitlines() if line and line[0] != "#"]
        assert rules == ["local all all peer map=embedded"]
        assert await answers(url, "SELECT current_setting('listen_addresses')") == ""
        assert await answers(url, "SELECT current_setting('unix_socket_directories')") == f'"{data}"'
    assert {parent: (mode(parent), parent.stat().st_uid) for parent in place.parents} == before
    assert not (data / ".s.PGSQL.5432").exists()


@as_root
async def test_another_system_user_is_refused_even_with_open_file_permissions(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ROOT_DIRECTORY", place / "home")
    psql = embedded._reachable_programs(18, "nobody") / "psql"

    def ask() -> tuple[int, str]:
        with tempfile.TemporaryFile("w+") as told:
            code = run_as("nobody", [str(psql), "-c", "SELECT 1", url], stdout=told)
            told.seek(0)
            return code, told.read()

    with embedded_postgres(place / "postgresql") as url:
        assert await answers(url) == 1
        code, told = ask()
        assert (code, "Permission denied" in told) == (2, True), told
        (place / "postgresql").chmod(0o711)
        (place / "postgresql" / ".s.PGSQL.5432").chmod(0o777)
        code, told = ask()
        assert (code, "Peer authentication failed" in told) == (2, True), told


@as_root
async def test_a_directory_that_the_servers_user_cannot_reach_keeps_its_mode_and_holds_a_link(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ROOT_DIRECTORY", place / "home")
    reachable = embedded._is_reachable
    # as if the packages lay in a closed directory as well
    monkeypatch.setattr(embedded, "_is_reachable", lambda path, user: path.name != "postgres" and reachable(path, user))
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with embedded_postgres(closed / "data" / "postgresql", keep=False) as url:
        assert await answers(url) == 1
        assert mode(closed) == 0o700
        assert (closed / "data" / "postgresql").is_symlink()
        assert (closed / "data" / "postgresql").resolve().is_relative_to(place / "home")
    assert not (closed / "data" / "postgresql").is_symlink()
    assert not list((place / "home").glob("**/PG_VERSION"))


async def test_a_server_left_by_a_killed_process_is_replaced_and_its_data_kept(place: Path) -> None:
    keep = (
        "import time; from pathlib import Path; from app.demo.embedded_postgres import embedded_postgres\n"
        f"with embedded_postgres(Path({str(place / 'postgresql')!r})) as url: print(url, flush=True); time.sleep(60)"
    )
    keeper = await asyncio.create_subprocess_exec(sys.executable, "-c", keep, stdout=subprocess.PIPE)
    assert keeper.stdout is not None
    url = (await keeper.stdout.readline()).decode().strip()
    await answers(url, "CREATE TABLE kept (number integer)")
    keeper.kill()
    await keeper.wait()
    left = int((place / "postgresql" / "postmaster.pid").read_text().split()[0])
    assert runs(left)
    with embedded_postgres(place / "postgresql") as url:
        assert await answers(url, "SELECT count(*) FROM kept") == 0
        assert not runs(left)
