"""What an operator of the service types, and what it says when it cannot."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import cli
from app.core.settings import Settings
from tests.support import processes, uploads
from tests.support.service import Credentials, Service
from tests.support.signing import KEY, claims_of, form_of, public, signed

SHORT = "too-short-for-a-secret"


async def typed(settings: Settings, *arguments: str) -> Result:
    """A command in this process."""
    runner = CliRunner(env={**processes.environment(settings)})
    return await asyncio.to_thread(runner.invoke, cli, list(arguments))


async def ran(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    command = [sys.executable, "-m", "app.cli", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True
    )


async def created(settings: Settings, *arguments: str) -> dict[str, str]:
    result = await typed(settings, "client", "create", *arguments)
    assert result.exit_code == 0, result.stderr
    issued: dict[str, str] = json.loads(result.stdout)
    return issued


async def token_status(service: Service, issued: dict[str, str]) -> int:
    login = (issued["client_id"], issued["client_secret"])
    answer = await service.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=login)
    return answer.status_code


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
async def test_settings_that_are_missing_or_unusable_are_named_at_once_without_their_values(command: str) -> None:
    told = await ran({"SECRET_KEY": SHORT, "PORT": "http", "PUBLIC_URL": "register.example"}, command)
    assert told.returncode == 2
    assert [line.partition(":")[0] for line in told.stderr.splitlines()] == [
        "DATABASE_URL",
        "SECRET_KEY",
        "PUBLIC_URL",
        "PORT",
    ]
    assert SHORT not in told.stderr
    assert "Traceback" not in told.stderr


async def test_a_client_of_an_unknown_partner_is_not_made_without_a_kind(settings: Settings) -> None:
    result = await typed(settings, "client", "create", "nobody", "reader")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nobody" in result.stderr
    assert "--kind" in result.stderr


async def test_a_scope_that_the_partners_kind_may_not_hold_is_refused_and_makes_nothing(settings: Settings) -> None:
    refused = await typed(settings, "client", "create", "isp", "reader", "--kind", "operator", "--operator", "nayatel",
                          "--scope", "reviews:write")  # fmt: skip
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "reviews:write" in refused.stderr
    again = await typed(settings, "client", "create", "isp", "reader")
    assert "There is no partner isp" in again.stderr


async def test_a_name_that_is_taken_is_refused(settings: Settings) -> None:
    await created(settings, "pseb", "system", "--kind", "association")
    again = await typed(settings, "client", "create", "pseb", "system")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "taken" in again.stderr


@pytest.mark.parametrize("command", ["rotate", "disable"])
async def test_a_client_that_is_not_there_can_not_be_changed(settings: Settings, command: str) -> None:
    result = await typed(settings, "client", command, "nobody.0123456789ab")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "There is no client nobody.0123456789ab." in result.stderr


async def test_a_client_is_made_given_a_new_secret_and_stopped(service: Service, settings: Settings) -> None:
    issued = await created(settings, "pseb", "system", "--kind", "association", "--scope", "registrations:read")
    assert await token_status(service, issued) == 200

    result = await typed(settings, "client", "rotate", issued["client_id"], "--overlap-seconds", "0")
    rotated = json.loads(result.stdout)
    assert "once" in result.stderr
    assert rotated["client_id"] == issued["client_id"]
    assert [await token_status(service, each) for each in (issued, rotated)] == [401, 200]

    result = await typed(settings, "client", "disable", issued["client_id"])
    assert (result.exit_code, result.stdout) == (0, f"{issued['client_id']} is disabled.\n")
    assert await token_status(service, rotated) == 401


async def test_a_client_is_given_keys_and_held_to_them(service: Service, settings: Settings, tmp_path: Path) -> None:
    issued = await created(settings, "pseb", "system", "--kind", "association")
    files = {"public": public(KEY), "private": {"keys": [KEY.as_dict(private=True)]}}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "broken").write_text("{")

    async def keys(*arguments: str) -> Result:
        return await typed(settings, "client", "keys", issued["client_id"], *arguments)

    for arguments, said in (
        (("--jwks", str(tmp_path / "private")), "private"),
        (("--jwks", str(tmp_path / "broken")), "not JSON"),
        (("--jwks-uri", "https://10.0.0.1/keys"), "not public"),
        (("--jwks-uri", "http://keys.example.com/"), "/jwks_uri"),
        (("--only",), "/jwks"),
    ):
        refused = await keys(*arguments)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert said in refused.stderr
        assert str(KEY.as_dict(private=True)["d"]) not in refused.stderr
    assert await token_status(service, issued) == 200

    taken = await keys("--jwks", str(tmp_path / "public"), "--only")
    assert taken.exit_code == 0, taken.stderr
    assert await token_status(service, issued) == 401
    form = form_of(signed(claims_of(service, issued["client_id"])))
    assert (await service.http.post("/oauth/token", data=form)).status_code == 200


async def test_the_openapi_document_is_printed_without_a_database(service: Service) -> None:
    told = await ran({}, "openapi")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout) == service.app.openapi()


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """A real API and worker."""
    with processes.serving(settings) as url, processes.running("worker", processes.environment(settings)):
        yield url


@pytest.mark.slow
async def test_an_upload_is_followed_to_its_end_and_says_by_its_exit_what_came_of_it(
    service: Service, url: str, tmp_path: Path
) -> None:
    client = await service.credentials("pseb")
    sound, spoiled = uploads.row("SOUND"), uploads.row("SPOILED", email="@")

    async def upload(body: bytes, *arguments: str, by: Credentials = client) -> subprocess.CompletedProcess[str]:
        (tmp_path / "register.csv").write_bytes(body)
        login = {"CLIENT_ID": by.client_id, "CLIENT_SECRET": by.client_secret, "PUBLIC_URL": url}
        return await ran(login, "upload", str(tmp_path / "register.csv"), *arguments)

    def counts(told: subprocess.CompletedProcess[str]) -> dict[str, Any]:
        return {name: value for name, value in json.loads(told.stdout).items() if name != "id" and value}

    rehearsed = await upload(uploads.csv_of([sound]), "--dry-run")
    assert (rehearsed.returncode, counts(rehearsed)) == (0, {"status": "completed", "total": 1, "created": 1})
    done = await upload(uploads.csv_of([sound]))
    assert (done.returncode, counts(done)) == (0, {"status": "completed", "total": 1, "created": 1})

    partly = await upload(uploads.csv_of([sound, spoiled]))
    assert partly.returncode == 1
    assert counts(partly) == {"status": "completed", "total": 2, "unchanged": 1, "refused": 1}
    assert f"/v1/bulk-uploads/{json.loads(partly.stdout)['id']}/problems.csv" in partly.stderr

    broken = await upload(uploads.csv_of([sound]) + b'"never closed')
    assert (broken.returncode, counts(broken)) == (1, {"status": "failed"})
    assert "begins on line 3" in broken.stderr

    headless = await upload(b"a,b\n1,2\n")
    assert (headless.returncode, headless.stdout) == (2, "")
    assert "There is no column" in headless.stderr

    stranger = await upload(b"", by=Credentials(client.client_id, "wrong", client.id, client.partner_id))
    assert (stranger.returncode, stranger.stdout) == (2, "")
    assert "invalid_client" in stranger.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
async def test_an_upload_to_where_nobody_answers_says_so(tmp_path: Path, url: str) -> None:
    (tmp_path / "register.csv").write_bytes(uploads.csv_of([]))
    told = await ran({}, "upload", str(tmp_path / "register.csv"), "--url", url)
    assert (told.returncode, told.stdout) == (2, "")
    assert "does not answer" in told.stderr
    assert "Traceback" not in told.stderr
