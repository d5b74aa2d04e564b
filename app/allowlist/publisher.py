"""Publisher: publishes pending changes as the next serial, or refuses to and keeps the last valid one."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import chain
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from app.allowlist import guards, pending_store
from app.allowlist import publication_store as store
from app.allowlist.divergence import report_divergence
from app.allowlist.errors import PublicationRefused
from app.allowlist.guards import Change
from app.allowlist.models import HeldChange, Publication
from app.allowlist.snapshot import InvalidSnapshot, Snapshot
from app.core.database.engine import Database
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.errors import Invalid
from app.core.validation import networks
from app.events import store as events
from app.events.store import NewEvent

SERIAL = Gauge("allowlist_serial", "The newest serial that this process published")
ENTRIES = Gauge("allowlist_entries", "Networks in force at that serial")
REFUSED = Counter("allowlist_publications_refused", "Publications that a check refused", ["check"])
HELD = Counter("allowlist_changes_held", "Mass changes that were held for another officer", ["kind"])
log = structlog.get_logger(__name__)


class Publisher:
    """Publishes under an advisory lock, and keeps the last snapshot in memory to apply the next delta to.

    ``guard_window`` is the period over which mass changes are counted.
    """

    def __init__(self, database: Database, guard_window: timedelta = guards.WINDOW) -> None:
        self._database = database
        self._guard_window = guard_window
        self._last: Snapshot | None = None
        self._last_refusal: str | None = None

    async def publish(self) -> Publication | None:
        """Publish the pending changes. Return None without any, and after a refusal, which is recorded and logged."""
        try:
            async with self._database.transaction() as tx:
                await store.lock_feed(tx)
                previous, last_digest = await self._previous_snapshot(tx)
                added, removed = await pending_store.take_pending(tx, previous.serial + 1)
                held, added, removed = await self._guard(tx, previous.count, added, removed)
                publication, snapshot = await _publish_next(tx, previous, last_digest, added, removed)
        except PublicationRefused as refusal:
            await self._record_refusal(refusal)
            return None
        self._last, self._last_refusal = snapshot, None
        for change in held:
            HELD.labels(change.kind).inc()
            log.warning("mass change held", kind=change.kind, count=change.count, in_window=change.in_window)
        if publication:
            SERIAL.set(publication.serial)
            ENTRIES.set(publication.count)
            log.info("published", serial=publication.serial, added=publication.added, removed=publication.removed)
        return publication

    async def _previous_snapshot(self, tx: Transaction) -> tuple[Snapshot, str | None]:
        """Return the snapshot of the last publication, from memory or from the database, and its recorded digest."""
        session = await store.feed_session(tx)
        if session is None:
            raise PublicationRefused("feed_missing", "the row of allowlist_feed is missing; restore it from a backup")
        last = await store.last_publication(tx)
        previous = self._cached_snapshot(session, last)
        if last is None:
            return Snapshot(session, 0, None, []), None
        if previous is None:
            entries = await store.entries_at(tx, last.serial)
            previous = await asyncio.to_thread(_build_snapshot, session, last.serial, entries)
        if previous.digest != last.digest:
            detail = f"serial {last.serial} no longer has the digest it was published with"
            raise PublicationRefused("chain_broken", detail)
        return previous, last.digest

    def _cached_snapshot(self, session: UUID, last: Publication | None) -> Snapshot | None:
        """Return the snapshot in memory if it is that of the last publication in the database.

        One that the database does not have, as after a failover that lost publications, is reported and dropped.
        """
        cached = self._last
        if cached is None or cached.session != session:
            return None
        serial, digest = (last.serial, last.digest) if last else (0, None)
        if (cached.serial, cached.digest) == (serial, digest):
            return cached
        if 0 < cached.serial >= serial:
            report_divergence(cached.serial, cached.digest, digest if cached.serial == serial else None, serial)
        self._last = None
        return None

    async def _guard(
        self, tx: Transaction, in_force: int, added: Sequence[Change], removed: Sequence[Change]
    ) -> tuple[list[HeldChange], Sequence[Change], Sequence[Change]]:
        """Hold the mass changes that exceed their bound. Return these, and the additions and removals that are left.

        The changes have their serial already, so that later commits cannot add to those that are counted.
        """
        if not any(each.may_be_held for each in chain(added, removed)):
            return [], added, removed
        window = await store.publications_in_window(tx, self._guard_window)
        try:
            excess = guards.find_holds(window, added, removed)
        except (ValueError, AttributeError) as wrong:
            raise PublicationRefused("not_publishable", f"a changed entry is not a network: {wrong}") from wrong
        if not excess:
            return [], added, removed
        put_off = {entry_id for each in excess for entry_id in each.entry_ids}
        put_off |= guards.find_waiting(added, removed, excess)
        put_off_added, put_off_removed = (
            [each.entry_id for each in changes if each.entry_id in put_off] for changes in (added, removed)
        )
        await pending_store.put_off(tx, put_off_added, put_off_removed)
        held = [await pending_store.hold(tx, each, in_force) for each in excess]
        for change in held:
            numbers = {name: getattr(change, name) for name in ("kind", "count", "in_force", "in_window", "bound")}
            details = {"held_id": str(change.id), **numbers}
            await events.record(tx, None, [NewEvent("allowlist.held", details=details)])
        added, removed = ([each for each in changes if each.entry_id not in put_off] for changes in (added, removed))
        return held, added, removed

    async def _record_refusal(self, refusal: PublicationRefused) -> None:
        """Count a refusal, and log and record it unless it is the same as the one before."""
        REFUSED.labels(refusal.check).inc()
        self._last = None
        if self._last_refusal == str(refusal):
            return
        log.error("publication refused", check=refusal.check, detail=refusal.detail)
        details = {"check": refusal.check, "detail": refusal.detail}
        async with self._database.transaction() as tx:
            await events.record(tx, None, [NewEvent("allowlist.publication_refused", details=details)])
        self._last_refusal = str(refusal)


async def _publish_next(
    tx: Transaction,
    previous: Snapshot,
    last_digest: str | None,
    added: Sequence[Change],
    removed: Sequence[Change],
) -> tuple[Publication | None, Snapshot]:
    """Insert the publication of changes that have the next serial, unless there are none."""
    if not added and not removed:
        return None, previous
    networks = [each.network for each in added]
    snapshot = await _build_next(tx, previous, networks, [each.network for each in removed])
    publication = Publication(
        serial=snapshot.serial,
        count=snapshot.count,
        added=len(added),
        removed=len(removed),
        digest=snapshot.digest,
        previous_digest=last_digest,
        exempt_added=sum(each.is_released for each in added),
        exempt_removed=len(removed) - len(guards.effective_removals(removed, networks)),
    )
    await store.add_publication(tx, publication)
    counts = {name: getattr(publication, name) for name in ("serial", "count", "added", "removed", "digest")}
    await events.record(tx, None, [NewEvent("allowlist.published", details=counts)])
    await notify(tx, "allowlist_published")
    return publication, snapshot


def _build_snapshot(session: UUID, serial: int, entries: Sequence[tuple[str, int]]) -> Snapshot:
    try:
        return Snapshot(session, serial, None, entries)
    except (InvalidSnapshot, ValueError, AttributeError) as wrong:
        raise PublicationRefused("not_a_list", str(wrong)) from wrong


async def _build_next(tx: Transaction, previous: Snapshot, added: Sequence[str], removed: Sequence[str]) -> Snapshot:
    """Build the next list by its delta, and compare it with the list in the database.

    Raises ``PublicationRefused`` when they differ, when a network may not be published, and for an empty list.
    """
    try:
        new = await asyncio.to_thread(_apply_delta, previous, added, removed)
    except (InvalidSnapshot, ValueError, AttributeError) as wrong:  # the last two: a removed entry is not a network
        raise PublicationRefused("replay_differs", str(wrong)) from wrong
    expected = await store.list_digest(tx)
    if expected.count != new.count:
        raise PublicationRefused("count_differs", f"{new.count} by the delta, {expected.count} by the database")
    if expected.digest != new.digest:
        raise PublicationRefused("replay_differs", "the last list with the delta is not the list in the database")
    if new.count == 0:
        raise PublicationRefused("empty", "the list would be empty")
    return new


def _apply_delta(previous: Snapshot, added: Sequence[str], removed: Sequence[str]) -> Snapshot:
    """Build the next list and compute its digest; in a thread, since a million networks would block the event loop."""
    _check_publishable(added)
    new = previous.apply_delta(previous.serial + 1, None, added, removed)
    _ = new.digest
    return new


def _check_publishable(added: Sequence[str]) -> None:
    for text in added:
        try:
            canonical = networks.parse(text).text
        except Invalid as wrong:
            raise PublicationRefused("not_publishable", wrong.detail) from wrong
        except AttributeError as wrong:
            raise PublicationRefused("not_publishable", "a granted network is null") from wrong
        if canonical != text:
            raise PublicationRefused("not_canonical", f"{text} is not canonical")
