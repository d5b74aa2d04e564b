"""SnapshotReader: the newest list in memory, refreshed on notifications of the publisher, and by polling."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist import publication_store as store
from app.allowlist import session_store as sessions
from app.allowlist.delta import Delta, DeltaLog, max_changes_kept
from app.allowlist.divergence import Divergence, report_divergence
from app.allowlist.models import Publication
from app.allowlist.serving.representations import Representations
from app.allowlist.snapshot import InvalidSnapshot, Snapshot, Version, build_verified
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
    """The newest snapshot and the deltas that led to it; a refresh that fails leaves them unchanged.

    ``last_divergence`` is the last list served that the database turned out not to have, if any. ``is_diverged`` is
    true while such a list is still served, because the list in the database does not have its published digest.
    ``fetched`` has the newest list that each client got, by the client's id, until ``app.enforcers`` records it.
    ``is_behind`` is true while the database lacks a list of its session that some process served: then its serials may
    be given out again, until the feed has a new session.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._snapshot: Snapshot | None = None
        self._confirmed_at = time.monotonic()
        self._replaced = asyncio.Condition()
        self._refreshing = asyncio.Lock()
        self._refresh_began = float("-inf")
        self._reported: tuple[object, ...] | None = None
        self.last_divergence: Divergence | None = None
        self.is_diverged = self.is_behind = False
        self._lost: Snapshot | None = None  # not reported yet
        self.deltas = self._empty_log()
        self.times: dict[int, datetime] = {}
        self.fetched: dict[str, Version] = {}
        self.representations = Representations()

    def _empty_log(self) -> DeltaLog:
        return DeltaLog(self._settings.deltas_kept)

    def current(self) -> Snapshot:
        """The newest snapshot. Raises ``Unavailable`` before the first: a missing list is no empty list (ADR 0009)."""
        if self._snapshot is None:
            raise Unavailable("Nothing has been published yet.")
        return self._snapshot

    @property
    def age(self) -> int:
        """Seconds since the database last confirmed that the snapshot is the newest."""
        return int(time.monotonic() - self._confirmed_at)

    @property
    def is_stale(self) -> bool:
        """True when the database has been unreachable for longer than a few polls."""
        return self.age > STALE_AFTER_SECONDS

    async def run(self, listener: Listener) -> None:
        """Refresh on every notification and poll, until cancelled."""
        while True:
            await listener.wait("allowlist_published", self._settings.poll_seconds)
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError, InvalidSnapshot) as error:
                log.warning("the list could not be refreshed", error=repr(error)[:300])
            except Exception:
                log.exception("the list could not be refreshed")

    def deltas_since(self, serial: int, digest: str | None) -> list[Delta] | None:
        """The deltas from a serial to the current list, or None when they are not kept.

        With a ``digest``, also None when the list at ``serial`` had another digest, and so another history.
        """
        current = self.current()
        if serial == current.serial:
            return [] if digest in (None, current.digest) else None
        return self.deltas.since(serial, digest)

    async def wait_for_newer(self, serial: int, seconds: float) -> None:
        """Return when the current serial is after ``serial``, when the list was replaced, or after ``seconds``."""
        before = self.current()
        try:
            async with asyncio.timeout(seconds), self._replaced:
                await self._replaced.wait_for(lambda: self.current() is not before or before.serial > serial)
        except TimeoutError:
            return

    async def refresh(self) -> None:
        """Read the newest publication, by its deltas or as a whole, and check its digest.

        READ COMMITTED suffices, since the list at a published serial never changes within one database. After a
        failover to a database that lost publications, its list replaces one that it does not have. Raises
        ``InvalidSnapshot`` when the list in the database does not have its digest; the snapshot then stays.
        """
        called = time.monotonic()
        # serialised: of two concurrent refreshes, the one that read first might end last and go back a serial
        async with self._refreshing:
            if self._refresh_began > called:  # a refresh that began after this call has ended
                return
            began = time.monotonic()
            await self._refresh()
            self._refresh_began = began
            if self._lost:
                await self._report_lost(self._lost)

    async def _refresh(self) -> None:
        async with self._database.transaction(read_only=True) as tx:
            session = await store.feed_session(tx)
            newest = await store.last_publication(tx)
            current = self._snapshot
            if session is None or (current is None and newest is None):
                return
            if current is not None and current.session == session:
                await self._update(tx, current, newest)
            elif newest is not None:
                await self._load(tx, session, newest)
            behind = await sessions.is_behind(tx, session)
        self.is_behind = behind or self._lost is not None
        self._confirmed_at = time.monotonic()
        self.is_diverged = False

    async def _update(self, tx: Transaction, current: Snapshot, newest: Publication | None) -> None:
        """Apply the publications after the current list; load the whole list when the database has another history."""
        if newest is not None and newest.serial == current.serial:
            since: Sequence[Publication] = [newest]
        else:
            since = await store.publications_after(tx, current.serial - 1, self._settings.deltas_kept + 1)
        recorded = since[0] if since and since[0].serial == current.serial else None
        if recorded is None or (recorded.digest, recorded.published_at) != (current.digest, current.published_at):
            self._report_divergence(current, recorded, newest)
            if newest is None or await store.has_serials_after(tx, newest.serial):
                raise InvalidSnapshot("publications are missing whose entries are not")
            await self._load(tx, current.session, newest)
            if recorded is None or recorded.digest != current.digest:  # else only its time is another
                self._lost = current
        elif newest is not None and newest.serial - current.serial > self._settings.deltas_kept:
            await self._load(tx, current.session, newest)
        elif newest is not None and newest.serial > current.serial:
            await self._catch_up(tx, current, newest, [each for each in since[1:] if each.serial <= newest.serial])

    async def _report_lost(self, lost: Snapshot) -> None:
        """Tell every process that the database lacks a list that was served."""
        async with self._database.transaction() as tx:
            await sessions.report_served(tx, lost.session, lost.serial, lost.digest)
        self._lost = None

    def _report_divergence(self, current: Snapshot, recorded: Publication | None, newest: Publication | None) -> None:
        """Mark the reader as diverged, and report each divergence once."""
        self.is_diverged = True
        digest, published_at = (recorded.digest, recorded.published_at) if recorded else (None, None)
        found = (current.version, digest, published_at)
        if self._reported != found:
            self._reported = found
            newest_serial = newest.serial if newest else 0
            self.last_divergence = report_divergence(current.serial, current.digest, digest, newest_serial)

    async def _load(self, tx: Transaction, session: UUID, newest: Publication) -> None:
        """Read the whole list, and the deltas that are kept."""
        entries = await store.entries_at(tx, newest.serial)
        version = Version(session, newest.serial, newest.published_at, newest.digest)
        fresh = await asyncio.to_thread(build_verified, version, entries)
        max_changes = max_changes_kept(newest.count)
        start = await store.serial_before_deltas(tx, newest, self._settings.deltas_kept, max_changes)
        kept = [each for each in await store.publications_after(tx, start) if each.serial <= newest.serial]
        times = await store.publication_times(tx, newest.serial)
        await self._replace(fresh, await store.deltas_of(tx, kept), times)

    async def _catch_up(
        self, tx: Transaction, current: Snapshot, newest: Publication, missed: Sequence[Publication]
    ) -> None:
        """Apply the deltas of the missed publications; load the whole list when the result has another digest."""
        deltas = await store.deltas_of(tx, missed)
        try:
            fresh = await asyncio.to_thread(_apply_deltas, current, deltas, newest)
        except (InvalidSnapshot, ValueError, AttributeError) as wrong:
            log.warning("deltas do not lead to the published digest; loading the whole list", reason=str(wrong))
            await self._load(tx, current.session, newest)
            return
        await self._replace(fresh, deltas)

    async def _replace(self, fresh: Snapshot, deltas: list[Delta], times: dict[int, datetime] | None = None) -> None:
        """Replace the snapshot and append its deltas at once; with ``times``, replace all deltas and times."""
        async with self._replaced:
            if times is not None:
                self.deltas, self.times = self._empty_log(), times
            for delta in deltas:
                self.deltas.append(delta, fresh.count)
                self.times[delta.serial] = delta.published_at
            if len(self.times) > fresh.count + TIMES_BEFORE_PRUNING:
                self.times = {serial: self.times[serial] for serial in fresh.added_serials & self.times.keys()}
            self._snapshot = fresh
            self._replaced.notify_all()
        SERVED.set(fresh.serial)


def _apply_deltas(snapshot: Snapshot, deltas: list[Delta], newest: Publication) -> Snapshot:
    for delta in deltas:
        removed = [removal["network"] for removal in delta.removed]
        snapshot = snapshot.apply_delta(delta.serial, delta.published_at, delta.added, removed)
    if (snapshot.serial, snapshot.digest) != (newest.serial, newest.digest):
        raise InvalidSnapshot(f"the deltas do not lead to serial {newest.serial} with the digest it was published with")
    return snapshot
