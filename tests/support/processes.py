"""The service's own processes, started as an operator starts them, on a test's database."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import IO

import httpx

from app.core.settings import Settings

STOP_SECONDS = 15


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    """What a process needs to run with the same settings."""
    given = {
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "PUBLIC_URL": settings.public_url,
        "LOG_LEVEL": "warning",
        "POLL_SECONDS": "0.2",
        "DATABASE_POOL": "5",
    }
    return {**{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}, **given, **changes}


def start(
    command: str, environment_: dict[str, str], out: IO[bytes] | None = None, module: str = "app.cli"
) -> subprocess.Popen[bytes]:
    """A process of ours; what it writes goes to ``out`` when that is given."""
    return subprocess.Popen([sys.executable, "-m", module, command], env=environment_, stdout=out, stderr=out)


@contextmanager
def running(
    command: str, environment_: dict[str, str], out: IO[bytes] | None = None, module: str = "app.cli"
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours while the block runs."""
    process = start(command, environment_, out, module)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """``kill -9``."""
    process.kill()
    process.wait()


class Killable:
    """A process of ours that can be killed and started again."""

    def __init__(self, command: str, environment_: dict[str, str], out: IO[bytes] | None = None) -> None:
        self._command = command
        self._environment = environment_
        self._out = out
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Run it."""
        self.process = start(self._command, self._environment, self._out)
        return self.process

    def kill(self) -> None:
        """``kill -9``, if it runs."""
        if self.process is not None:
            kill(self.process)
            self.process = None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def api_environment(settings: Settings, port: int, **changes: str) -> dict[str, str]:
    """What an API process on ``port`` needs."""
    return environment(settings, PORT=str(port), PUBLIC_URL=f"http://127.0.0.1:{port}", **changes)


def wait_until_live(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the API answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the API stopped"
        try:
            if httpx.get(f"{url}/health/live").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError


@contextmanager
def serving(settings: Settings, *, module: str = "app.cli", **changes: str) -> Iterator[str]:
    """A real API process on a free port; gives its URL."""
    port = free_port()
    with running("serve", api_environment(settings, port, **changes), module=module) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until_live(url, process)
        yield url


async def until(happened: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Return when something has happened."""
    async with asyncio.timeout(seconds):
        while True:
            if await happened():
                return
            await asyncio.sleep(0.05)
