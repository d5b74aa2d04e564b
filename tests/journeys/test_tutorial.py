"""The commands of docs/tutorial.md run as they are shown, and their responses are the ones shown."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.core.database.engine import Database
from app.core.settings import Settings
from app.demo.partners import ensure_demo_partners

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Values that differ from run to run, where the page shows one: ids (shortened), times, and the tag of the list.
VARYING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-…", r"[0-9a-f-]{36}"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", r"[\dT:.Z-]*"),
    (r'etag: "[^"\n]*-text"', r'etag: "[^"\n]*-text"'),
    (r"…,|…", r".*?"),
    (r"\s+", r"\s*"),
)
# In place of the page's "sleep 2": how long a publication takes on a busy machine is another test's to say.
UNTIL_PUBLISHED = (
    'until curl -sf -o /dev/null -H "Authorization: Bearer $OPERATOR" $URL/v1/allowlist; do sleep 0.1; done'
)


def expected(shown: str) -> re.Pattern[str]:
    """The responses that a block of the page stands for."""
    tokens = "|".join(f"({text})" for text, _ in VARYING)
    parts: list[str] = []
    end = 0
    for found in re.finditer(tokens, shown.strip()):
        parts += [re.escape(shown.strip()[end : found.start()]), VARYING[(found.lastindex or 0) - 1][1]]
        end = found.end()
    parts.append(re.escape(shown.strip()[end:]))
    return re.compile("".join(parts), re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_each_command_of_the_tutorial_gives_what_is_shown(settings: Settings, url: str, tmp_path: Path) -> None:
    database = Database(settings)
    data = tmp_path / ".data"
    data.mkdir()
    await ensure_demo_partners(database, data, url)
    await database.close()
    blocks = BLOCK.findall(PAGE.read_text())
    assert [language for language, _ in blocks] == ["sh", *["sh", ""] * 8]
    script = "\n".join(text if language else "printf '\\n%s\\n' '== next'" for language, text in blocks)
    script = script.replace("sleep 2\n", f"{UNTIL_PUBLISHED}\n")
    assert UNTIL_PUBLISHED in script
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-eu"], input=script, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "URL": url},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = [text for language, text in blocks if not language]
    for said, block in zip(done.stdout.split("\n== next\n"), shown, strict=False):
        found = said.replace("\r", "").strip()
        assert expected(block).fullmatch(found) is not None, f"{found}\nis not\n{block}"
    assert done.stdout.count("\n== next\n") == len(shown)
