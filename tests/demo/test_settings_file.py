"""Commands in a second terminal find the settings of ``make run``, and never mix them with others."""

import stat
from pathlib import Path

import pytest

from app.cli.transaction import find_settings
from app.core.settings import Settings
from app.demo.settings_file import FILE, read_settings_file, write_settings
from tests.support import processes
from tests.test_cli import ran

SETTINGS = {"DATABASE_URL": "postgresql://demo", "SECRET_KEY": "s" * 32, "PUBLIC_URL": "http://127.0.0.1:8611"}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return tmp_path


def test_only_its_owner_can_read_the_file(directory: Path) -> None:
    (directory / FILE).write_text("left open for all")
    write_settings(directory, SETTINGS)
    assert stat.S_IMODE((directory / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["DATABASE_URL", "SECRET_KEY"])
def test_the_secret_of_the_file_is_not_used_on_a_database_of_the_environment_nor_the_reverse(
    directory: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_settings(directory, SETTINGS)
    monkeypatch.setenv(name, "x" * 40)
    assert read_settings_file() == {}


def test_without_a_file_there_are_no_settings() -> None:
    assert read_settings_file() == {}


def test_the_settings_of_the_file_are_found(directory: Path) -> None:
    write_settings(directory, {**SETTINGS, "LOG_LEVEL": "error"})
    found = find_settings()
    assert found.database_url == SETTINGS["DATABASE_URL"]
    assert found.secret_key.get_secret_value() == SETTINGS["SECRET_KEY"]
    assert found.public_url == SETTINGS["PUBLIC_URL"]


async def test_a_client_is_created_in_a_second_terminal(directory: Path, settings: Settings) -> None:
    write_settings(directory, processes.environment(settings))
    create = ("client", "create", "isp", "reader", "--kind", "operator", "--operator", "nayatel")
    done = await ran({"DATA_DIR": str(directory)}, *create)
    assert done.returncode == 0, done.stderr
    assert "client_secret" in done.stdout


async def test_when_the_service_was_stopped_the_command_says_so_in_a_line(directory: Path) -> None:
    write_settings(directory, {**SETTINGS, "DATABASE_URL": f"postgresql://postgres@/postgres?host={directory}"})
    done = await ran({"DATA_DIR": str(directory)}, "client", "disable", "reader")
    assert done.returncode == 1
    what, remedy = done.stderr.splitlines()
    assert what.startswith("The database cannot be reached: ")
    assert "DATABASE_URL" in remedy
