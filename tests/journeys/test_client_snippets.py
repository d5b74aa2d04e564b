"""The programs of docs/clients.md run as they are shown, against the service."""

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import cases
from tests.support.service import Caller

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
BLOCK = re.compile(r"^## (\w+)$.*?^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNERS = {"Python": (sys.executable, "-"), "JavaScript": ("node", "--input-type=module", "-"), "curl": ("bash", "-eu")}
NEEDED = {"Python": (), "JavaScript": ("node",), "curl": ("bash", "curl", "jq")}
PROGRAMS = dict(BLOCK.findall(PAGE.read_text()))


def test_each_program_of_the_page_is_run() -> None:
    assert PROGRAMS.keys() == RUNNERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("language", PROGRAMS)
async def test_a_program_registers_prints_what_is_wrong_and_reads_every_page(
    url: str, pseb: Caller, language: str
) -> None:
    missing = [each for each in NEEDED[language] if shutil.which(each) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    # pages of one, so that the second is read
    program = PROGRAMS[language].replace("limit=100", "limit=1").replace('"limit": 100', '"limit": 1')
    assert program != PROGRAMS[language]
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "URL": url,
        "CLIENT_ID": pseb.credentials.client_id,
        "CLIENT_SECRET": pseb.credentials.client_secret,
    }

    def run() -> subprocess.CompletedProcess[str]:
        command = RUNNERS[language]
        return subprocess.run(
            command, input=program, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    earlier = await cases.submitted(pseb, reference="EARLIER-1")
    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr
    first, *errors = done.stdout.splitlines()[:3]
    reference = f"{language.upper()}-1"
    assert first == f"{reference} submitted"
    assert errors == ["/networks/0 network_reserved", "/networks/1 network_host_bits"]
    assert [line.split()[0] for line in done.stdout.splitlines()[3:]] == [earlier["reference"], reference]
