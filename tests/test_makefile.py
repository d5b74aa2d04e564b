"""``make`` says in a line what a fresh system lacks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("missing", ["ensurepip", "venv"])
def test_a_python_without_venv_is_told_in_one_line_with_the_remedy(tmp_path: Path, missing: str) -> None:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / f"{missing}.py").write_text("raise ImportError")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={modules} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }  # of `make test`
    for name in (str(python), "no-such-python"):
        command = ["make", "run", f"PYTHON={name}"]
        done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make: ***")]
        assert len(said) == 1
        assert "sudo apt install python3-venv" in said[0]
    assert not (tmp_path / ".venv").exists()
