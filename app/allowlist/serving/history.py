"""Lists of earlier serials, and deltas: made when they are asked for, a few at a time, and kept up to a size."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import structlog

from app.allowlist import publication_store as store
from app.allowlist.delta import Delta, net
from app.allowlist.schemas import DeltaBody
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.serving.representations import Representation
from app.allowlist.snapshot import NotASnapshot, Snapshot, Version
from app.core.database.engine import Database
from app.core.errors import Unavailable
from app.core.limits.build_cache import BuildCache
from app.core.limits.work_slots import WorkSlots

RECORDS_KEPT = 10_000
RECORD_LASTS_SECONDS = 60.0
MOST_BYTES = 64 * 1024 * 1024  # of each kind of what is made
BYTES_OF_A_NETWORK = 200  # in a snapshot: its text, its number, and their places in three lists
CHANGES_IN_A_THREAD = 2_000  # fewer are written faster than a thread is found
log = structlog.get_logger(__name__)


class Piece(NamedTuple):
    """A body that never changes, and SHA-256 of it."""

    body: bytes
    sha256: bytes


class FeedHistory:
    """Lists of earlier serials, and deltas.

    ``caller`` is who is charged with a slot for what has to be made. A list is made without a connection to the
    database: one is held only while its networks are read.
    """

    def __init__(self, database: Database, reader: SnapshotReader, slots: WorkSlots) -> None:
        self._database = database
        self._reader = reader
        self._slots = slots
        self._records: OrderedDict[int, tuple[float, Version]] = OrderedDict()
        self._lists = BuildCache[Snapshot](MOST_BYTES, lambda each: each.count * BYTES_OF_A_NETWORK)
        self._representations = BuildCache[Representation](MOST_BYTES, lambda each: each.size)
        self._pieces = BuildCache[Piece](MOST_BYTES, lambda each: len(each.body))

    def known(self, serial: int) -> Version | None:
        """The record of a serial, when it is in memory."""
        current = self._reader.current()
        if serial == current.serial and current.published_at is not None:
            return current.version
        if delta := self._reader.deltas.of(serial):
            return Version(current.session, serial, delta.published_at, delta.digest)
        read, record = self._records.get(serial, (float("-inf"), None))
        is_fresh = time.monotonic() - read < RECORD_LASTS_SECONDS
        return record if record and is_fresh and record.session == current.session else None

    async def look_up(self, serial: int) -> Version:
        """The record of a serial, read from the database. Raises ``NotFound``."""
        session_of_feed = self._reader.current().session
        async with self._database.transaction(read_only=True) as tx:
            found = await store.get_publication(tx, serial)
        record = Version(session_of_feed, serial, found.published_at, found.digest)
        self._records[serial] = time.monotonic(), record
        self._records.move_to_end(serial)
        if len(self._records) > RECORDS_KEPT:
            self._records.popitem(last=False)
        return record

    async def representation(
        self, caller: str, of: Version, name: str, family: int | None, *, gzipped: bool
    ) -> Representation:
        """The list of a record in a format. Raises ``Unavailable`` when too much is being made."""
        current = self._reader.current()
        if current.version == of:
            return await self._reader.representations.of(current, name, family, gzipped=gzipped)
        if made := self._reader.representations.made(of, name, family, gzipped=gzipped):
            return made

        async def make() -> Representation:
            async with self._slots.slot(caller):
                snapshot = await self._lists.get_or_build(of, partial(self._list, of))
                return await asyncio.to_thread(Representation, snapshot, name, family, gzipped=gzipped)

        return await self._representations.get_or_build((of, name, family, gzipped), make)

    async def _list(self, of: Version) -> Snapshot:
        async with self._database.transaction(read_only=True) as tx:
            networks = await store.networks_at(tx, of.serial)
        snapshot = await asyncio.to_thread(_proven, of, networks)
        if snapshot is None:
            log.error("a list is not as it was published", serial=of.serial)
            raise Unavailable(f"The list of serial {of.serial} does not prove itself.")
        return snapshot

    async def delta(self, caller: str, feed: UUID, steps: Sequence[Delta]) -> Piece:
        """The body of one publication's delta, or of several that follow one another as one step.

        It is the same bytes in every process. Raises ``Unavailable`` when too much is being made.
        """
        first, last = steps[0], steps[-1]

        async def make() -> Piece:
            if sum(each.changes for each in steps) < CHANGES_IN_A_THREAD:
                return _piece(feed, steps)
            return await self._slots.in_thread(caller, _piece, feed, steps)

        return await self._pieces.get_or_build((feed, first.serial, last.serial, last.digest), make)


def _proven(of: Version, networks: str) -> Snapshot | None:
    """The list of a record from its networks, one a line; None when it is not what was published."""
    entries = ((network, of.serial) for network in networks.splitlines())
    try:
        snapshot = Snapshot(of.session, of.serial, of.published_at, entries)
    except (NotASnapshot, ValueError, AttributeError):  # the last two: an entry that is no network at all
        return None
    return snapshot if snapshot.digest == of.digest else None


def _piece(feed: UUID, steps: Sequence[Delta]) -> Piece:
    first, last = steps[0], steps[-1]
    added, removed = (last.added, last.removed) if first is last else net(steps)
    body = DeltaBody(
        session=feed, start=first.serial - 1, to=last.serial, added=added, removed=removed, digest=last.digest
    )
    text = body.model_dump_json(by_alias=True).encode()
    return Piece(text, sha256(text).digest())
