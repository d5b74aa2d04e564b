"""LISTEN/NOTIFY: a notification wakes other processes; the data is in tables, which they poll anyway."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import structlog
from sqlalchemy import func, select

from app.core.database.connecting import Connector
from app.core.database.transaction import Transaction

Channel = Literal["bulk_uploads", "allowlist_pending", "allowlist_published", "clients_changed"]
KEEPALIVE_SECONDS = 5.0
RECONNECT_SECONDS = 0.5
log = structlog.get_logger(__name__)


async def notify(tx: Transaction, channel: Channel) -> None:
    """Notify a channel when the transaction commits."""
    await tx.execute(select(func.pg_notify(channel, "")))


class Listener:
    """Listens to channels on a connection of its own, and reconnects when that is lost."""

    def __init__(self, database_url: str, channels: Sequence[Channel]) -> None:
        self._connector = Connector(database_url, seconds=KEEPALIVE_SECONDS)
        self._notified = {channel: {"": asyncio.Event()} for channel in channels}  # events by channel and waiter
        self._is_connected = True  # until it fails, so that this is logged

    async def run(self) -> None:
        """Listen until cancelled; whatever fails, connect again."""
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - without it, nothing would wake this process ever again
                if self._is_connected:
                    log.warning("listener disconnected", error=repr(error)[:300])
                self._is_connected = False
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await self._connector.connect()
        try:
            for channel in self._notified:
                await connection.add_listener(channel, self._wake)
                self._wake(None, 0, channel, None)  # notifications may have been missed
            if not self._is_connected:
                log.info("listener connected")
            self._is_connected = True
            while True:
                await asyncio.sleep(KEEPALIVE_SECONDS)
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _wake(self, _connection: object, _pid: int, channel: object, _payload: object) -> None:
        for event in self._notified[channel].values():  # type: ignore[index]  # only channels that are listened to
            event.set()

    async def wait(self, channel: Channel, seconds: float, waiter: str = "") -> None:
        """Wait for a notification since the last call of this ``waiter``, for ``seconds`` at most."""
        event = self._notified[channel].setdefault(waiter, asyncio.Event())
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return
        event.clear()
