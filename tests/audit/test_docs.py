"""The verification program in docs/audit.md works."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support import processes
from tests.support.audit_trees import record_events, sequence_events
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"


@pytest.mark.slow
async def test_the_program_on_the_page_verifies_an_inclusion_proof(service: Service, pseb: Caller) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    await record_events(service, *(f"test.{number}" for number in range(9)))
    await sequence_events(service)
    events = await wait_for_event(pseb, "test.8")
    with processes.serving(service.settings) as url:
        login = (pseb.credentials.client_id, pseb.credentials.client_secret)
        async with httpx.AsyncClient(base_url=url, auth=login) as http:
            answer = await http.post("/oauth/token", data={"grant_type": "client_credentials"})
        token = answer.json()["access_token"]

        async def run(program: str, event_id: str) -> subprocess.CompletedProcess[str]:
            given = {"PATH": os.environ["PATH"], "URL": url, "TOKEN": token}
            command = [sys.executable, "-c", program, event_id]
            return await asyncio.to_thread(subprocess.run, command, env=given, capture_output=True, text=True)

        for event in (events[0], events[6], events[-1]):
            done = await run(shown, event["id"])
            assert done.returncode == 0, done.stderr
            assert event["id"] in done.stdout
        lied_to = shown.replace('proof["entry"].encode()', 'proof["entry"].replace("test", "tost").encode()')
        assert "not in that tree" in (await run(lied_to, events[6]["id"])).stderr
