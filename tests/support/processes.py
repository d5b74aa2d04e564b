"""The service's own processes on a test's database: the commands of ``app.cli`` in processes of their own.

They are forked from a process that has loaded the program, since loading takes two seconds of CPU time, more than most
commands. ``tests/test_cli.py`` starts it as an operator does.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from typing import IO

import httpx

from app.core.settings import Settings

STOP_SECONDS = 15
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["app.cli.__main__", "pytest"])  # a program named pytest is loaded again by each


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    """Return the environment of a process with the same settings."""
    given = {
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "PUBLIC_URL": settings.public_url,
        "LOG_LEVEL": "warning",
        "POLL_SECONDS": "0.2",
        "DATABASE_POOL": "5",
    }
    if settings.smtp_url and settings.mail_from:
        given |= {"SMTP_URL": settings.smtp_url.get_secret_value(), "MAIL_FROM": settings.mail_from}
    return {**{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}, **given, **changes}


@contextmanager
def interruptible() -> Iterator[None]:
    """Processes started in the block end by SIGINT, although tests that run in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Running:
    """A started command of ``app.cli``."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its number, also when it has ended."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code when it has ended. Raises ``TimeoutError``."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop, by SIGTERM."""
        self.send_signal(signal.SIGTERM)


def _run(command: str, environment_: dict[str, str], out: str | None, options: Sequence[str]) -> None:
    """Run a command in a process just forked, as if it were started with nothing but ``environment_``."""
    from app.cli.__main__ import cli  # noqa: PLC0415  # loaded before the fork, and only there

    os.environ.clear()
    os.environ.update(environment_)
    sys.argv = ["app.cli", command, *options]
    if out is not None:
        file = os.open(out, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, sys.stdout.fileno())
        os.dup2(file, sys.stderr.fileno())
    cli()


def start(
    command: str, environment_: dict[str, str], out: IO[bytes] | None = None, options: Sequence[str] = ()
) -> Running:
    """Start a command of ``app.cli`` with ``options``, and with its output appended to ``out``."""
    process = _FORKING.Process(target=_run, args=(command, environment_, out and out.name, options))
    process.start()
    return Running(process)


@contextmanager
def running(command: str, environment_: dict[str, str], out: IO[bytes] | None = None) -> Iterator[Running]:
    """Run a command of ``app.cli`` during the block."""
    process = start(command, environment_, out)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except TimeoutError:
            kill(process)


def kill(process: Running) -> None:
    """``kill -9``."""
    process.send_signal(signal.SIGKILL)
    process.wait()


class Killable:
    """A command of ``app.cli`` that can be killed and started again."""

    def __init__(self, command: str, environment_: dict[str, str], out: IO[bytes] | None = None) -> None:
        self._command = command
        self._environment = environment_
        self._out = out
        self.process: Running | None = None

    def start(self) -> Running:
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
    """Return the environment of an API process on ``port``."""
    return environment(settings, PORT=str(port), PUBLIC_URL=f"http://127.0.0.1:{port}", **changes)


def wait_until_live(url: str, process: "Running | subprocess.Popen[bytes]") -> None:
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
def serving(settings: Settings, **changes: str) -> Iterator[str]:
    """A real API process on a free port; gives its URL."""
    port = free_port()
    with running("serve", api_environment(settings, port, **changes)) as process:
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
