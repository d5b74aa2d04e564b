"""What a result is kept with: the circumstances in which it was measured, as JSON in ``bench/results/``."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.processes import postgresql_program

DIRECTORY = Path(__file__).parent / "results"
PACKAGES = ("asyncpg", "fastapi", "httptools", "pydantic", "sqlalchemy", "starlette", "uvicorn", "uvloop")


def keep(name: str, measured: dict[str, Any]) -> None:
    """Write what was measured, with its circumstances."""
    DIRECTORY.mkdir(exist_ok=True)
    (DIRECTORY / f"{name}.json").write_text(json.dumps({**_circumstances(), **measured}, indent=1) + "\n")


class Ratios:
    """Times of ours beside a limit, as a table and a result."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, what: str, seconds: float, limit: str, limit_seconds: float) -> None:
        """Note a time, and that of its limit."""
        ratio = round(seconds / limit_seconds, 1)
        self._rows.append(
            {"what": what, "seconds": seconds, "limit": limit, "limit_seconds": limit_seconds, "ratio": ratio}
        )

    def keep(self, name: str, **more: Any) -> None:
        """Print the table and keep the result, with what else was measured."""
        table = Table("what", "ms", "limit", "ms", "ratio", caption=", ".join(f"{key}: {more[key]}" for key in more))
        for row in self._rows:
            ours, limit = (f"{row[side] * 1000:,.2f}" for side in ("seconds", "limit_seconds"))
            table.add_row(row["what"], ours, row["limit"], limit, str(row["ratio"]))
        Console(width=150).print(table)
        keep(name, {**more, "measured": self._rows})


def _revision() -> str:
    """The commit, marked when more was changed than results."""
    changed = _said_by("git", "status", "--porcelain", "--", ".", ":(exclude)bench/results")
    return _said_by("git", "describe", "--always") + ("-dirty" if changed else "")


def _circumstances() -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "postgresql": _said_by(str(postgresql_program("postgres")), "--version").rpartition(" ")[2],
        "packages": {name: version(name) for name in PACKAGES},
    }


def _said_by(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
