"""Lists of earlier serials, selections, and encoded deltas: built on demand, a few at a time, cached up to a size."""

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
from app.allowlist.delta import Delta, merge_deltas
from app.allowlist.formats import Selection
from app.allowlist.schemas import DeltaBody
from app.allowlist.serving.build_cache import BuildCache
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.serving.representations import Representation
from app.allowlist.serving.work_slots import WorkSlots
from app.allowlist.snapshot import InvalidSnapshot, Snapshot, Version, build_verified
from app.core.database.engine import Database
from app.core.errors import Unavailable

MAX_VERSIONS = 10_000
VERSION_LIFETIME_SECONDS = 60.0
MAX_CACHE_BYTES = 64 * 1024 * 1024  # of each of the three caches
BYTES_PER_REPRESENTATION = 4_096  # beside its body: headers, responses and a place in the cache
BYTES_PER_NETWORK = 200  # in a snapshot: its text and integer, and their places in three lists
MIN_CHANGES_FOR_THREAD = 2_000  # fewer are encoded faster than a thread is started
log = structlog.get_logger(__name__)


class EncodedDelta(NamedTuple):
    """The JSON body of a delta, and its SHA-256."""

    body: bytes
    sha256: bytes


class FeedHistory:
    """Serves lists of earlier serials, selections of any list, and encoded deltas.

    Work for a ``caller`` takes one of its ``slots``. A database connection is held only while the networks of a list
    are read, not while the list is built and encoded.
    """

    def __init__(self, database: Database, reader: SnapshotReader, slots: WorkSlots) -> None:
        self._database = database
        self._reader = reader
        self._slots = slots
        self._versions: OrderedDict[int, tuple[float, Version]] = OrderedDict()
        self._snapshots = BuildCache[Snapshot](MAX_CACHE_BYTES, lambda each: each.count * BYTES_PER_NETWORK)
        self._representations = BuildCache[Representation](
            MAX_CACHE_BYTES, lambda each: each.size + BYTES_PER_REPRESENTATION
        )
        self._deltas = BuildCache[EncodedDelta](MAX_CACHE_BYTES, lambda each: len(each.body))

    def cached_version(self, serial: int) -> Version | None:
        """The version of a serial if it is in memory, else None."""
        current = self._reader.current()
        if serial == current.serial and current.published_at is not None:
            return current.version
        if delta := self._reader.deltas.get(serial):
            return Version(current.session, serial, delta.published_at, delta.digest)
        read, version = self._versions.get(serial, (float("-inf"), None))
        is_fresh = time.monotonic() - read < VERSION_LIFETIME_SECONDS
        return version if version and is_fresh and version.session == current.session else None

    async def read_version(self, serial: int) -> Version:
        """The version of a serial, from the database. Raises ``NotFound``."""
        session = self._reader.current().session
        async with self._database.transaction(read_only=True) as tx:
            found = await store.get_publication(tx, serial)
        version = Version(session, serial, found.published_at, found.digest)
        self._versions[serial] = time.monotonic(), version
        self._versions.move_to_end(serial)
        if len(self._versions) > MAX_VERSIONS:
            self._versions.popitem(last=False)
        return version

    async def representation(
        self, caller: str, version: Version, name: str, selection: Selection, *, gzipped: bool
    ) -> Representation:
        """The selected networks of a version in a format. Raises ``Unavailable`` when too many are being built."""
        current, representations = self._reader.current(), self._reader.representations
        if selection.is_whole and current.version == version:
            return await representations.get_or_build(current, name, selection, gzipped=gzipped)
        if cached := representations.get(version, name, selection, gzipped=gzipped):
            return cached

        async def build() -> Representation:
            async with self._slots.slot(caller):
                snapshot = current
                if current.version != version:
                    snapshot = await self._snapshots.get_or_build(version, partial(self._read_snapshot, version))
                return await asyncio.to_thread(Representation, snapshot, name, selection, gzipped=gzipped)

        return await self._representations.get_or_build((version, name, selection, gzipped), build)

    async def _read_snapshot(self, version: Version) -> Snapshot:
        async with self._database.transaction(read_only=True) as tx:
            networks = await store.networks_at(tx, version.serial)
        try:
            return await asyncio.to_thread(_build_snapshot, version, networks)
        except InvalidSnapshot as wrong:
            log.error("an earlier list is invalid", serial=version.serial, reason=str(wrong))  # noqa: TRY400 - the reason says it all
            detail = f"The list of serial {version.serial} does not have the digest it was published with."
            raise Unavailable(detail) from None

    async def delta(self, caller: str, session: UUID, deltas: Sequence[Delta]) -> EncodedDelta:
        """Encode one delta, or several consecutive ones merged into one; the bytes are the same in every process.

        Raises ``Unavailable`` when too many are being encoded.
        """
        first, last = deltas[0], deltas[-1]

        async def build() -> EncodedDelta:
            if sum(each.changes for each in deltas) < MIN_CHANGES_FOR_THREAD:
                return _encode(session, deltas)
            return await self._slots.in_thread(caller, _encode, session, deltas)

        return await self._deltas.get_or_build((session, first.serial, last.serial, last.digest), build)


def _build_snapshot(version: Version, networks: str) -> Snapshot:
    """Build the list of a version from its networks, one per line; the serials that added them are not used."""
    return build_verified(version, ((network, version.serial) for network in networks.splitlines()))


def _encode(session: UUID, deltas: Sequence[Delta]) -> EncodedDelta:
    first, last = deltas[0], deltas[-1]
    added, removed = (last.added, last.removed) if first is last else merge_deltas(deltas)
    body = DeltaBody(
        session=session, start=first.serial - 1, to=last.serial, added=added, removed=removed, digest=last.digest
    )
    text = body.model_dump_json(by_alias=True).encode()
    return EncodedDelta(text, sha256(text).digest())
