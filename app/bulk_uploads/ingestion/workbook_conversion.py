"""Conversion of a stored workbook to lines of rows, once, before the upload is read."""

import asyncio
from tempfile import TemporaryFile
from typing import IO

from app.bulk_uploads import store
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.readers.parser import read_header
from app.bulk_uploads.readers.workbook import SIGNATURES, convert
from app.bulk_uploads.rules import READING_FILE, UploadFormat, is_small
from app.bulk_uploads.store import PART_BYTES
from app.core.database.engine import Database


async def convert_workbook(database: Database, upload: BulkUpload) -> BulkUpload:
    """Replace the parts of a workbook by its rows and set its columns; return the upload. Other formats stay.

    Raises ``Invalid`` when the workbook cannot be read within the limits or has wrong columns.
    """
    if upload.format != UploadFormat.XLSX:
        return upload
    with TemporaryFile() as workbook, TemporaryFile() as lines:
        if not await _fetch(database, upload, workbook):
            return upload
        await asyncio.to_thread(convert, workbook, lines)
        return await _replace_parts(database, upload, lines)


async def _fetch(database: Database, upload: BulkUpload, file: IO[bytes]) -> bool:
    """Write the parts of an upload to a file; return False when they have been converted."""
    position = 0
    async with database.transaction(read_only=True) as tx:
        while (part := await store.read_part(tx, upload.id, position)) is not None:
            if position == 0 and not part.startswith(SIGNATURES):
                return False
            await asyncio.to_thread(file.write, part)
            position += 1
    file.seek(0)
    return True


async def _replace_parts(database: Database, upload: BulkUpload, lines: IO[bytes]) -> BulkUpload:
    lines.seek(0)
    columns = read_header(lines, UploadFormat.XLSX)
    lines.seek(0)
    async with store.transaction_for(database, upload) as tx:
        if await store.advance(tx, upload, {"columns": columns}):  # else another worker has done so
            await store.delete_parts(tx, upload.id)
            position = size = count = 0
            while part := await asyncio.to_thread(lines.read, PART_BYTES):
                await store.add_part(tx, upload.id, position, part)
                position, size, count = position + 1, size + len(part), count + part.count(b"\n")
            values = {"held_bytes": size, "held_lines": count, "is_small": is_small(size, count)}
            await store.set_internal(tx, upload.id, {**values, "attempt_place": READING_FILE})
        return await store.find_unfinished(tx, upload.id) or upload
