"""The event log as a partner polls it."""

import asyncio
from typing import Any

from tests.support.service import Caller


async def wait_for_event(caller: Caller, name: str) -> list[dict[str, Any]]:
    """Return the log from its beginning once it has an event ``name``.

    Waits: an event is held back while any older transaction runs, also one of another test on this server.
    """
    async with asyncio.timeout(20):
        while True:
            items: list[dict[str, Any]] = (await caller.get("/v1/events?limit=500")).json()["items"]
            if name in (each["name"] for each in items):
                return items
            await asyncio.sleep(0.05)
