"""Taking an upload in: its bytes go into the database in parts, so that any worker anywhere can ingest it."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import anyio
from uuid_utils.compat import uuid7

from app.bulk_uploads import store
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.parser import read_header
from app.core.db import WriteSession
from app.core.doorbell import ring
from app.core.errors import Invalid, InvalidValue
from app.core.principal import Principal
from app.events import store as events
from app.events.store import Happening

PART_BYTES = 1024 * 1024


class Spool:
    """An upload's bytes on their way in, with their size and digest.

    They wait in memory, or in a temporary file when they are many, so that a slow sender holds no transaction.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    async def take(self, chunk: bytes) -> None:
        """Add a chunk."""
        self.size += len(chunk)
        self._digest.update(chunk)
        await self._file.write(chunk)

    @property
    def sha256(self) -> str:
        """The digest as 64 hexadecimal digits."""
        return self._digest.hexdigest()

    def check_digest(self, content_digest: str | None) -> None:
        """Raises ``Invalid`` when a ``Content-Digest`` header (RFC 9530) names another SHA-256."""
        found = f"sha-256=:{b64encode(self._digest.digest()).decode()}:"
        given = [each.strip() for each in (content_digest or "").split(",")]
        if any(each.startswith("sha-256=") and each != found for each in given):
            said = f"The body that arrived has {found}: it was cut short or altered on the way."
            raise Invalid.of([InvalidValue.at("/header/Content-Digest", said)])

    async def parts(self) -> AsyncIterator[bytes]:
        """The bytes again, in parts."""
        await self._file.seek(0)
        while part := await self._file.read(PART_BYTES):
            yield part


@asynccontextmanager
async def spooled(stream: AsyncIterator[bytes]) -> AsyncIterator[Spool]:
    """A stream taken to its end."""
    async with anyio.SpooledTemporaryFile[bytes](max_size=4 * PART_BYTES) as file:
        spool = Spool(file)
        async for chunk in stream:
            await spool.take(chunk)
        yield spool


async def receive(session: WriteSession, principal: Principal, spool: Spool, *, dry_run: bool) -> UUID:
    """Make an upload of what was spooled and ring the worker; give its id.

    Raises ``Invalid`` when the file is empty, or its header is wrong or cannot be read.
    """
    first = await anext(spool.parts(), b"")
    upload = BulkUpload(
        id=uuid7(),
        partner_id=principal.partner_id,
        client_id=principal.client_id,
        dry_run=dry_run,
        columns=list(read_header([first])),
        sha256=spool.sha256,
        bytes=spool.size,
    )
    await store.add(session, upload)
    position = 0
    async for part in spool.parts():
        await store.add_part(session, upload.id, position, part)
        position += 1
    details = {"dry_run": dry_run, "bytes": spool.size, "sha256": spool.sha256}
    happening = Happening("bulk_upload.received", upload.id, principal.partner_id, details=details)
    await events.record(session, principal, [happening])
    await ring(session, "bulk_uploads")
    return upload.id
