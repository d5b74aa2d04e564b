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
from app.bulk_uploads.readers.parser import peek_header
from app.bulk_uploads.receiving.content_digest import ContentDigest
from app.bulk_uploads.receiving.content_encoding import BodyDecompressor
from app.bulk_uploads.rules import BacklogLimits, UploadFormat, UploadOptions
from app.bulk_uploads.store import PART_BYTES
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.core.settings import Settings
from app.events import store as events
from app.events.store import NewEvent


class Spool:
    """A temporary copy of an upload's uncompressed bytes, with their size, number of lines and digest."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0
        self.lines = 0

    async def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self.size += len(chunk)
        self.lines += chunk.count(b"\n")
        self._digest.update(chunk)
        await self._file.write(chunk)

    @property
    def sha256(self) -> str:
        """Digest as 64 hexadecimal digits."""
        return self._digest.hexdigest()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield all bytes in parts of ``PART_BYTES``."""
        await self._file.seek(0)
        while part := await self._file.read(PART_BYTES):
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
    upload_format: str,
    settings: Settings,
    *,
    dry_run: bool,
    options: UploadOptions,
) -> UUID:
    """Store a spooled file as an upload, notify the workers, and return its id.

    Raises ``Invalid`` when the file is empty, has too many lines, or begins with an unreadable or wrong header, and
    ``UploadsWaiting`` when the partner's backlog is too large.
    """
    lines = 0 if upload_format == UploadFormat.XLSX else spool.lines  # a workbook's rows are counted by the worker
    rules.check_lines(lines, settings.max_upload_rows)
    first_part = await anext(spool.parts(), b"")
    await check_backlog(tx, principal, settings, spool.size, lines)
    upload = BulkUpload(
        id=uuid7(),
        partner_id=principal.partner_id,
        client_id=principal.client_id,
        dry_run=dry_run,
        format=upload_format,
        options=options._asdict(),
        columns=list(peek_header(first_part, upload_format)),
        sha256=spool.sha256,
        bytes=spool.size,
        held_bytes=spool.size,
        held_lines=lines,
        is_small=rules.is_small(spool.size, lines),
    )
    await store.add(tx, upload)
    position = 0
    async for part in spool.parts():
        await store.add_part(tx, upload.id, position, part)
        position += 1
    # checked again under the lock, which only now excludes the partner's concurrent uploads
    await store.lock_backlog(tx, principal.partner_id)
    await check_backlog(tx, principal, settings, spool.size, lines, excluding=upload.id)
    details = {"dry_run": dry_run, "format": upload_format, "bytes": spool.size, "sha256": spool.sha256}
    event = NewEvent("bulk_upload.received", upload.id, principal.partner_id, details=details)
    await events.record(tx, principal, [event])
    await notify(tx, "bulk_uploads")
    return upload.id
