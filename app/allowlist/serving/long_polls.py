"""Requests that wait for what they ask for: so many of one client at once, and only as long as their callers wait."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.core.errors import TooManyRequests

RETRY_SECONDS = 5


class LongPolls:
    """The requests that wait, by client; each client has up to ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: Counter[str] = Counter()

    async def wait(self, request: Request, client: str, awaited: Coroutine[Any, Any, None]) -> None:
        """Return when ``awaited`` does. Raises ``TooManyRequests``, and ``ClientDisconnect`` when the caller leaves."""
        if self._waiting[client] >= self._most:
            awaited.close()
            said = f"{self._most} requests of your client wait already. Ask without Prefer, or wait with fewer."
            raise TooManyRequests(said, retry_after=RETRY_SECONDS)
        self._waiting[client] += 1
        tasks = asyncio.create_task(awaited), asyncio.create_task(_leaving(request))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting[client] -= 1
            for each in tasks:
                each.cancel()
        if tasks[0] not in done:
            raise ClientDisconnect
        tasks[0].result()


async def _leaving(request: Request) -> None:
    """Return when the caller has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
