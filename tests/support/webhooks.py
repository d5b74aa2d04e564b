"""Webhooks and their receivers, events to deliver, and a clock that can be moved forward."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.events import store as events
from app.events.store import NewEvent
from app.webhooks.delivery import Deliverer
from tests.support.receiver import Received, Receiver
from tests.support.service import Caller

TYPES = ["bulk_upload.*"]


class Clock:
    """A clock that a test can move forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def forward(self, by: timedelta) -> None:
        """Move the clock forward."""
        self._ahead += by


def url_of(receiver: Receiver, path: str = "/hook") -> str:
    """The URL of a receiver by HTTPS."""
    return f"https://127.0.0.1:{receiver.port}{path}"


async def create_webhook(caller: Caller, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    """Register a webhook of the caller's, and return it with its secret and ``path``."""
    answer = await caller.post("/v1/webhooks", json={"url": url_of(receiver), "event_types": TYPES, **changes})
    assert answer.status_code == 201, answer.text
    return {**answer.json(), "path": answer.headers["Location"]}


async def tell(caller: Caller, *names: str, **details: Any) -> list[UUID]:
    """Record that something happened that is the caller's business; gives the events' ids."""
    new_events = [NewEvent(name, partner_id=caller.credentials.partner_id, details=details) for name in names]
    async with caller.service.database.transaction() as tx:
        return await events.record(tx, None, new_events)


async def until_received(deliverer: Deliverer, receiver: Receiver, number: int) -> list[Received]:
    """Run the deliverer until so many requests were received; return them.

    More than one run may be needed: an event is held back while any older transaction runs, also another test's.
    """
    async with asyncio.timeout(30):
        while len(receiver.received) < number:
            await deliverer.run_once()
            await asyncio.sleep(0.02)
    return receiver.received


async def until_recorded(deliverer: Deliverer, caller: Caller, path: str, number: int) -> list[dict[str, Any]]:
    """Run the deliverer until so many deliveries are recorded; return them, oldest first."""
    async with asyncio.timeout(30):
        while len(found := await deliveries(caller, path)) < number:
            await deliverer.run_once()
            await asyncio.sleep(0.02)
    return found


async def deliveries(caller: Caller, path: str, query: str = "") -> list[dict[str, Any]]:
    """A webhook's deliveries, oldest first."""
    answer = await caller.get(f"{path}/deliveries?limit=500{query}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items[::-1]


def types(received: list[Received]) -> list[str]:
    """The type of each request."""
    return [json.loads(each.body)["type"] for each in received]
