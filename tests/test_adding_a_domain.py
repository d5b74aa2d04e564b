"""The chapter "Adding a domain" of docs/architecture.md works as it is shown."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHAPTER = (ROOT / "docs" / "architecture.md").read_text().partition("## Adding a domain")[2].partition("\n## ")[0]
COPIED = ("app", "migrations", "tests", "alembic.ini", "pyproject.toml", "openapi.json", "docs", "README.md")
STEP = re.compile(r"^(?:`([\w/.]+)`[^\n]*\n\n)?```(python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def apply_chapter(root: Path) -> None:
    """Create the files of the chapter below ``root``, and make its changes. A change without a name is to the last."""
    path = root
    for name, kind, text in STEP.findall(CHAPTER):
        path = root / name if name else path
        if kind == "python":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            continue
        lines = text.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert path.read_text().count(before) == 1, before
        path.write_text(path.read_text().replace(before, after))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_domain_of_the_chapter_works_and_keeps_every_contract(tmp_path: Path) -> None:
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    apply_chapter(tmp_path)
    (tmp_path / "tests" / "contacts" / "__init__.py").touch()
    tests = (
        "tests/contacts",
        "tests/test_contracts.py",
        "tests/test_migrations.py",
        "tests/core/database/test_tenancy.py",
    )
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "not slow", *tests]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3_000:] + run.stderr[-2_000:]


def test_the_chapter_counts_its_files_and_lines() -> None:
    steps = STEP.findall(CHAPTER)
    code = [text for name, kind, text in steps if kind == "python" and name.startswith(("app/", "migrations/"))]
    changes = [text for _, kind, text in steps if kind == "diff"]
    lines = sum(text.count("\n") for text in code)
    added = sum(text.count("\n+") for text in changes)
    changed = {name for name, kind, _ in steps if kind == "diff" and name}
    assert f"{lines} lines in {len(code)} new files" in CHAPTER
    assert (added, len(changed)) == (10, 6)
    assert "10 lines in six files" in CHAPTER
