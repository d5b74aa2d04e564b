"""Commands of the command line and their error messages."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from app.allowlist import publication_store
from app.cli.__main__ import cli
from app.core.settings import Settings
from app.partners import store
from app.partners.rules import ALLOWED, OF_OTHERS, PartnerKind, default_scopes
from tests.support import postgres, processes
from tests.support.events import wait_for_event
from tests.support.service import Service
from tests.support.signing import KEY, claims_of, form_of, public, signed

SHORT = "too-short-for-a-secret"


async def typed(settings: Settings, *arguments: str) -> Result:
    """Run a command in this process."""
    runner = CliRunner(env={**processes.environment(settings)})
    return await asyncio.to_thread(lambda: runner.invoke(cli, list(arguments)))


async def ran(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a new process."""
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
async def test_missing_and_invalid_settings_are_reported_at_once_without_their_values(command: str) -> None:
    done = await ran({"SECRET_KEY": SHORT, "PORT": "http", "PUBLIC_URL": "register.example"}, command)
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "DATABASE_URL",
        "SECRET_KEY",
        "PUBLIC_URL",
        "PORT",
    ]
    assert SHORT not in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_client_of_an_unknown_partner_is_not_created_without_a_kind(settings: Settings) -> None:
    result = await typed(settings, "client", "create", "nobody", "reader")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nobody" in result.stderr
    assert "--kind" in result.stderr


async def test_a_scope_beyond_the_partners_kind_is_refused_and_nothing_is_created(settings: Settings) -> None:
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


@pytest.mark.parametrize("command", ["rotate", "disable", "scopes"])
async def test_an_unknown_client_cannot_be_changed(settings: Settings, command: str) -> None:
    result = await typed(settings, "client", command, "nobody.0123456789ab")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "There is no client nobody.0123456789ab." in result.stderr


async def test_a_client_is_created_rotated_and_disabled(service: Service, settings: Settings) -> None:
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


async def test_a_client_gets_keys_and_is_limited_to_them(service: Service, settings: Settings, tmp_path: Path) -> None:
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


def scopes_in(output: str) -> set[str]:
    return set(output.rstrip(".\n").split()[2:])


async def test_an_officers_client_has_partners_admin_only_by_name(service: Service, settings: Settings) -> None:
    officer = await created(settings, "pta", "officer", "--kind", "regulator", "--person", "Ayesha Khan")
    admin = await created(settings, "pta", "admin", "--scope", "partners:admin", "--person", "Bilal Ahmed")
    kinds = ALLOWED[PartnerKind.REGULATOR]
    widened = await typed(settings, "client", "scopes", officer["client_id"], *(f"--scope={each}" for each in kinds))
    assert scopes_in(widened.stdout) == kinds
    usual = await typed(settings, "client", "scopes", officer["client_id"])
    usually = set(default_scopes(PartnerKind.REGULATOR))
    assert scopes_in(usual.stdout) == usually
    async with service.database.transaction(read_only=True) as tx:
        made = [await store.find_client(tx, each["client_id"]) for each in (officer, admin)]
    held = [(set(each.scopes), each.person) for each in made if each]
    assert held == [(usually, "Ayesha Khan"), ({"partners:admin"}, "Bilal Ahmed")]
    assert usually == kinds - {"partners:admin", "clients:manage"} - OF_OTHERS


async def test_the_person_of_a_client_is_set_later(service: Service, settings: Settings) -> None:
    issued = await created(settings, "pta", "officer", "--kind", "regulator")
    for person, code in (("90001-1234567-1", 1), ("x" * 101, 1), ("Ayesha Khan", 0)):
        result = await typed(settings, "client", "person", issued["client_id"], person)
        assert result.exit_code == code, result.stderr
    async with service.database.transaction(read_only=True) as tx:
        client = await store.find_client(tx, issued["client_id"])
    assert client
    assert client.person == "Ayesha Khan"
    officer = await service.officer()
    assert [each["name"] for each in await wait_for_event(officer, "client.changed")].count("client.changed") == 1


async def test_the_openapi_document_is_printed_without_a_database(service: Service) -> None:
    done = await ran({}, "openapi")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == service.app.openapi()


def _migrate_environment(url: str, secret: str = "the-secret-of-the-tests-is-not-one-at-all") -> dict[str, str]:
    return {"DATABASE_URL": url, "SECRET_KEY": secret}


async def _refusal(environment: dict[str, str]) -> tuple[str, str]:
    """The two lines that ``migrate`` prints when it fails."""
    runner = CliRunner(env=environment)
    result = await asyncio.to_thread(lambda: runner.invoke(cli, ["migrate"]))
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    what, remedy = result.stderr.splitlines()
    return what, remedy


async def test_migrate_says_in_two_lines_that_the_database_is_away() -> None:
    what, remedy = await _refusal(_migrate_environment("postgresql://u:hidden@127.0.0.1:1,127.0.0.1:2/d"))
    assert what.startswith("The database cannot be reached: ")
    assert "127.0.0.1:1: " in what
    assert "127.0.0.1:2: " in what
    assert "hidden" not in what + remedy
    assert "DATABASE_URL" in remedy


async def test_migrate_says_in_two_lines_that_the_secret_is_another(settings: Settings) -> None:
    what, remedy = await _refusal(_migrate_environment(settings.database_url, "another secret" * 3))
    assert "SECRET_KEY" in what
    assert "SECRET_KEY_PREVIOUS" in remedy


async def test_migrate_says_in_two_lines_that_the_database_is_newer(settings: Settings) -> None:
    await postgres.execute(settings.database_url, "UPDATE alembic_version SET version_num = '9999'")
    what, remedy = await _refusal(_migrate_environment(settings.database_url))
    assert "9999" in what
    assert "version" in remedy


async def test_migrate_says_in_two_lines_that_its_login_may_not(settings: Settings) -> None:
    login = f"reader_{uuid4().hex}"
    await postgres.execute(settings.database_url, f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    try:
        await postgres.execute(settings.database_url, "UPDATE alembic_version SET version_num = '0022'")
        url = settings.database_url.replace("//postgres:@", f"//{login}:x@")
        what, remedy = await _refusal(_migrate_environment(url))
        assert what.startswith("The database refused: permission denied")
        assert "OWNER_URL" in remedy
    finally:
        await postgres.execute(settings.database_url, f"DROP ROLE {login}")


async def test_migrate_says_in_two_lines_that_the_server_takes_no_writes(settings: Settings) -> None:
    name = urlsplit(settings.database_url).path.removeprefix("/")
    await postgres.execute(settings.database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    what, remedy = await _refusal(_migrate_environment(settings.database_url))
    assert "writes" in what or "read-only" in what
    assert "target_session_attrs=primary" in remedy


async def test_the_feed_is_given_a_new_session(service: Service, settings: Settings) -> None:
    result = await typed(settings, "feed", "new-session")
    assert result.exit_code == 0, result.stderr
    async with service.database.transaction(read_only=True) as tx:
        assert str(await publication_store.feed_session(tx)) in result.stdout
