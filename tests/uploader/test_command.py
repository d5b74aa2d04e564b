"""``app.cli upload`` against real processes: what it says, and its exit code."""

import asyncio
import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from app.bulk_uploads.ingestion import ingest as ingesting
from app.bulk_uploads.ingestion import scheduling
from app.cli.__main__ import cli
from app.core.settings import Settings
from tests.support import postgres, processes, uploads
from tests.support.service import Caller, Credentials, Service

pytestmark = pytest.mark.slow


class Told(NamedTuple):
    """What the uploader left behind."""

    returncode: int
    stdout: str
    stderr: str


def started(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """The uploader in a process of its own."""
    command = [sys.executable, "-m", "app.cli", "upload", *arguments]
    environment = {"PATH": os.environ["PATH"], **environment}
    piped = subprocess.PIPE
    with processes.interruptible():
        return subprocess.Popen(command, env=environment, stdout=piped, stderr=piped, text=True)


async def ended(process: subprocess.Popen[str]) -> Told:
    out, err = await asyncio.to_thread(process.communicate)
    assert "Traceback" not in err
    return Told(process.returncode, out, err)


async def ran(environment: dict[str, str], *arguments: str) -> Told:
    """The uploader in this process, to its end."""
    runner = CliRunner(env={"CLIENT_ID": None, "CLIENT_SECRET": None, "PUBLIC_URL": None, **environment})
    result = await asyncio.to_thread(runner.invoke, cli, ["upload", *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return Told(result.exit_code, result.stdout, result.stderr)


def login(by: Credentials, url: str) -> dict[str, str]:
    return {"CLIENT_ID": by.client_id, "CLIENT_SECRET": by.client_secret, "PUBLIC_URL": url}


def counts(told: Told) -> dict[str, Any]:
    return {name: value for name, value in json.loads(told.stdout).items() if name != "id" and value}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """A real API and worker."""
    with processes.serving(settings) as url, processes.running("worker", processes.environment(settings)):
        yield url


@pytest.fixture
async def client(service: Service) -> Credentials:
    return await service.credentials("pseb", client="uploader")


async def test_what_makes_no_sense_ends_with_2_before_anything_is_sent(tmp_path: Path) -> None:
    known = {"CLIENT_ID": "a", "CLIENT_SECRET": "b"}
    file, odd = tmp_path / "register.csv", tmp_path / "register.odd"
    file.write_bytes(uploads.csv_of([]))
    odd.write_bytes(b"")
    wrong: list[tuple[dict[str, str], list[str], str]] = [
        (known, [], "--watch"),
        (known, [str(tmp_path / "absent.csv")], "Invalid value"),
        (known, [str(odd)], "--format"),
        ({}, [str(file)], "CLIENT_ID"),
        (known, [str(file), "--url", "nonsense"], "no address"),
        (known, ["--watch", "nonsense"], "neither"),
        (known, [str(file), "--detach", "--problems", "p.csv"], "--detach"),
    ]
    for environment, arguments, said in wrong:
        told = await ran(environment, *arguments)
        assert (told.returncode, told.stdout) == (2, ""), arguments
        assert said in told.stderr


async def test_where_nobody_answers_it_gives_up_with_4(tmp_path: Path) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([]))
    known = {"CLIENT_ID": "a", "CLIENT_SECRET": "b", "PUBLIC_URL": "http://127.0.0.1:9"}
    told = await ran(known, str(tmp_path / "register.csv"), "--give-up", "1")
    assert (told.returncode, told.stdout) == (4, "")
    assert "does not answer" in told.stderr


async def test_the_exit_says_what_came_of_a_file(client: Credentials, url: str, tmp_path: Path) -> None:
    sound, spoiled = uploads.row("SOUND"), uploads.row("SPOILED", email="@")
    file = tmp_path / "register.csv"

    async def upload(body: bytes, *arguments: str, by: Credentials = client) -> Told:
        file.write_bytes(body)
        return await ran(login(by, url), str(file), *arguments)

    rehearsed = await upload(uploads.csv_of([sound]), "--dry-run")
    assert (rehearsed.returncode, counts(rehearsed)) == (0, {"status": "completed", "total": 1, "created": 1})
    done = await upload(uploads.csv_of([sound]), "--gzip")
    assert (done.returncode, counts(done)) == (0, {"status": "completed", "total": 1, "created": 1})

    problems, refused = tmp_path / "problems.csv", tmp_path / "refused.csv"
    exports = ("--problems", str(problems), "--refused", str(refused))
    partly = await upload(uploads.csv_of([sound, spoiled]), *exports)
    assert partly.returncode == 1
    assert counts(partly) == {"status": "completed", "total": 2, "unchanged": 1, "refused": 1}
    assert [(each["line"], each["column"]) for each in table(problems)] == [("3", "email")]
    assert [each["reference"] for each in table(refused)] == ["SPOILED"]
    assert refused.stat().st_mode & 0o077 == 0

    broken = await upload(uploads.csv_of([sound]) + b'"never closed')
    assert (broken.returncode, counts(broken)) == (3, {"status": "failed"})
    assert "begins on line 3" in broken.stderr

    headless = await upload(b"a,b\n1,2\n")
    assert (headless.returncode, headless.stdout) == (3, "")
    assert "There is no column" in headless.stderr

    stranger = await upload(b"", by=Credentials(client.client_id, "wrong", client.id, client.partner_id))
    assert (stranger.returncode, stranger.stdout) == (2, "")
    assert "invalid_client" in stranger.stderr


async def test_every_format_goes_by_its_name_and_an_upload_can_be_followed_later(
    client: Credentials, url: str, tmp_path: Path
) -> None:
    rows = [uploads.row("A"), uploads.row("B", email="@")]
    bodies = {
        "register.ndjson": uploads.ndjson_of(rows),
        "register.xlsx": uploads.xlsx_of(rows),
        "register.csv.gz": gzip.compress(uploads.csv_of(rows)),
    }
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
        told = await ran(login(client, url), str(tmp_path / name), "--detach", "--idempotency-key", name)
        again = await ran(login(client, url), str(tmp_path / name), "--detach", "--idempotency-key", name)
        assert (told.returncode, json.loads(told.stdout)["id"]) == (0, json.loads(again.stdout)["id"])
        address = f"{url}/v1/bulk-uploads/{json.loads(told.stdout)['id']}"
        out = tmp_path / f"{name}.problems.csv"
        watched = await ran({**login(client, "http://127.0.0.1:9")}, "--watch", address, "--problems", str(out))
        assert watched.returncode == 1, watched.stderr
        assert [each["column"] for each in table(out)] == ["email"]

    absent = await ran(login(client, url), "--watch", "00000000-0000-7000-8000-000000000000")
    assert (absent.returncode, absent.stdout) == (2, "")


async def test_a_file_over_the_servers_limit_is_refused_with_3(
    client: Credentials, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([]) + b"\n" * 3_000_000)
    with processes.serving(settings, MAX_UPLOAD_BYTES="100000") as url:
        told = await ran(login(client, url), str(tmp_path / "register.csv"), "--give-up", "5")
    assert told.returncode == 3, told.stderr
    assert "exceeds 100000 bytes" in told.stderr


async def test_an_upload_outlives_a_server_that_is_killed_and_started_again(
    pseb: Caller, client: Credentials, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([uploads.row(f"R{i}") for i in range(200)]))
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    environment = processes.api_environment(settings, port, TOKEN_SECONDS="2")
    process = started(login(client, url), str(tmp_path / "register.csv"))  # before anyone listens

    async def uploads_there() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await pseb.get("/v1/bulk-uploads")).json()["items"]
        return found

    async def one_is_there() -> bool:
        return len(await uploads_there()) == 1

    api = processes.start("serve", environment)
    try:
        await asyncio.to_thread(processes.wait_until_live, url, api)
        await processes.until(one_is_there)
        processes.kill(api)  # it follows an upload that no worker takes yet
        api = processes.start("serve", environment)
        await asyncio.to_thread(processes.wait_until_live, url, api)
        with processes.running("worker", processes.environment(settings)):
            told = await ended(process)
    finally:
        processes.kill(api)
    assert (told.returncode, counts(told)) == (0, {"status": "completed", "total": 200, "created": 200})
    assert "Trying again" in told.stderr
    assert len(await uploads_there()) == 1


async def test_an_upload_that_the_service_fails_at_is_followed_with_the_reason(
    service: Service, client: Credentials, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([uploads.row("A")]))

    async def faulty(*_: Any) -> Any:
        raise ZeroDivisionError

    async def is_held_up() -> bool:
        async with service.database.transaction(read_only=True) as tx:
            waiting = await scheduling.in_turn(tx, is_small=True)
        for each in waiting:
            with pytest.raises(ZeroDivisionError):
                await ingesting.ingest(service.database, each.id, 10, 1_000)
        return bool(waiting)

    with processes.serving(settings) as url:
        process = started(login(client, url), str(tmp_path / "register.csv"))
        with monkeypatch.context() as patched:
            patched.setattr(ingesting, "_judge", faulty)
            await processes.until(is_held_up)
        await asyncio.sleep(3)  # longer than between two looks at it
        await postgres.execute(settings.database_url, "UPDATE bulk_uploads SET retry_at = now()")
        await service.ingest_all()
        told = await ended(process)
    assert told.returncode == 0
    assert told.stderr.count("The service failed after 0 rows") == 1


async def test_an_interrupted_one_says_how_to_go_on_and_ends_with_130(
    pseb: Caller, client: Credentials, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([uploads.row("A")]))

    async def one_is_there() -> bool:
        return len((await pseb.get("/v1/bulk-uploads")).json()["items"]) == 1

    with processes.serving(settings) as url:
        process = started(login(client, url), str(tmp_path / "register.csv"))
        await processes.until(one_is_there)
        await asyncio.sleep(1)  # until its answer has arrived
        process.send_signal(signal.SIGINT)
        told = await ended(process)
    assert told.returncode == 130
    assert "--watch" in told.stderr
