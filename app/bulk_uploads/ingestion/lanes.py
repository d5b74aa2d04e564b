"""Uploads side by side in one worker: a lane for large files, and others that small ones need not share with them."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from app.bulk_uploads.ingestion import scheduling
from app.bulk_uploads.ingestion.ingest import ingest
from app.bulk_uploads.ingestion.scheduling import Waiting
from app.core.database.engine import Database
from app.core.process.loops import attempt
from app.core.settings import Settings

MOST_SMALL_LANES = 2
CONNECTIONS_PER_LANE = 3


class Lanes:
    """The uploads that a worker has under way: one large one, and small ones, each of another partner.

    A large file takes a process, two processors and minutes; a small one takes seconds (``rules.is_small``). A partner
    has one small one at once, so that its heavy ones leave a lane to the others. Of those at which a worker was killed
    twice, one at once is tried again: the next kill condemns it, and must not condemn another.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._with_small = set[UUID]()
        self._is_retrying = False

    def all(self) -> Sequence[tuple[str, Callable[[], Awaitable[None]]]]:
        """The work of each lane by its name: the large one, and as many small ones as the pool has connections for."""
        spare = self._settings.database_pool - 1 - CONNECTIONS_PER_LANE
        small = max(1, min(MOST_SMALL_LANES, spare // CONNECTIONS_PER_LANE))
        return [
            ("ingest large", self.take_large),
            *((f"ingest small {i}", self.take_small) for i in range(small)),
        ]

    async def take_small(self) -> None:
        """Take small uploads one by one until none is left for this lane."""
        while await self._take_next(is_small=True):
            pass

    async def take_large(self) -> None:
        """Take large uploads one by one until none is left."""
        while await self._take_next(is_small=False):
            pass

    async def _take_next(self, *, is_small: bool) -> bool:
        """Take the upload whose turn it is; one that fails, or that another worker has, keeps no other waiting."""
        async with self._database.transaction(read_only=True) as tx:
            waiting = await scheduling.in_turn(tx, is_small=is_small)
        for upload in waiting:
            if (is_small and upload.partner_id in self._with_small) or (upload.was_killed and self._is_retrying):
                continue
            if await self._take(upload, is_small=is_small):
                return True
        return False

    async def _take(self, upload: Waiting, *, is_small: bool) -> bool:
        if is_small:
            self._with_small.add(upload.partner_id)
        self._is_retrying |= upload.was_killed
        limits = self._settings.upload_chunk_rows, self._settings.max_upload_rows
        try:
            work = partial(ingest, self._database, upload.id, *limits, only_small=is_small)
            return bool(await attempt(f"ingest {upload.id}", work))
        finally:
            if is_small:
                self._with_small.discard(upload.partner_id)
            self._is_retrying &= not upload.was_killed
