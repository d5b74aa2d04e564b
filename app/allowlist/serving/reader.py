"""The list in a reader's memory: refreshed when the publisher rings, and by a poll in case it was not heard."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist import publication_store as store
from app.allowlist.delta import Delta, DeltaLog, changes_worth_keeping
from app.allowlist.divergence import Divergence, report
from app.allowlist.models import Publication
from app.allowlist.serving.representations import Representations
from app.allowlist.snapshot import NotASnapshot, Snapshot
from app.core.database.engine import Database
from app.core.database.notifications import Listener
from app.core.database.transaction import Transaction
from app.core.errors import Unavailable
from app.core.settings import Settings

SERVED = Gauge("allowlist_served_serial", "The serial that this process serves")
STALE_AFTER_SECONDS = 10.0
TIMES_BEFORE_PRUNING = 1_000
log = structlog.get_logger(__name__)


class SnapshotReader:
    """Holds the newest snapshot and the deltas that led to it; a refresh that fails leaves what is held.

    ``diverged`` is the last list that was served and that the database turned out not to have, None while there was
    none. ``is_contradicted`` holds as long as the list served is such a one, because the database's own is not proven.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._snapshot: Snapshot | None = None
        self._confirmed = time.monotonic()
        self._newer = asyncio.Condition()
        self._refreshing = asyncio.Lock()
        self._refreshed = float("-inf")
        self._reported: tuple[object, ...] | None = None
        self.diverged: Divergence | None = None
        self.is_contradicted = False
        self.deltas = self._empty_log()
        self.times: dict[int, datetime] = {}
        self.representations = Representations()

    def _empty_log(self) -> DeltaLog:
        return DeltaLog(self._settings.deltas_kept)

    def current(self) -> Snapshot:
        """The snapshot to answer from. Raises ``Unavailable`` before there is one: no list is not an empty list."""
        if self._snapshot is None:
            raise Unavailable("Nothing has been published yet.")
        return self._snapshot

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
            await listener.wait("allowlist_published", self._settings.poll_seconds)
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError, NotASnapshot) as error:
                log.warning("the list could not be refreshed", error=repr(error)[:300])

    def steps(self, serial: int, digest: str | None) -> list[Delta] | None:
        """The deltas that lead from a serial to the list held, None when they are not kept.

        With a ``digest``, also None when the list at ``serial`` had another: then it was of another history.
        """
        held = self.current()
        if serial == held.serial:
            return [] if digest in (None, held.digest) else None
        return self.deltas.since(serial, digest)

    async def wait_for_newer(self, serial: int, seconds: float) -> None:
        """Return when a serial after ``serial`` is held, another list took its place, or after ``seconds``."""
        held = self.current()
        try:
            async with asyncio.timeout(seconds), self._newer:
                await self._newer.wait_for(lambda: self.current() is not held or held.serial > serial)
        except TimeoutError:
            return

    async def refresh(self) -> None:
        """Take the newest publication, by its deltas or as a whole, once its digest is confirmed.

        Single statements at READ COMMITTED suffice: what a published serial holds never changes in one database. After
        a failover it may be another database: a list that this one does not have is given up for the one it has.
        Raises ``NotASnapshot`` when the database's list does not prove itself; then the one held stays.
        """
        asked = time.monotonic()
        # one at a time: of two side by side, the one that read first may end last and go back a serial
        async with self._refreshing:
            if self._refreshed > asked:  # by one that began after this was asked for
                return
            began = time.monotonic()
            await self._refresh()
            self._refreshed = began

    async def _refresh(self) -> None:
        async with self._database.transaction(read_only=True) as tx:
            feed = await store.feed_session(tx)
            newest = await store.last_publication(tx)
            held = self._snapshot
            if feed is None or (held is None and newest is None):
                return
            if held is not None and held.session == feed:
                await self._go_on(tx, held, newest)
            elif newest is not None:
                await self._load(tx, feed, newest)
        self._confirmed = time.monotonic()
        self.is_contradicted = False

    async def _go_on(self, tx: Transaction, held: Snapshot, newest: Publication | None) -> None:
        """Follow the publications after the list held, or give it up when the database has another at its serial."""
        if newest is not None and newest.serial == held.serial:
            since: Sequence[Publication] = [newest]
        else:
            since = await store.publications_after(tx, held.serial - 1, self._settings.deltas_kept + 1)
        recorded = since[0] if since and since[0].serial == held.serial else None
        if recorded is None or (recorded.digest, recorded.published_at) != (held.digest, held.published_at):
            self._disown(held, recorded, newest)
            if newest is None or await store.has_serials_after(tx, newest.serial):
                raise NotASnapshot("publications are missing, and what they published is not")
            await self._load(tx, held.session, newest)
        elif newest is not None and newest.serial - held.serial > self._settings.deltas_kept:
            await self._load(tx, held.session, newest)
        elif newest is not None and newest.serial > held.serial:
            await self._catch_up(tx, held, newest, [each for each in since[1:] if each.serial <= newest.serial])

    def _disown(self, held: Snapshot, recorded: Publication | None, newest: Publication | None) -> None:
        """Note, and tell once, that the list held is not the database's."""
        self.is_contradicted = True
        digest, published_at = (recorded.digest, recorded.published_at) if recorded else (None, None)
        found = (held.version, digest, published_at)
        if self._reported != found:
            self._reported = found
            self.diverged = report(held.serial, held.digest, digest, newest.serial if newest else 0)

    async def _load(self, tx: Transaction, feed: UUID, newest: Publication) -> None:
        """Take the whole list, and the deltas that are kept."""
        entries = await store.entries_at(tx, newest.serial)
        fresh = await asyncio.to_thread(_confirmed, feed, newest, entries)
        changes = changes_worth_keeping(newest.count)
        start = await store.oldest_kept(tx, newest, self._settings.deltas_kept, changes)
        kept = [each for each in await store.publications_after(tx, start) if each.serial <= newest.serial]
        times = await store.times_in_force(tx, newest.serial)
        await self._adopt(fresh, await store.deltas_after(tx, kept), times)

    async def _catch_up(
        self, tx: Transaction, held: Snapshot, newest: Publication, missed: Sequence[Publication]
    ) -> None:
        """Replay what was published since; when it does not prove itself, take the whole list."""
        deltas = await store.deltas_after(tx, missed)
        try:
            fresh = await asyncio.to_thread(_replayed, held, deltas, newest)
        except (NotASnapshot, ValueError, AttributeError) as wrong:
            log.warning("deltas did not prove themselves; taking the whole list", reason=str(wrong))
            await self._load(tx, held.session, newest)
            return
        await self._adopt(fresh, deltas)

    async def _adopt(self, fresh: Snapshot, deltas: list[Delta], times: dict[int, datetime] | None = None) -> None:
        """Hold ``fresh`` and, in the same step, the deltas that lead to it; with ``times``, in place of all before."""
        async with self._newer:
            if times is not None:
                self.deltas, self.times = self._empty_log(), times
            for delta in deltas:
                self.deltas.append(delta, fresh.count)
                self.times[delta.serial] = delta.published_at
            if len(self.times) > fresh.count + TIMES_BEFORE_PRUNING:
                self.times = {serial: self.times[serial] for serial in fresh.serials & self.times.keys()}
            self._snapshot = fresh
            self._newer.notify_all()
        SERVED.set(fresh.serial)


def _confirmed(feed: UUID, publication: Publication, entries: Sequence[tuple[str, int]]) -> Snapshot:
    try:
        snapshot = Snapshot(feed, publication.serial, publication.published_at, entries)
    except (ValueError, AttributeError) as wrong:  # an entry that is no network at all
        raise NotASnapshot(str(wrong)) from wrong
    if snapshot.digest != publication.digest:
        raise NotASnapshot(f"serial {publication.serial} does not have the digest it was published with")
    return snapshot


def _replayed(held: Snapshot, deltas: list[Delta], newest: Publication) -> Snapshot:
    for delta in deltas:
        removed = [removal["network"] for removal in delta.removed]
        held = held.replay(delta.serial, delta.published_at, delta.added, removed)
    if (held.serial, held.digest) != (newest.serial, newest.digest):
        raise NotASnapshot(f"the deltas do not lead to serial {newest.serial} with the digest it was published with")
    return held
