"""The event log as a partner polls it."""

import asyncio
from typing import Any

from tests.support.service import Caller


async def told(caller: Caller, name: str) -> list[dict[str, Any]]:
    """The log from its beginning until it tells of ``name``.

    It waits: an event is held back while any older transaction runs, also one of another test on this server.
    """
    async with asyncio.timeout(20):
        while True:
            items: list[dict[str, Any]] = (await caller.get("/v1/events?limit=500")).json()["items"]
            if name in (each["name"] for each in items):
                return items
            await asyncio.sleep(0.05)
