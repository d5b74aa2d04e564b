"""The documentation's links lead somewhere, its lists are complete, and its pages keep their sizes."""

import re
from pathlib import Path

import pytest

from app.core.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *DOCS.rglob("*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading_of_it(page: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


def test_the_readme_links_every_page() -> None:
    linked = {path for path, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= linked


def test_the_index_of_decisions_has_the_title_and_status_of_each() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    rows = dict(re.findall(r"^\| \[\d{4}\]\((\S+)\) \| (.+) \|$", index, re.MULTILINE))
    records = {}
    for page in DOCS.glob("decisions/0*.md"):
        text = page.read_text()
        ((number, title),) = re.findall(r"\A# (\d{4}) (.+)$", text, re.MULTILINE)
        assert page.name.startswith(number)
        ((status, by),) = re.findall(r"^\*\*Status\*\*: (Accepted|Superseded)( by \[\d{4}\])?", text, re.MULTILINE)
        assert re.findall(r"^## (\w+)", text, re.MULTILINE)[:3] == ["Context", "Decision", "Consequences"], page.name
        records[page.name] = (title.replace("`", ""), f"{status}{by}".replace("[", "").replace("]", ""))
    assert rows.keys() == records.keys()
    for name, (title, status) in records.items():
        assert rows[name].replace("`", "").startswith(f"{title} | {status}"), name


def test_every_setting_is_described() -> None:
    described = set(re.findall(r"`([A-Z][A-Z_]+)`", (DOCS / "operations.md").read_text()))
    assert {name.upper() for name in Settings.model_fields} - described == set()


def test_pages_to_be_read_at_once_stay_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 60
    assert len((DOCS / "performance.md").read_text().splitlines()) <= 150
    assert len(re.findall(r"^\| ", (DOCS / "glossary.md").read_text(), re.MULTILINE)) - 1 <= 30
