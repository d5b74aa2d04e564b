"""Receiving an upload: the body is spooled, then stored in parts that any worker can read."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import anyio
import anyio.lowlevel
from uuid_utils.compat import uuid7

from app.bulk_uploads import rules, store
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.readers.format import HEAD_BYTES, detect_format
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.text import TextNormalizer, describe_text, has_last_line_end
from app.bulk_uploads.receiving.content_digest import ContentDigest
from app.bulk_uploads.receiving.content_encoding import BodyDecompressor
from app.bulk_uploads.rules import TEXT_FORMATS, BacklogLimits, Encoding, UploadFormat, UploadOptions
from app.bulk_uploads.store import PART_BYTES
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.core.settings import Settings
from app.events import store as events
from app.events.store import NewEvent


class Spool:
    """A temporary copy of an upload's uncompressed bytes, with their size, line ends and digest."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._line_feeds = self._carriage_returns = 0
        self._tail = b""
        self.size = 0

    async def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self.size += len(chunk)
        self._line_feeds += chunk.count(b"\n")
        self._carriage_returns += chunk.count(b"\r")
        self._tail = (self._tail + chunk[-2:])[-2:]
        self._digest.update(chunk)
        await self._file.write(chunk)

    @property
    def lines(self) -> int:
        """Number of line ends: LF, CRLF or CR, of which a file usually has one kind."""
        return max(self._line_feeds, self._carriage_returns)

    @property
    def tail(self) -> bytes:
        """The last two bytes."""
        return self._tail

    @property
    def sha256(self) -> str:
        """Digest as 64 hexadecimal digits."""
        return self._digest.hexdigest()

    async def head(self) -> bytes:
        """Return the first ``HEAD_BYTES``, by which the kind of file is known."""
        await self._file.seek(0)
        head: bytes = await self._file.read(HEAD_BYTES)
        return head

    async def parts(self, size: int = PART_BYTES) -> AsyncIterator[bytes]:
        """Yield all bytes in parts of ``size``."""
        await self._file.seek(0)
        while part := await self._file.read(size):
            yield part


@asynccontextmanager
async def spool_body(
    stream: AsyncIterator[bytes], decompressor: BodyDecompressor, digest: ContentDigest
) -> AsyncIterator[Spool]:
    """Read a body to its end, so that no transaction is open while a slow client sends.

    Small bodies stay in memory, large ones go to a temporary file. Raises ``PayloadTooLarge`` and
    ``EncodingMalformed`` as soon as possible, and ``Invalid`` when the digest differs.
    """
    async with anyio.SpooledTemporaryFile[bytes](max_size=4 * PART_BYTES) as file:
        spool = Spool(file)
        async for chunk in stream:
            digest.update(chunk)
            for piece in decompressor.decompress(chunk):
                await spool.write(piece)
                await anyio.lowlevel.checkpoint()  # a small chunk may decompress to much: let other tasks run
        digest.check()
        decompressor.finish()
        yield spool


async def check_backlog(
    tx: Transaction,
    principal: Principal,
    settings: Settings,
    size: int,
    lines: int = 0,
    *,
    excluding: UUID | None = None,
) -> None:
    """Raise ``UploadsWaiting`` when ``size`` bytes and ``lines`` more exceed the partner's backlog.

    The upload ``excluding`` is not counted.
    """
    limits = BacklogLimits(
        settings.max_waiting_uploads, settings.max_waiting_upload_bytes, settings.max_waiting_upload_rows
    )
    backlog = await store.get_backlog(tx, principal.partner_id, excluding=excluding)
    rules.check_backlog(backlog, size, lines, limits)


async def receive(
    tx: Transaction,
    principal: Principal,
    spool: Spool,
    declared: UploadFormat,
    settings: Settings,
    *,
    dry_run: bool,
    options: UploadOptions,
) -> UUID:
    """Store a spooled file as an upload, notify the workers, and return its id.

    ``declared`` is the format of the media type; the content decides. Raises ``Invalid`` when the file is empty, has
    too many lines, or is unreadable or without a header within its first ``HEAD_BYTES``, and ``UploadsWaiting`` when
    the partner's backlog is too large. A workbook is opened by a worker alone.
    """
    head = await spool.head()
    upload_format = detect_format(head, declared, options)
    layout = describe_text(head, upload_format, options) if upload_format in TEXT_FORMATS else None
    lines = spool.lines if layout else 0  # a workbook's rows are counted by the worker
    rules.check_lines(lines, settings.max_upload_rows)
    await check_backlog(tx, principal, settings, spool.size, lines)
    upload = BulkUpload(
        id=uuid7(),
        partner_id=principal.partner_id,
        client_id=principal.client_id,
        dry_run=dry_run,
        format=upload_format,
        options=options._asdict(),
        columns=layout.columns if layout else [],
        layout=layout.to_json() if layout else None,
        warnings=[rules.NO_LAST_LINE_END] if layout and not has_last_line_end(spool.tail) else [],
        sha256=spool.sha256,
        bytes=spool.size,
        held_bytes=spool.size,
        held_lines=lines,
        is_small=rules.is_small(spool.size, lines),
    )
    await store.add(tx, upload)
    await _store_parts(tx, upload.id, spool, layout, upload_format)
    # checked again under the lock, which only now excludes the partner's concurrent uploads
    await store.lock_backlog(tx, principal.partner_id)
    await check_backlog(tx, principal, settings, spool.size, lines, excluding=upload.id)
    details = {"dry_run": dry_run, "format": upload_format, "bytes": spool.size, "sha256": spool.sha256}
    event = NewEvent("bulk_upload.received", upload.id, principal.partner_id, details=details)
    await events.record(tx, principal, [event])
    await notify(tx, "bulk_uploads")
    return upload.id


async def _store_parts(
    tx: Transaction, upload_id: UUID, spool: Spool, layout: Layout | None, upload_format: UploadFormat
) -> None:
    """Store the bytes of a workbook, or the normalized bytes of a text file."""
    normalizer = TextNormalizer(layout.encoding, upload_format) if layout else None
    grows = layout is not None and layout.encoding != Encoding.UTF_8  # UTF-8 takes up to twice as many bytes
    position = 0
    async for part in spool.parts(PART_BYTES // 2 if grows else PART_BYTES):
        if body := normalizer.feed(part) if normalizer else part:
            await store.add_part(tx, upload_id, position, body)
            position += 1
    if normalizer and (rest := normalizer.finish()):
        await store.add_part(tx, upload_id, position, rest)
