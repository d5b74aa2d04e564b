"""An upload's file: its parts in the database become chunks of sound rows, read ahead of those who register them."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import count, islice
from typing import Any
from uuid import UUID

from app.bulk_uploads import store
from app.bulk_uploads.errors import TooManyRows
from app.bulk_uploads.ingestion.segments import ReadRows, Segment, read_stretch, stretches
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.readers.parser import read_rows
from app.core.database.engine import Database
from app.operators import store as operators

READ_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the file with its bytes and rows."""

    stretch: Segment
    body: bytes
    rows: ReadRows


class Superseded(Exception):
    """Another worker has moved the upload on; nothing of this chunk is kept."""


async def _fetch(database: Database, upload_id: UUID, position: int) -> bytes | None:
    async with database.transaction(read_only=True) as tx:
        return await store.read_part(tx, upload_id, position)


def _parts(database: Database, upload_id: UUID, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """The upload's parts, for a thread: each is fetched on the loop while the parser is at the one before."""
    fetching = (asyncio.run_coroutine_threadsafe(_fetch(database, upload_id, position), loop) for position in count())
    fetched = next(fetching)
    try:
        while (part := fetched.result()) is not None:
            fetched = next(fetching)
            yield part
    finally:
        fetched.cancel()


async def stretches_of(database: Database, upload: BulkUpload, chunk_rows: int, most_rows: int) -> list[Segment]:
    """The file read to its end and cut into what is done and each chunk to come.

    Raises ``Invalid`` for a file that is malformed or has more than ``most_rows``.
    """
    done = 0 if upload.dry_run else upload.rows_done
    parts = _parts(database, upload.id, asyncio.get_running_loop())
    most = max(most_rows, upload.total or 0)  # what was let in once goes on
    rows = islice(read_rows(parts, upload.format), most + 2)
    found = await asyncio.to_thread(stretches, rows, done, chunk_rows)
    if sum(each.rows for each in found) > most:
        raise TooManyRows(f"The file has more than {most} rows.")
    return found


async def chunks(
    database: Database, upload: BulkUpload, found: Sequence[Segment], executor: Executor | None
) -> AsyncGenerator[Chunk, None]:
    """Each chunk in order; the next ones are parsed and validated while one is registered. To be closed after use."""
    loop = asyncio.get_running_loop()
    source = _Source(database, upload.id)
    async with database.transaction(read_only=True) as tx:
        atlas = await operators.read_prefix_table(tx)
    ahead: deque[tuple[Segment, bytes, asyncio.Future[ReadRows]]] = deque()
    try:
        for stretch in found:
            body = await source.read(stretch.begin, stretch.end)
            given = (body, upload.format, stretch.line, upload.columns, atlas)
            ahead.append((stretch, body, loop.run_in_executor(executor, read_stretch, *given)))
            if len(ahead) > READ_AHEAD:
                yield await _next(ahead)
        while ahead:
            yield await _next(ahead)
    finally:
        await _let_go([source.fetched, *(reading for _, _, reading in ahead)])


async def _next(ahead: deque[tuple[Segment, bytes, asyncio.Future[ReadRows]]]) -> Chunk:
    stretch, body, reading = ahead.popleft()
    return Chunk(stretch, body, await reading)


async def _let_go(ahead: Sequence[asyncio.Future[Any]]) -> None:
    """End what is under way and nobody waits for any more, whatever comes of it."""
    for each in ahead:
        each.cancel()
    await asyncio.gather(*ahead, return_exceptions=True)


class _Source:
    """An upload's bytes in order, a part at a time in memory, and the next on its way."""

    def __init__(self, database: Database, upload_id: UUID) -> None:
        self._fetching = (asyncio.create_task(_fetch(database, upload_id, position)) for position in count())
        self.fetched = next(self._fetching)
        self._begin = 0  # the place of the buffer's first byte in the file
        self._buffer = b""

    async def read(self, begin: int, end: int) -> bytes:
        """The bytes from ``begin`` to ``end``, not before those of the last call."""
        while self._begin + len(self._buffer) < end:
            kept = self._buffer[max(0, begin - self._begin) :]
            self._begin += len(self._buffer) - len(kept)
            part = await self.fetched
            if part is None:  # another worker has come to the end
                raise Superseded
            self.fetched = next(self._fetching)
            self._buffer = kept + part
        return self._buffer[begin - self._begin : end - self._begin]
