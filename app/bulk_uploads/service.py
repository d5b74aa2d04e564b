"""Taking an upload in: its bytes go into the database in parts, so that any worker anywhere can ingest it."""

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
from app.bulk_uploads.readers.parser import glance
from app.bulk_uploads.receiving.content_digest import ContentDigest
from app.bulk_uploads.receiving.content_encoding import Unpacker
from app.bulk_uploads.rules import UploadFormat
from app.bulk_uploads.store import PART_BYTES
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.core.settings import Settings
from app.events import store as events
from app.events.store import NewEvent


class Spool:
    """An upload's bytes on their way in, unpacked, with their size, lines and digest.

    They wait in memory, or in a temporary file when they are many, so that a slow sender holds no transaction.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0
        self.lines = 0

    async def take(self, piece: bytes) -> None:
        """Add a piece."""
        self.size += len(piece)
        self.lines += piece.count(b"\n")
        self._digest.update(piece)
        await self._file.write(piece)

    @property
    def sha256(self) -> str:
        """The digest as 64 hexadecimal digits."""
        return self._digest.hexdigest()

    async def parts(self) -> AsyncIterator[bytes]:
        """The bytes again, in parts."""
        await self._file.seek(0)
        while part := await self._file.read(PART_BYTES):
            yield part


@asynccontextmanager
async def spooled(stream: AsyncIterator[bytes], unpacker: Unpacker, digest: ContentDigest) -> AsyncIterator[Spool]:
    """A stream taken to its end and unpacked.

    Raises ``PayloadTooLarge`` and ``EncodingMalformed`` as soon as that shows, and ``Invalid`` for another digest.
    """
    async with anyio.SpooledTemporaryFile[bytes](max_size=4 * PART_BYTES) as file:
        spool = Spool(file)
        async for chunk in stream:
            digest.update(chunk)
            for piece in unpacker.unpack(chunk):
                await spool.take(piece)
                await anyio.lowlevel.checkpoint()  # a small chunk may unpack to much: let others have their turn
        digest.check()
        unpacker.end()
        yield spool


async def check_backlog(
    tx: Transaction,
    principal: Principal,
    settings: Settings,
    size: int,
    lines: int = 0,
    *,
    besides: UUID | None = None,
) -> None:
    """Raises ``UploadsWaiting`` when ``size`` bytes and ``lines`` more are too much for the caller's partner.

    What it has waiting is counted ``besides`` one upload.
    """
    most = settings.max_waiting_uploads, settings.max_waiting_upload_bytes, settings.max_waiting_upload_rows
    backlog = await store.backlog(tx, principal.partner_id, besides=besides)
    rules.check_backlog(backlog, size, lines, most)


async def receive(
    tx: Transaction, principal: Principal, spool: Spool, upload_format: str, settings: Settings, *, dry_run: bool
) -> UUID:
    """Make an upload of what was spooled and ring the worker; give its id.

    Raises ``Invalid`` when the file is empty or has far too many lines, or its header is wrong or cannot be read, as
    far as its beginning shows, and ``UploadsWaiting`` when the caller's partner has too much waiting.
    """
    lines = 0 if upload_format == UploadFormat.XLSX else spool.lines  # a workbook's are known when it is opened
    rules.check_lines(lines, settings.max_upload_rows)
    first = await anext(spool.parts(), b"")
    await check_backlog(tx, principal, settings, spool.size, lines)
    upload = BulkUpload(
        id=uuid7(),
        partner_id=principal.partner_id,
        client_id=principal.client_id,
        dry_run=dry_run,
        format=upload_format,
        columns=list(glance(first, upload_format)),
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
    # again, now that no other upload of the partner can come in between
    await store.take_turn_to_wait(tx, principal.partner_id)
    await check_backlog(tx, principal, settings, spool.size, lines, besides=upload.id)
    details = {"dry_run": dry_run, "format": upload_format, "bytes": spool.size, "sha256": spool.sha256}
    event = NewEvent("bulk_upload.received", upload.id, principal.partner_id, details=details)
    await events.record(tx, principal, [event])
    await notify(tx, "bulk_uploads")
    return upload.id
