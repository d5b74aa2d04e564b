"""LISTEN/NOTIFY as a doorbell: it says "look now"; the truth stays in rows, and a poll looks anyway."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import asyncpg
import structlog
from sqlalchemy import func, select

from app.core.database.transaction import Transaction

Channel = Literal["bulk_uploads", "allowlist_pending", "allowlist_published", "clients_changed"]
KEEPALIVE_SECONDS = 5.0
RECONNECT_SECONDS = 0.5
log = structlog.get_logger(__name__)


async def notify(tx: Transaction, channel: Channel) -> None:
    """Ring when the transaction commits."""
    await tx.execute(select(func.pg_notify(channel, "")))


class Listener:
    """Hears the doorbell on one connection of its own, and comes back when the connection is lost."""

    def __init__(self, database_url: str, channels: Sequence[Channel]) -> None:
        self._database_url = database_url
        self._rung = {channel: {"": asyncio.Event()} for channel in channels}

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as lost:
                log.warning("doorbell lost", error=repr(lost)[:200])
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._database_url, timeout=10)
        try:
            for channel in self._rung:
                await connection.add_listener(channel, self._hear)
                self._hear(None, 0, channel, None)
            while True:
                await asyncio.sleep(KEEPALIVE_SECONDS)
                await connection.execute("SELECT 1", timeout=KEEPALIVE_SECONDS)
        finally:
            connection.terminate()

    def _hear(self, _connection: object, _pid: int, channel: object, _payload: object) -> None:
        for rung in self._rung[channel].values():  # type: ignore[index]  # only the channels listened to are heard
            rung.set()

    async def wait(self, channel: Channel, seconds: float, waiter: str = "") -> None:
        """Return when ``channel`` was rung since the last call of this ``waiter``, or after ``seconds``."""
        rung = self._rung[channel].setdefault(waiter, asyncio.Event())
        try:
            await asyncio.wait_for(rung.wait(), seconds)
        except TimeoutError:
            return
        rung.clear()
