"""The one publisher: turns what is pending into the next serial, or refuses and keeps the last good one."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import chain
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from app.allowlist import guards
from app.allowlist import publication_store as store
from app.allowlist.divergence import report
from app.allowlist.errors import PublicationRefused
from app.allowlist.guards import Change
from app.allowlist.models import HeldChange, Publication
from app.allowlist.snapshot import NotASnapshot, Snapshot
from app.core.database.engine import Database
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.errors import Invalid
from app.core.validation import networks
from app.events import store as events
from app.events.store import Happening

SERIAL = Gauge("allowlist_serial", "The newest serial that this process published")
ENTRIES = Gauge("allowlist_entries", "Networks in force at that serial")
REFUSED = Counter("allowlist_publications_refused", "Publications that a check refused", ["check"])
HELD = Counter("allowlist_changes_held", "Mass changes that were held for another officer", ["kind"])
log = structlog.get_logger(__name__)


class Publisher:
    """Publishes under the advisory lock; holds the last snapshot in memory to replay each delta on.

    ``guard_window`` is the time over which mass changes are counted.
    """

    def __init__(self, database: Database, guard_window: timedelta = guards.WINDOW) -> None:
        self._database = database
        self._guard_window = guard_window
        self._last: Snapshot | None = None
        self._reported: str | None = None

    async def publish(self) -> Publication | None:
        """Publish what is pending, if anything is. A refusal is recorded, counted, logged, and gives None."""
        try:
            async with self._database.transaction() as tx:
                await store.lock_feed(tx)
                previous, last_digest = await self._previous(tx)
                added, removed = await store.take_pending(tx, previous.serial + 1)
                held, added, removed = await self._guard(tx, previous.count, added, removed)
                publication, snapshot = await _next(tx, previous, last_digest, added, removed)
        except PublicationRefused as refusal:
            await self._report(refusal)
            return None
        self._last, self._reported = snapshot, None
        for change in held:
            HELD.labels(change.kind).inc()
            log.warning("mass change held", kind=change.kind, count=change.count, in_window=change.in_window)
        if publication:
            SERIAL.set(publication.serial)
            ENTRIES.set(publication.count)
            log.info("published", serial=publication.serial, added=publication.added, removed=publication.removed)
        return publication

    async def _previous(self, tx: Transaction) -> tuple[Snapshot, str | None]:
        """The snapshot of the last publication, held or read again, and its recorded digest."""
        feed = await store.feed_session(tx)
        if feed is None:
            raise PublicationRefused("feed_missing", "the feed's row is gone; restore it, it is never made anew")
        last = await store.last_publication(tx)
        held = self._last_of(feed, last)
        if last is None:
            return Snapshot(feed, 0, None, []), None
        if held is None:
            entries = await store.entries_at(tx, last.serial)
            held = await asyncio.to_thread(_snapshot, feed, last.serial, entries)
        if held.digest != last.digest:
            detail = f"serial {last.serial} no longer has the digest it was published with"
            raise PublicationRefused("chain_broken", detail)
        return held, last.digest

    def _last_of(self, feed: UUID, last: Publication | None) -> Snapshot | None:
        """The snapshot held, if it is that of the database's last publication.

        One that the database does not have, as after a failover that lost publications, is told of and dropped.
        """
        held = self._last
        if held is None or held.session != feed:
            return None
        serial, digest = (last.serial, last.digest) if last else (0, None)
        if (held.serial, held.digest) == (serial, digest):
            return held
        if 0 < held.serial >= serial:
            report(held.serial, held.digest, digest if held.serial == serial else None, serial)
        self._last = None
        return None

    async def _guard(
        self, tx: Transaction, in_force: int, added: Sequence[Change], removed: Sequence[Change]
    ) -> tuple[list[HeldChange], Sequence[Change], Sequence[Change]]:
        """Hold the mass changes that exceed their bound; give them, and the changes that are left.

        The changes have their serial already: what is counted is what is published, whatever else commits meanwhile.
        """
        if not any(each.may_be_held for each in chain(added, removed)):
            return [], added, removed
        window = await store.window(tx, self._guard_window)
        try:
            excess = guards.to_hold(window, added, removed)
        except (ValueError, AttributeError) as wrong:
            raise PublicationRefused("not_publishable", f"a network that changes is none: {wrong}") from wrong
        if not excess:
            return [], added, removed
        held = [await store.hold(tx, each, in_force) for each in excess]
        for change in held:
            numbers = {name: getattr(change, name) for name in ("kind", "count", "in_force", "in_window", "bound")}
            details = {"held_id": str(change.id), **numbers}
            await events.record(tx, None, [Happening("allowlist.held", details=details)])
        waiting = {entry_id for each in excess for entry_id in each.entry_ids}
        added, removed = ([each for each in changes if each.entry_id not in waiting] for changes in (added, removed))
        return held, added, removed

    async def _report(self, refusal: PublicationRefused) -> None:
        REFUSED.labels(refusal.check).inc()
        self._last = None
        if self._reported == str(refusal):
            return
        log.error("publication refused", check=refusal.check, detail=refusal.detail)
        details = {"check": refusal.check, "detail": refusal.detail}
        async with self._database.transaction() as tx:
            await events.record(tx, None, [Happening("allowlist.publication_refused", details=details)])
        self._reported = str(refusal)


async def _next(
    tx: Transaction,
    previous: Snapshot,
    last_digest: str | None,
    added: Sequence[Change],
    removed: Sequence[Change],
) -> tuple[Publication | None, Snapshot]:
    """Write the publication of changes that were given the next serial, unless there are none."""
    if not added and not removed:
        return None, previous
    networks = [each.network for each in added]
    snapshot = await _checked(tx, previous, networks, [each.network for each in removed])
    publication = Publication(
        serial=snapshot.serial,
        count=snapshot.count,
        added=len(added),
        removed=len(removed),
        digest=snapshot.digest,
        previous_digest=last_digest,
        exempt_added=sum(each.is_released for each in added),
        exempt_removed=len(removed) - len(guards.lost(removed, networks)),
    )
    await store.add_publication(tx, publication)
    counts = {name: getattr(publication, name) for name in ("serial", "count", "added", "removed", "digest")}
    await events.record(tx, None, [Happening("allowlist.published", details=counts)])
    await notify(tx, "allowlist_published")
    return publication, snapshot


def _snapshot(feed: UUID, serial: int, entries: Sequence[tuple[str, int]]) -> Snapshot:
    try:
        return Snapshot(feed, serial, None, entries)
    except (NotASnapshot, ValueError, AttributeError) as wrong:
        raise PublicationRefused("not_a_list", str(wrong)) from wrong


async def _checked(tx: Transaction, previous: Snapshot, added: Sequence[str], removed: Sequence[str]) -> Snapshot:
    """The next list, once the delta replayed here and the database's own tally agree. Raises ``PublicationRefused``."""
    try:
        new = await asyncio.to_thread(_replayed, previous, added, removed)
    except (NotASnapshot, ValueError, AttributeError) as wrong:  # or a removed entry that is no network at all
        raise PublicationRefused("replay_differs", str(wrong)) from wrong
    counted = await store.tally(tx)
    if counted.count != new.count:
        raise PublicationRefused("count_differs", f"{new.count} by the delta, {counted.count} by the database")
    if counted.digest != new.digest:
        raise PublicationRefused("replay_differs", "the delta replayed on the last list does not give the database's")
    if new.count == 0:
        raise PublicationRefused("empty", "the list would be empty")
    return new


def _replayed(previous: Snapshot, added: Sequence[str], removed: Sequence[str]) -> Snapshot:
    """The delta on the last list, with its digest made, in a thread: a million networks must not stop the loop."""
    _check_canonical(added)
    new = previous.replay(previous.serial + 1, None, added, removed)
    _ = new.digest
    return new


def _check_canonical(added: Sequence[str]) -> None:
    for text in added:
        try:
            normal = networks.parse(text).text
        except Invalid as wrong:
            raise PublicationRefused("not_publishable", wrong.detail) from wrong
        except AttributeError as wrong:
            raise PublicationRefused("not_publishable", "a granted network is null") from wrong
        if normal != text:
            raise PublicationRefused("not_canonical", f"{text} is not in normal form")
