"""Long polls: requests that wait for a newer serial, limited per client, and cancelled when the client disconnects."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.core.errors import TooManyRequests

RETRY_SECONDS = 5


class LongPolls:
    """Limits the waiting requests of each client to ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: Counter[str] = Counter()

    async def wait(self, request: Request, client: str, awaited: Coroutine[Any, Any, None]) -> None:
        """Await ``awaited``. Raises ``TooManyRequests``, and ``ClientDisconnect`` when the client disconnects first."""
        if self._waiting[client] >= self._limit:
            awaited.close()
            detail = f"{self._limit} requests of your client are waiting already. Send no Prefer, or wait with fewer."
            raise TooManyRequests(detail, retry_after=RETRY_SECONDS)
        self._waiting[client] += 1
        tasks = asyncio.create_task(awaited), asyncio.create_task(_wait_for_disconnect(request))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting[client] -= 1
            for each in tasks:
                each.cancel()
        if tasks[0] not in done:
            raise ClientDisconnect
        tasks[0].result()


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
