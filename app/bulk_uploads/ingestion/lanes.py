"""Lanes of a worker: one processes large uploads, one or two others small ones, at the same time."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from app.bulk_uploads.ingestion import scheduling
from app.bulk_uploads.ingestion.ingest import ingest
from app.bulk_uploads.ingestion.scheduling import DueUpload
from app.core.database.engine import Database
from app.core.process.loops import attempt
from app.core.settings import Settings

MAX_SMALL_LANES = 2
CONNECTIONS_PER_LANE = 3


class Lanes:
    """The lanes of a worker, and the uploads that they are processing.

    A large file takes a subprocess and minutes, a small one seconds (``rules.is_small``). A partner has at most one
    small upload in the lanes, so that the other lane stays free for other partners. Of the uploads at which a worker
    was killed, at most one is processed at a time: a kill is counted for all uploads in the lanes, and must not fail
    an innocent one.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._partners_with_small = set[UUID]()
        self._is_retrying_killed = False

    def loops(self) -> Sequence[tuple[str, Callable[[], Awaitable[None]]]]:
        """Return name and work of each lane: one for large uploads, and small ones as the connection pool allows."""
        spare = self._settings.database_pool - 1 - CONNECTIONS_PER_LANE
        small = max(1, min(MAX_SMALL_LANES, spare // CONNECTIONS_PER_LANE))
        return [
            ("ingest large", self.process_large),
            *((f"ingest small {i}", self.process_small) for i in range(small)),
        ]

    async def process_small(self) -> None:
        """Process small uploads one by one until none is left for this lane."""
        while await self._process_next(is_small=True):
            pass

    async def process_large(self) -> None:
        """Process large uploads one by one until none is left."""
        while await self._process_next(is_small=False):
            pass

    async def _process_next(self, *, is_small: bool) -> bool:
        """Process the first due upload that succeeds; skip those that fail or are locked by another worker."""
        async with self._database.transaction(read_only=True) as tx:
            due = await scheduling.list_due(tx, is_small=is_small)
        for upload in due:
            if is_small and upload.partner_id in self._partners_with_small:
                continue
            if upload.was_killed and self._is_retrying_killed:
                continue
            if await self._process(upload, is_small=is_small):
                return True
        return False

    async def _process(self, upload: DueUpload, *, is_small: bool) -> bool:
        if is_small:
            self._partners_with_small.add(upload.partner_id)
        self._is_retrying_killed |= upload.was_killed
        limits = self._settings.upload_chunk_rows, self._settings.max_upload_rows
        try:
            work = partial(ingest, self._database, upload.id, *limits, only_small=is_small)
            return bool(await attempt(f"ingest {upload.id}", work))
        finally:
            if is_small:
                self._partners_with_small.discard(upload.partner_id)
            self._is_retrying_killed &= not upload.was_killed
