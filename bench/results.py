"""What a result is kept with: the circumstances in which it was measured, as JSON in ``bench/results/``."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.processes import postgresql_program

DIRECTORY = Path(__file__).parent / "results"
PACKAGES = ("asyncpg", "fastapi", "httptools", "pydantic", "sqlalchemy", "starlette", "uvicorn", "uvloop")


def keep(name: str, measured: dict[str, Any]) -> None:
    """Write what was measured, with its circumstances."""
    DIRECTORY.mkdir(exist_ok=True)
    (DIRECTORY / f"{name}.json").write_text(json.dumps({**_circumstances(), **measured}, indent=1) + "\n")


def _circumstances() -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _said_by("git", "describe", "--always", "--dirty"),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "postgresql": _said_by(str(postgresql_program("postgres")), "--version").rpartition(" ")[2],
        "packages": {name: version(name) for name in PACKAGES},
    }


def _said_by(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
