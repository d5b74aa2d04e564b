"""docs/security.md answers every requirement once, and what it points at is there."""

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "security.md").read_text()
# OWASP ASVS 5.0.0: how many requirements of levels 1 and 2 each section has. They come first in their section.
REQUIREMENTS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2,
    "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1,
    "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2,
    "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4,
    "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3,
    "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
    "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
    "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
    "9.1": 3, "9.2": 4,
    "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3,
    "11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1,
    "12.1": 3, "12.2": 2, "12.3": 4,
    "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5,
    "14.1": 2, "14.2": 4, "14.3": 3,
    "15.1": 3, "15.2": 3, "15.3": 7,
    "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3,
    "17.1": 1, "17.2": 4, "17.3": 2,
}  # fmt: skip
STATES = ("met", "in part", "not met", "deployment", "not applicable")
ROW = re.compile(r"^\| ([0-9][0-9., to]*) \| ([a-z ]+) \| (.+) \|$", re.MULTILINE)


def numbers(cell: str) -> list[str]:
    """The requirements that the first cell of a row names: ``6.2.1 to 6.2.12, 6.4.2``, or whole sections, ``6.5``."""
    named: list[str] = []
    for part in cell.split(", "):
        first, _, last = part.partition(" to ")
        if first.count(".") == 1:
            named += [f"{first}.{n}" for n in range(1, REQUIREMENTS[first] + 1)]
        else:
            section, begin = first.rsplit(".", 1)
            named += [f"{section}.{n}" for n in range(int(begin), int((last or first).rsplit(".", 1)[1]) + 1)]
    return named


def answered() -> dict[str, list[str]]:
    """The requirements by the state that the document gives them."""
    by_state: dict[str, list[str]] = {state: [] for state in STATES}
    for cell, state, _ in ROW.findall(DOCUMENT):
        by_state[state] += numbers(cell)
    return by_state


def test_every_requirement_of_levels_1_and_2_is_answered_once() -> None:
    expected = [f"{section}.{n}" for section, count in REQUIREMENTS.items() for n in range(1, count + 1)]
    assert len(expected) == 253
    assert Counter(each for found in answered().values() for each in found) == Counter(expected)


def test_the_summary_counts_what_the_tables_say() -> None:
    counts = {state: len(found) for state, found in answered().items()}
    summary = ", ".join(f"{counts[state]} {state}" for state in STATES)
    assert f"Of 253 requirements: {summary}." in " ".join(DOCUMENT.split())


def test_every_test_that_is_cited_exists() -> None:
    cited = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", DOCUMENT)
    assert len(cited) > 100
    missing = [f"{path}::{name}" for path, name in cited if name not in _functions(ROOT / path)]
    assert missing == []


def test_every_file_that_is_cited_exists() -> None:
    cited = re.findall(r"`((?:app|docs|tests|migrations)/[\w./]+)`", DOCUMENT)
    cited += [f"docs/{link}" for link in re.findall(r"\]\((?!https?:)([\w./-]+)", DOCUMENT)]
    assert [path for path in cited if not (ROOT / path).exists()] == []


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
