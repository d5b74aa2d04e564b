"""The loop of deliveries: webhooks do not delay one another, and errors do not end it."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.database.transaction import Transaction
from app.webhooks import store
from app.webhooks.delivery import Deliverer
from app.webhooks.rules import MAX_WEBHOOKS
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.processes import until
from tests.support.receiver import Received, Receiver
from tests.support.service import Caller, Service
from tests.support.webhooks import create_webhook, tell


async def has_received(receiver: Receiver, number: int) -> bool:
    return len(receiver.received) >= number


@asynccontextmanager
async def running(deliverer: Deliverer) -> AsyncIterator[asyncio.Task[None]]:
    """Run the loop of deliveries during the block."""
    task = asyncio.create_task(deliverer.run(0.05))
    yield task
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_slow_receiver_does_not_delay_others(
    pseb: Caller, pasha: Caller, receiver: Receiver, other_receiver: Receiver, deliverer: Deliverer
) -> None:
    released = asyncio.Event()

    async def hang(_: Received, __: asyncio.StreamWriter) -> None:
        await released.wait()

    receiver.respond = hang
    await create_webhook(pseb, receiver)
    await create_webhook(pasha, other_receiver)
    await tell(pseb, "bulk_upload.slow")
    async with running(deliverer):
        await until(partial(has_received, receiver, 1))
        await tell(pasha, *["bulk_upload.fast"] * 30)
        await until(partial(has_received, other_receiver, 30))
        assert len(receiver.received) == 1
        released.set()


async def test_slow_name_resolution_delays_neither_publications_nor_other_partners(
    service: Service,
    pseb: Caller,
    pasha: Caller,
    officer: Caller,
    other_receiver: Receiver,
    deliverer: Deliverer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered, asked, really = threading.Event(), set[str](), socket.getaddrinfo

    def hang(host: str, *given: Any, **named: Any) -> Any:
        if not str(host).endswith(".slow.example"):
            return really(host, *given, **named)
        asked.add(host)
        answered.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answered")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))  # fewer than there are names
    for number in range(MAX_WEBHOOKS):
        await create_webhook(pseb, other_receiver, url=f"https://{number}.slow.example/hook")
    await create_webhook(pasha, other_receiver)
    await tell(pseb, "bulk_upload.slow")
    try:
        async with running(deliverer):
            await until(partial(_has_asked, asked, 2))
            await cases.approved(pasha, officer)
            async with asyncio.timeout(30):
                published = await service.publish()
            await tell(pasha, *["bulk_upload.fast"] * 30)
            await until(partial(has_received, other_receiver, 30))
            assert published is not None
            assert not answered.is_set()
    finally:
        answered.set()


async def _has_asked(asked: set[str], number: int) -> bool:
    return len(asked) >= number


async def test_a_webhook_that_cannot_be_sent_to_does_not_delay_others(
    service: Service, pseb: Caller, pasha: Caller, receiver: Receiver, other_receiver: Receiver, deliverer: Deliverer
) -> None:
    broken = await create_webhook(pseb, receiver)
    await create_webhook(pasha, other_receiver)
    async with service.database.transaction() as tx:
        unusable = "UPDATE webhooks SET sealed_secret = 'eA==' WHERE id = :id"
        await tx.execute(text(unusable), {"id": broken["id"]})
    async with running(deliverer):
        for number in range(1, 4):
            await tell(pseb, "bulk_upload.opened")
            await tell(pasha, "bulk_upload.opened")
            await until(partial(has_received, other_receiver, number))
    assert receiver.accepted == 0


async def test_a_webhook_whose_events_cannot_be_read_does_not_delay_others(
    pseb: Caller,
    pasha: Caller,
    receiver: Receiver,
    other_receiver: Receiver,
    deliverer: Deliverer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken, read = await create_webhook(pseb, receiver), store.add_deliveries
    await create_webhook(pasha, other_receiver)

    async def fail(tx: Transaction, webhook_id: UUID, *given: Any) -> None:
        if str(webhook_id) == broken["id"]:
            raise ZeroDivisionError
        await read(tx, webhook_id, *given)

    monkeypatch.setattr(store, "add_deliveries", fail)
    await tell(pseb, "bulk_upload.opened")
    await tell(pasha, "bulk_upload.opened")
    async with running(deliverer):
        await until(partial(has_received, other_receiver, 1))
    assert receiver.accepted == 0


async def test_the_loop_continues_after_an_error(
    service: Service, pseb: Caller, receiver: Receiver, deliverer: Deliverer
) -> None:
    await create_webhook(pseb, receiver)
    async with running(deliverer) as task:
        async with service.database.transaction() as tx:
            await tx.execute(text("SET LOCAL ROLE NONE"))
            await tx.execute(text("ALTER TABLE webhook_deliveries RENAME TO away"))
        await tell(pseb, "bulk_upload.opened")
        await wait_for_event(pseb, "bulk_upload.opened")
        await asyncio.sleep(0.2)
        assert not task.done()
        async with service.database.transaction() as tx:
            await tx.execute(text("SET LOCAL ROLE NONE"))
            await tx.execute(text("ALTER TABLE away RENAME TO webhook_deliveries"))
        await until(partial(has_received, receiver, 1))
