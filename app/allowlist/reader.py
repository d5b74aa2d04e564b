"""The list in a reader's memory: refreshed when the publisher rings, and by a poll in case it was not heard."""

import asyncio
import time
from datetime import datetime
from functools import lru_cache

import structlog
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist import store
from app.allowlist.formats import Representation
from app.allowlist.snapshot import NotASnapshot, Snapshot
from app.core.db import Database
from app.core.doorbell import Listener
from app.core.errors import Unavailable

SERVED = Gauge("allowlist_served_serial", "The serial that this process serves")
STALE_AFTER_SECONDS = 10.0
log = structlog.get_logger(__name__)


class SnapshotReader:
    """Holds the newest snapshot; a refresh that fails leaves the one that is held."""

    def __init__(self, database: Database, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._snapshot: Snapshot | None = None
        self._confirmed = time.monotonic()
        self.times: dict[int, datetime] = {}
        self._represent = lru_cache(maxsize=64)(Representation)

    def current(self) -> Snapshot:
        """The snapshot to answer from. Raises ``Unavailable`` before there is one: no list is not an empty list."""
        if self._snapshot is None:
            raise Unavailable("Nothing has been published yet.")
        return self._snapshot

    def representation(self, name: str, family: int | None) -> Representation:
        """The current snapshot in a format, made once."""
        return self._represent(self.current(), name, family)

    @property
    def age(self) -> int:
        """Seconds since the database last confirmed that the snapshot held is the newest."""
        return int(time.monotonic() - self._confirmed)

    @property
    def is_stale(self) -> bool:
        """Whether the database has been out of reach for longer than a few polls."""
        return self.age > STALE_AFTER_SECONDS

    async def run(self, listener: Listener) -> None:
        """Refresh on every ring and poll until cancelled."""
        while True:
            await listener.wait("allowlist_published", self._poll_seconds)
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError, NotASnapshot) as error:
                log.warning("the list could not be refreshed", error=repr(error)[:300])

    async def refresh(self) -> None:
        """Take the newest publication, once its digest is confirmed.

        Two statements at READ COMMITTED suffice: what a published serial holds never changes.
        """
        async with self._database.read() as session:
            feed = await store.feed_session(session)
            newest = await store.last_publication(session)
            if feed is None or newest is None:
                return
            held = self._snapshot
            if held is None or (held.session, held.serial) != (feed, newest.serial):
                entries = await store.entries_at(session, newest.serial)
                self.times |= await store.publication_times(session, max(self.times, default=0))
                fresh = await asyncio.to_thread(Snapshot, feed, newest.serial, newest.published_at, entries)
                if fresh.digest != newest.digest:
                    raise NotASnapshot(f"serial {newest.serial} does not have the digest it was published with")
                self._snapshot = fresh
                SERVED.set(fresh.serial)
        self._confirmed = time.monotonic()
