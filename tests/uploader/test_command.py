"""``app.cli upload`` against real processes: its messages and exit codes."""

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
from app.uploader.progress import Progress
from app.uploader.upload import MAX_POLL_SECONDS
from tests.support import postgres, processes, uploads
from tests.support.service import Caller, Credentials, Service

pytestmark = pytest.mark.slow


class Result(NamedTuple):
    """Exit code and output of the uploader."""

    returncode: int
    stdout: str
    stderr: str


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start the uploader as a process."""
    command = [sys.executable, "-m", "app.cli", "upload", *arguments]
    environment = {"PATH": os.environ["PATH"], **environment}
    piped = subprocess.PIPE
    with processes.interruptible():
        return subprocess.Popen(command, env=environment, stdout=piped, stderr=piped, text=True)


async def end(process: subprocess.Popen[str]) -> Result:
    out, err = await asyncio.to_thread(process.communicate)
    assert "Traceback" not in err
    return Result(process.returncode, out, err)


async def run(environment: dict[str, str], *arguments: str) -> Result:
    """Run the uploader in this process."""
    runner = CliRunner(env={"CLIENT_ID": None, "CLIENT_SECRET": None, "PUBLIC_URL": None, **environment})
    result = await asyncio.to_thread(runner.invoke, cli, ["upload", *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return Result(result.exit_code, result.stdout, result.stderr)


def login(by: Credentials, url: str) -> dict[str, str]:
    return {"CLIENT_ID": by.client_id, "CLIENT_SECRET": by.client_secret, "PUBLIC_URL": url}


def counts(result: Result) -> dict[str, Any]:
    return {name: value for name, value in json.loads(result.stdout).items() if name != "id" and value}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """A real API and worker."""
    with processes.serving(settings) as url, processes.running("worker", processes.environment(settings)):
        yield url


@pytest.fixture
async def client(service: Service) -> Credentials:
    return await service.credentials("pseb", client="uploader")


async def test_wrong_usage_exits_with_2_before_anything_is_sent(tmp_path: Path) -> None:
    known = {"CLIENT_ID": "a", "CLIENT_SECRET": "b"}
    file, odd = tmp_path / "register.csv", tmp_path / "register.odd"
    file.write_bytes(uploads.csv_of([]))
    odd.write_bytes(b"")
    wrong: list[tuple[dict[str, str], list[str], str]] = [
        (known, [], "--watch"),
        (known, [str(tmp_path / "absent.csv")], "Invalid value"),
        (known, [str(odd)], "--format"),
        ({}, [str(file)], "CLIENT_ID"),
        (known, [str(file), "--url", "nonsense"], "not an HTTP URL"),
        (known, ["--watch", "nonsense"], "neither"),
        (known, [str(file), "--detach", "--problems", "p.csv"], "--detach"),
        (known, [str(file), "--detach", "--receipts", "r.csv"], "--detach"),
        (known, [str(file), "--dry-run", "--receipts", "r.csv"], "no receipts"),
    ]
    for environment, arguments, message in wrong:
        result = await run(environment, *arguments)
        assert (result.returncode, result.stdout) == (2, ""), arguments
        assert message in result.stderr


async def test_only_the_first_problems_are_printed_and_how_to_get_all(
    client: Credentials, url: str, tmp_path: Path
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([uploads.row(f"R{i}", email="@") for i in range(12)]))
    result = await run(login(client, url), str(tmp_path / "register.csv"), "--dry-run")
    assert result.returncode == 1
    assert result.stderr.count(" email: ") == 10
    assert "and more" in result.stderr


async def test_a_file_that_grows_while_it_is_sent_registers_nothing_and_exits_with_5(
    pseb: Caller, client: Credentials, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes(uploads.csv_of([uploads.row(f"R{i}", description="x" * 1_900) for i in range(1_000)]))

    def show_sent(*_: Any) -> None:
        with path.open("ab") as file:  # a program goes on writing between two chunks
            file.write(b"one more row\r\n")

    monkeypatch.setattr(Progress, "show_sent", show_sent)
    result = await run(login(client, url), str(path))
    assert (result.returncode, result.stdout) == (5, "")
    assert "register.csv changed while it was read or sent" in result.stderr
    assert (await pseb.get("/v1/bulk-uploads")).json()["items"] == []


async def test_the_options_are_those_of_the_upload(pseb: Caller, client: Credentials, url: str, tmp_path: Path) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([uploads.row("A")]))
    wrong = await run(login(client, url), str(tmp_path / "register.csv"), "--encoding", "latin-1")
    assert wrong.returncode == 2
    options = ("--clear", "--rename", "--encoding", "utf-8", "--ignore-column", "Name, old", "--ignore-column", "City")
    done = await run(login(client, url), str(tmp_path / "register.csv"), *options)
    assert done.returncode == 0, done.stderr
    (upload,) = (await pseb.get("/v1/bulk-uploads")).json()["items"]
    assert (upload["clear"], upload["rename"]) == (True, True)


async def test_an_unreachable_service_exits_with_4(tmp_path: Path) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([]))
    known = {"CLIENT_ID": "a", "CLIENT_SECRET": "b", "PUBLIC_URL": "http://127.0.0.1:9"}
    result = await run(known, str(tmp_path / "register.csv"), "--give-up", "1")
    assert (result.returncode, result.stdout) == (4, "")
    assert "does not answer" in result.stderr


async def test_the_exit_code_tells_the_result_of_a_file(client: Credentials, url: str, tmp_path: Path) -> None:
    valid, invalid = uploads.row("VALID"), uploads.row("INVALID", email="@")
    file = tmp_path / "register.csv"

    async def upload(body: bytes, *arguments: str, by: Credentials = client) -> Result:
        file.write_bytes(body)
        return await run(login(by, url), str(file), *arguments)

    dry_run = await upload(uploads.csv_of([valid]), "--dry-run")
    assert (dry_run.returncode, counts(dry_run)) == (0, {"status": "completed", "total": 1, "created": 1})
    receipts = tmp_path / "receipts.csv"
    receipts.with_name("receipts.csv.part").touch(mode=0o644)  # of an interrupted run
    done = await upload(uploads.csv_of([valid]), "--gzip", "--receipts", str(receipts))
    assert [(each["reference"], each["receipt"][:3]) for each in table(receipts)] == [("VALID", "PK-")]
    assert receipts.stat().st_mode & 0o777 == 0o600
    assert (done.returncode, counts(done)) == (0, {"status": "completed", "total": 1, "created": 1})

    problems, refused = tmp_path / "problems.csv", tmp_path / "refused.csv"
    exports = ("--problems", str(problems), "--refused", str(refused))
    partly = await upload(uploads.csv_of([valid, invalid]), *exports)
    assert partly.returncode == 1
    assert counts(partly) == {"status": "completed", "total": 2, "unchanged": 1, "refused": 1}
    assert [(each["line"], each["column"]) for each in table(problems)] == [("3", "email")]
    assert [each["reference"] for each in table(refused)] == ["INVALID"]
    assert refused.stat().st_mode & 0o077 == 0
    assert "1 of 2 rows were refused:\n  Row 3, G email: " in partly.stderr
    assert "--refused refused.csv" in partly.stderr

    header_only = await upload(uploads.csv_of([]))
    assert (header_only.returncode, counts(header_only)) == (1, {"status": "completed"})
    assert "no rows" in header_only.stderr

    unclosed = await upload(uploads.csv_of([valid]) + b'"never closed')
    assert (unclosed.returncode, counts(unclosed)) == (
        1,
        {"status": "completed", "total": 2, "unchanged": 1, "refused": 1},
    )
    assert "Row 3" in unclosed.stderr
    assert "no line end" in unclosed.stderr

    headerless = await upload(b"a,b\n1,2\n")
    assert (headerless.returncode, headerless.stdout) == (3, "")
    assert "header" in headerless.stderr

    rejected = await upload(b"", by=Credentials(client.client_id, "wrong", client.id, client.partner_id))
    assert (rejected.returncode, rejected.stdout) == (2, "")
    assert "invalid_client" in rejected.stderr


async def test_a_format_is_known_by_the_file_name_and_an_upload_can_be_followed_later(
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
        result = await run(login(client, url), str(tmp_path / name), "--detach", "--idempotency-key", name)
        again = await run(login(client, url), str(tmp_path / name), "--detach", "--idempotency-key", name)
        assert (result.returncode, json.loads(result.stdout)["id"]) == (0, json.loads(again.stdout)["id"])
        address = f"{url}/v1/bulk-uploads/{json.loads(result.stdout)['id']}"
        out = tmp_path / f"{name}.problems.csv"
        watched = await run({**login(client, "http://127.0.0.1:9")}, "--watch", address, "--problems", str(out))
        assert watched.returncode == 1, watched.stderr
        assert [each["column"] for each in table(out)] == ["email"]

    absent = await run(login(client, url), "--watch", "00000000-0000-7000-8000-000000000000")
    assert (absent.returncode, absent.stdout) == (2, "")


async def test_a_file_over_the_limit_of_the_service_exits_with_3(
    client: Credentials, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([]) + b"\n" * 3_000_000)
    with processes.serving(settings, MAX_UPLOAD_BYTES="100000") as url:
        result = await run(login(client, url), str(tmp_path / "register.csv"), "--give-up", "5")
    assert result.returncode == 3, result.stderr
    assert "The body exceeds" in result.stderr


async def test_an_upload_survives_a_server_that_is_killed_and_restarted(
    pseb: Caller, client: Credentials, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([uploads.row(f"R{i}") for i in range(200)]))
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    environment = processes.api_environment(settings, port, TOKEN_SECONDS="2")
    process = start(login(client, url), str(tmp_path / "register.csv"))  # before anyone listens

    async def uploads_there() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await pseb.get("/v1/bulk-uploads")).json()["items"]
        return found

    async def one_is_there() -> bool:
        return len(await uploads_there()) == 1

    api = processes.start("serve", environment)
    try:
        await asyncio.to_thread(processes.wait_until_live, url, api)
        await processes.until(one_is_there)
        processes.kill(api)  # the command follows an upload that no worker takes yet
        await asyncio.sleep(MAX_POLL_SECONDS + 0.5)
        api = processes.start("serve", environment)
        await asyncio.to_thread(processes.wait_until_live, url, api)
        with processes.running("worker", processes.environment(settings)):
            result = await end(process)
    finally:
        processes.kill(api)
    assert (result.returncode, counts(result)) == (0, {"status": "completed", "total": 200, "created": 200})
    assert "Trying again" in result.stderr
    assert len(await uploads_there()) == 1


async def test_an_internal_error_is_shown_while_an_upload_is_followed(
    service: Service, client: Credentials, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([uploads.row("A")]))

    async def faulty(*_: Any) -> Any:
        raise ZeroDivisionError

    async def is_delayed() -> bool:
        async with service.database.transaction(read_only=True) as tx:
            waiting = await scheduling.list_due(tx, is_small=True)
        for each in waiting:
            with pytest.raises(ZeroDivisionError):
                await ingesting.ingest(service.database, each.id, 10, 1_000)
        return bool(waiting)

    with processes.serving(settings) as url:
        process = start(login(client, url), str(tmp_path / "register.csv"))
        with monkeypatch.context() as patched:
            patched.setattr(ingesting, "_process_rows", faulty)
            await processes.until(is_delayed)
        await asyncio.sleep(3)  # longer than the interval of polls
        await postgres.execute(settings.database_url, "UPDATE bulk_uploads SET retry_at = now()")
        await service.ingest_all()
        result = await end(process)
    assert result.returncode == 0
    assert result.stderr.count("interrupted the upload after 0 rows") == 1


async def test_an_interrupted_upload_says_how_to_follow_it_and_exits_with_130(
    pseb: Caller, client: Credentials, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([uploads.row("A")]))

    async def one_is_there() -> bool:
        return len((await pseb.get("/v1/bulk-uploads")).json()["items"]) == 1

    with processes.serving(settings) as url:
        process = start(login(client, url), str(tmp_path / "register.csv"))
        await processes.until(one_is_there)
        await asyncio.sleep(1)  # until its answer has arrived
        process.send_signal(signal.SIGINT)
        result = await end(process)
    assert result.returncode == 130
    assert "--watch" in result.stderr
