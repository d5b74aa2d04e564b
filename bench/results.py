"""Saves results as JSON in ``bench/results/``, with the environment in which they were measured."""

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


def save(name: str, measured: dict[str, Any]) -> None:
    """Write a result with its environment."""
    DIRECTORY.mkdir(exist_ok=True)
    (DIRECTORY / f"{name}.json").write_text(json.dumps({**_environment(), **measured}, indent=1) + "\n")


class Ratios:
    """Times of the service and of their limits, which baselines of the same run set; as a table and a result."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, what: str, seconds: float, limit: str, limit_seconds: float) -> None:
        """Add the time of ``what`` and that of its ``limit``."""
        ratio = round(seconds / limit_seconds, 1)
        self._rows.append(
            {"what": what, "seconds": seconds, "limit": limit, "limit_seconds": limit_seconds, "ratio": ratio}
        )

    def save(self, name: str, **more: Any) -> None:
        """Print the table and save the result, with ``more`` figures."""
        table = Table("what", "ms", "limit", "ms", "ratio", caption=", ".join(f"{key}: {more[key]}" for key in more))
        for row in self._rows:
            ours, limit = (f"{row[side] * 1000:,.2f}" for side in ("seconds", "limit_seconds"))
            table.add_row(row["what"], ours, row["limit"], limit, str(row["ratio"]))
        Console(width=150).print(table)
        save(name, {**more, "measured": self._rows})


def _revision() -> str:
    """Return the commit, marked as dirty when files other than results differ from it."""
    changed = _output_of("git", "status", "--porcelain", "--", ".", ":(exclude)bench/results")
    return _output_of("git", "describe", "--always") + ("-dirty" if changed else "")


def _environment() -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "postgresql": _output_of(str(postgresql_program("postgres")), "--version").rpartition(" ")[2],
        "packages": {name: version(name) for name in PACKAGES},
    }


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
