"""The file with the settings of the service that ``make run`` runs, for commands in another terminal."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "settings.json"
NAMES = ("DATABASE_URL", "SECRET_KEY", "PUBLIC_URL")


def data_dir() -> Path:
    """Return the directory of the data of ``make run``."""
    return Path(os.environ.get("DATA_DIR") or ".data")


def write_settings(directory: Path, environment: Mapping[str, str]) -> None:
    """Write the settings that a command needs, readable by their owner only."""
    path = directory / FILE
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({name: environment[name] for name in NAMES}, file, indent=2)


def read_settings_file() -> dict[str, Any]:
    """Return the settings by field name; none when there is no file, or the environment names a database or a secret.

    Settings of the environment and of the file are never mixed, so that no secret is used on another's database.
    """
    file = data_dir() / FILE
    if any(name in os.environ for name in NAMES[:2]) or not file.exists():
        return {}
    return {name.lower(): value for name, value in json.loads(file.read_text()).items()}
