"""JavaScript clients with the packages that their lock file names."""

import shutil
import subprocess
from pathlib import Path

import pytest
from fasteners import InterProcessLock

CLIENTS = Path(__file__).parent.parent / "clients"


def installed(name: str, beside: Path) -> Path:
    """Return a copy of a client below ``beside`` with its packages, made once; skip the test where npm fails."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not there")
    client = beside / f"npm-{name}"
    with InterProcessLock(beside / f"npm-{name}.lock"):
        if not (client / "node_modules").exists():
            shutil.copytree(CLIENTS / name, client, dirs_exist_ok=True)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
            made = subprocess.run(command, cwd=client, capture_output=True, text=True, check=False)
            if made.returncode:
                shutil.rmtree(client)
                pytest.skip(f"npm could not install: {made.stderr[:300]}")
    return client
