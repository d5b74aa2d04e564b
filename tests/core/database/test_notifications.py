"""Notifications wake waiting processes after the commit, and the listener reconnects when its connection is lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import text

from app.core.database import notifications
from app.core.database.notifications import Listener, notify
from tests.support.service import Service

CUT_THE_LISTENER = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name <> 'ip-registration'"
)


@pytest.fixture
async def listener(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    """A listener that has begun to listen, with no notification pending."""
    monkeypatch.setattr(notifications, "RECONNECT_SECONDS", 0.05)
    monkeypatch.setattr(notifications, "KEEPALIVE_SECONDS", 0.2)
    listener = Listener(service.settings.database_url, ["bulk_uploads", "allowlist_pending"])
    task = asyncio.create_task(listener.run())
    for channel in ("bulk_uploads", "allowlist_pending"):
        assert await _is_notified(listener, channel)
    yield listener
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _is_notified(listener: Listener, channel: str, seconds: float = 10.0) -> bool:
    began = time.monotonic()
    await listener.wait(channel, seconds)  # type: ignore[arg-type]  # any name
    return time.monotonic() - began < seconds * 0.9


async def test_a_transaction_that_does_not_commit_notifies_no_waiter(service: Service, listener: Listener) -> None:
    with suppress(LookupError):
        async with service.database.transaction() as tx:
            await notify(tx, "bulk_uploads")
            raise LookupError
    async with service.database.transaction() as tx:
        await notify(tx, "bulk_uploads")
        assert not await _is_notified(listener, "bulk_uploads", 0.3)
    assert await _is_notified(listener, "bulk_uploads")


async def test_a_notification_wakes_each_waiter_of_its_channel_once(service: Service, listener: Listener) -> None:
    waiting = asyncio.create_task(_is_notified(listener, "bulk_uploads"))
    async with service.database.transaction() as tx:
        await notify(tx, "bulk_uploads")
    assert await waiting
    assert not await _is_notified(listener, "allowlist_pending", 0.2)
    assert not await _is_notified(listener, "bulk_uploads", 0.2)


async def test_a_notification_that_came_while_nobody_waited_is_not_lost(service: Service, listener: Listener) -> None:
    async with service.database.transaction() as tx:
        await notify(tx, "bulk_uploads")
    await asyncio.sleep(0.1)
    assert await _is_notified(listener, "bulk_uploads")


async def test_after_its_connection_is_lost_it_wakes_waiters_at_once_and_listens_again(
    service: Service, listener: Listener
) -> None:
    async with service.database.transaction() as tx:
        await tx.execute(text("SET ROLE NONE"))
        assert await tx.scalar(CUT_THE_LISTENER) == 1
    assert await _is_notified(listener, "bulk_uploads")  # something may have been missed
    async with service.database.transaction() as tx:
        await notify(tx, "bulk_uploads")
    assert await _is_notified(listener, "bulk_uploads")


async def test_a_listener_outlives_a_database_that_is_not_there() -> None:
    listener = Listener("postgresql://u@127.0.0.1:1/d", ["bulk_uploads"])
    task = asyncio.create_task(listener.run())
    assert not await _is_notified(listener, "bulk_uploads", 0.3)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
