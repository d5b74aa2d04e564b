"""A workbook that was received becomes lines of rows in the database, once, before anything is read of it."""

import asyncio
from tempfile import TemporaryFile
from typing import IO

from app.bulk_uploads import store
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.readers.parser import read_header
from app.bulk_uploads.readers.xlsx import BEGINNINGS, write_lines
from app.bulk_uploads.rules import READING, UploadFormat, is_small
from app.bulk_uploads.store import PART_BYTES
from app.core.database.engine import Database


async def unfold(database: Database, upload: BulkUpload) -> BulkUpload:
    """The upload, its workbook replaced by its rows and its columns known; any other upload as it is.

    Raises ``Invalid`` for a workbook that cannot be read, takes too much to read, or has wrong columns. It and its rows
    wait in temporary files without a name.
    """
    if upload.format != UploadFormat.XLSX:
        return upload
    with TemporaryFile() as workbook, TemporaryFile() as lines:
        if not await _fetch(database, upload, workbook):
            return upload
        await asyncio.to_thread(write_lines, workbook, lines)
        return await _replace(database, upload, lines)


async def _fetch(database: Database, upload: BulkUpload, file: IO[bytes]) -> bool:
    """Write the parts of an upload to a file; False when they are rows already."""
    position = 0
    async with database.transaction(read_only=True) as tx:
        while (part := await store.read_part(tx, upload.id, position)) is not None:
            if position == 0 and not part.startswith(BEGINNINGS):
                return False
            await asyncio.to_thread(file.write, part)
            position += 1
    file.seek(0)
    return True


async def _replace(database: Database, upload: BulkUpload, lines: IO[bytes]) -> BulkUpload:
    lines.seek(0)
    columns = read_header(lines, UploadFormat.XLSX)
    lines.seek(0)
    async with store.writing_for(database, upload) as tx:
        if await store.advance(tx, upload, {"columns": columns}):  # else another worker has it
            await store.drop_parts(tx, upload.id)
            position = size = count = 0
            while part := await asyncio.to_thread(lines.read, PART_BYTES):
                await store.add_part(tx, upload.id, position, part)
                position, size, count = position + 1, size + len(part), count + part.count(b"\n")
            held = {"held_bytes": size, "held_lines": count, "is_small": is_small(size, count)}
            await store.mark(tx, upload.id, {**held, "attempt_place": READING})
        return await store.waiting_upload(tx, upload.id) or upload
