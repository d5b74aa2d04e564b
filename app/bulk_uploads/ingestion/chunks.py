"""Chunks of an upload: segments of its stored file, parsed and validated ahead of their registration."""

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
from app.bulk_uploads.ingestion.segments import Segment, SegmentReader, SegmentRows, split_segments
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.parser import read_rows
from app.core.database.engine import Database
from app.operators import store as operators

READ_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """A segment of the file with its bytes and rows."""

    segment: Segment
    body: bytes
    rows: SegmentRows


class Superseded(Exception):
    """Another worker has advanced the upload; the present chunk is discarded."""


async def _fetch(database: Database, upload_id: UUID, position: int) -> bytes | None:
    async with database.transaction(read_only=True) as tx:
        return await store.read_part(tx, upload_id, position)


def _parts(database: Database, upload_id: UUID, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """Yield the parts of an upload in a thread; the event loop fetches each while the one before is parsed."""
    fetches = (asyncio.run_coroutine_threadsafe(_fetch(database, upload_id, position), loop) for position in count())
    next_part = next(fetches)
    try:
        while (part := next_part.result()) is not None:
            next_part = next(fetches)
            yield part
    finally:
        next_part.cancel()


async def find_segments(
    database: Database, upload: BulkUpload, layout: Layout, chunk_rows: int, max_rows: int
) -> list[Segment]:
    """Read the file to its end and split it; the first segment is what has been processed.

    Raises ``Invalid`` when the file is malformed or has more than ``max_rows``.
    """
    rows_done = 0 if upload.dry_run else upload.rows_done
    parts = _parts(database, upload.id, asyncio.get_running_loop())
    limit = max(max_rows, upload.total or 0)  # a file that has been accepted stays so when the setting changes
    rows = islice(read_rows(parts, upload.format, layout), limit + 2)
    segments = await asyncio.to_thread(split_segments, rows, rows_done, chunk_rows)
    if sum(each.rows for each in segments) > limit:
        raise TooManyRows(f"The file has more than {limit} rows.")
    return segments


async def read_chunks(
    database: Database, upload: BulkUpload, layout: Layout, segments: Sequence[Segment], executor: Executor | None
) -> AsyncGenerator[Chunk, None]:
    """Yield the chunk of each segment in order, while the executor reads the next ones. The caller must close it."""
    loop = asyncio.get_running_loop()
    parts = _PartReader(database, upload.id)
    async with database.transaction(read_only=True) as tx:
        prefixes = await operators.read_prefix_table(tx)
    reader = SegmentReader(upload.format, layout, prefixes, clear=upload.options.get("clear", False))
    pending: deque[tuple[Segment, bytes, asyncio.Future[SegmentRows]]] = deque()
    try:
        for segment in segments:
            body = await parts.read(segment.begin, segment.end)
            pending.append((segment, body, loop.run_in_executor(executor, reader.read, body, segment.start)))
            if len(pending) > READ_AHEAD:
                yield await _next(pending)
        while pending:
            yield await _next(pending)
    finally:
        await _cancel([parts.next_part, *(rows for _, _, rows in pending)])


async def _next(pending: deque[tuple[Segment, bytes, asyncio.Future[SegmentRows]]]) -> Chunk:
    segment, body, rows = pending.popleft()
    return Chunk(segment, body, await rows)


async def _cancel(futures: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel futures and wait for their end, ignoring their results and errors."""
    for each in futures:
        each.cancel()
    await asyncio.gather(*futures, return_exceptions=True)


class _PartReader:
    """Reads an upload's bytes in order, with one part in memory and the next being fetched."""

    def __init__(self, database: Database, upload_id: UUID) -> None:
        self._fetches = (asyncio.create_task(_fetch(database, upload_id, position)) for position in count())
        self.next_part = next(self._fetches)
        self._begin = 0  # offset of the buffer in the file
        self._buffer = b""

    async def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from ``begin`` to ``end``. Ranges must ascend. Raises ``Superseded``."""
        while self._begin + len(self._buffer) < end:
            kept = self._buffer[max(0, begin - self._begin) :]
            self._begin += len(self._buffer) - len(kept)
            part = await self.next_part
            if part is None:  # another worker has completed the upload and deleted its parts
                raise Superseded
            self.next_part = next(self._fetches)
            self._buffer = kept + part
        return self._buffer[begin - self._begin : end - self._begin]
