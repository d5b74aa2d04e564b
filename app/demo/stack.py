"""Run of the whole service on one machine: embedded PostgreSQL, migrations, API, worker, and the sample register."""

import asyncio
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from errno import errorcode
from pathlib import Path

import httpx
from rich.console import Console

from app.core.database.engine import Database
from app.core.settings import Settings
from app.demo.embedded_postgres import ServerNotStarted, embedded_postgres
from app.demo.loading import load_sample
from app.demo.partners import CREDENTIALS, ensure_demo_partners
from app.demo.settings_file import write_settings
from app.demo.work import load_work
from app.migrating import migrate

START_SECONDS = 60
SAMPLE_LOADED, WORK_LOADED = "sample-loaded", "work-loaded"
STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Stack:
    """A running service: its settings, its API process, and the credentials of its demo clients."""

    settings: Settings
    api: subprocess.Popen[bytes]
    clients: dict[str, dict[str, str]]


@contextmanager
def running_stack(data_dir: Path, host: str, port: int, database_url: str | None) -> Iterator[Stack]:
    """Start database, worker and API with their data in ``data_dir``, and stop them when the block ends.

    ``database_url`` replaces the embedded PostgreSQL; then there are no demo clients. Raises ``SystemExit`` with a
    reason when the service does not become ready.
    """
    _check_port(host, port)
    data_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        url = database_url or _start_postgres(stack, data_dir.resolve() / "postgresql")
        environment = _environment(data_dir, url, host, port)
        os.environ.update(environment)
        settings = Settings()
        asyncio.run(_prepare(settings, demo=not database_url))
        if not database_url:
            write_settings(data_dir, environment)
        stack.enter_context(_process("worker", data_dir, "worker"))
        api = stack.enter_context(_process("serve", data_dir, "api"))
        _wait_until_ready(settings.public_url, api)
        clients = {} if database_url else json.loads((data_dir / CREDENTIALS).read_text())["clients"]
        yield Stack(settings, api, clients)


def run_stack(data_dir: Path, host: str, port: int, database_url: str | None, *, sample: bool) -> None:
    """Run the stack until SIGINT or SIGTERM; ``sample`` loads the sample register into an embedded database."""
    console = Console()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    with suppress(KeyboardInterrupt), running_stack(data_dir, host, port, database_url) as stack:
        if stack.clients:
            _show_demo(console, stack, data_dir, sample=sample)
        url = stack.settings.public_url
        console.print(f"Serving on {url}. Logs: {data_dir}/api.log, {data_dir}/worker.log. Ctrl-C stops it.")
        code = stack.api.wait()
        raise SystemExit(f"The API exited with code {code}; see {data_dir}/api.log")
    console.print("Stopped.")


def _check_port(host: str, port: int) -> None:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as taken:
        raise SystemExit(
            f"Cannot listen on {host} port {port} ({errorcode.get(taken.errno or 0)}). Try PORT=."
        ) from None


def _start_postgres(stack: ExitStack, directory: Path) -> str:
    try:
        return stack.enter_context(embedded_postgres(directory))
    except ServerNotStarted as refused:
        raise SystemExit(str(refused)) from None


def _environment(data_dir: Path, url: str, host: str, port: int) -> dict[str, str]:
    url_host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    url_host = f"[{url_host}]" if ":" in url_host else url_host
    return {
        "DATABASE_URL": url,
        "SECRET_KEY": os.environ.get("SECRET_KEY") or _read_or_create_secret(data_dir / "secret.key"),
        "PUBLIC_URL": os.environ.get("PUBLIC_URL") or f"http://{url_host}:{port}",
        "HOST": host,
        "PORT": str(port),
        "DATA_DIR": str(data_dir),
    }


def _read_or_create_secret(path: Path) -> str:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


async def _prepare(settings: Settings, *, demo: bool) -> None:
    await migrate(settings)
    if demo:
        database = Database(settings)
        await ensure_demo_partners(database, settings.data_dir, settings.public_url)
        await database.close()


@contextmanager
def _process(command: str, data_dir: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of the service in its own session, so that Ctrl-C does not reach it directly."""
    with (data_dir / f"{name}.log").open("ab") as output:
        arguments = [sys.executable, "-m", "app.cli", command]
        process = subprocess.Popen(arguments, stdout=output, stderr=output, start_new_session=True)  # noqa: S603 - our own
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(url: str, api: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while api.poll() is None and time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{url}/health/ready", timeout=10)
            if answer.is_success and answer.json()["worker"]:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("The API did not become ready; see api.log and worker.log in DATA_DIR. Is the port in use?")


def _show_demo(console: Console, stack: Stack, data_dir: Path, *, sample: bool) -> None:
    url, clients, name = stack.settings.public_url, stack.clients, "nayatel"
    loaded = data_dir / SAMPLE_LOADED
    if sample and not loaded.exists():
        console.print("Loading the sample register: 20,437 registrations of 1,482 applicants ...")
        count, seconds = load_sample(url, clients, console)
        console.print(f"{count:,} networks are in the feed, {seconds:.1f} s after the start of the first upload.")
        loaded.touch()
    worked = data_dir / WORK_LOADED
    if sample and not worked.exists():
        load_work(stack.settings, clients, console)
        console.print("Cases wait for an officer's decision, and a change of the list for a second officer's release.")
        worked.touch()
    credentials = data_dir / CREDENTIALS
    console.print(f"\nOpen {url}/docs and authorise with a client of {credentials}. Or try, as {name}:\n")
    for line in _commands_to_try(url, credentials, name):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print()


def _commands_to_try(url: str, credentials: Path, client: str) -> tuple[str, ...]:
    """Return three shell commands; the first reads the secret from its file, so that no screen or log shows it."""
    file = shlex.quote(str(credentials))
    login = f"""sed -n '/"{client}"/,/}}/s/.*"client_\\(id\\|secret\\)": "\\(.*\\)".*/\\2/p' {file} | paste -sd: -"""
    extract = """sed 's/.*"access_token":"\\([^"]*\\).*/\\1/'"""
    return (
        f'TOKEN=$(curl -s -u "$({login})" -d grant_type=client_credentials {url}/oauth/token | {extract})',
        f'curl -s -H "Authorization: Bearer $TOKEN" "{url}/v1/allowlist?format=text" | head',
        f'curl -s -H "Authorization: Bearer $TOKEN" "{url}/v1/allowlist/publications?limit=1"',
    )
