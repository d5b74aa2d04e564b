"""The floors of the house hold: who may import whom stands in ``pyproject.toml``."""

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]


def test_every_import_keeps_to_the_contracts() -> None:
    assert lint_imports(str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


def test_no_statement_commits_but_those_of_the_session_that_was_opened_to_write() -> None:
    commits = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "app").rglob("*.py"))
        if any(call in path.read_text() for call in (".commit(", ".begin("))
    ]
    assert commits == ["app/core/database/engine.py"]
