"""Opening of a stored file: workbooks and archives are converted once, before the upload is read."""

import asyncio
import json
import os
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from app.bulk_uploads import store
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.readers.format import HEAD_BYTES
from app.bulk_uploads.readers.layout import Layout, Table
from app.bulk_uploads.readers.text import TextNormalizer, describe_text, has_last_line_end
from app.bulk_uploads.readers.workbook import SIGNATURES, convert
from app.bulk_uploads.readers.workbook_sheets import workbook_layout, workbook_warnings
from app.bulk_uploads.rules import NO_LAST_LINE_END, READING_FILE, TEXT_FORMATS, UploadFormat, UploadOptions, is_small
from app.bulk_uploads.store import PART_BYTES
from app.core.database.engine import Database


class OpenedFile(NamedTuple):
    """Content of a workbook or archive, which replaces the stored parts, and what is known of it."""

    upload_format: UploadFormat
    layout: Layout
    warnings: list[str]
    content: IO[bytes]


async def open_file(database: Database, upload: BulkUpload) -> tuple[BulkUpload, Layout]:
    """Return an upload and the layout of its stored parts; a workbook or archive is converted first.

    Raises ``Invalid`` when the file cannot be read within the limits, or has no header with the columns.
    """
    if upload.layout is not None:
        return upload, Layout.from_json(upload.layout)
    with TemporaryFile() as file, TemporaryFile() as content:
        await _fetch(database, upload, file)
        opened = await asyncio.to_thread(_open, upload, file, content)
        return await _replace_parts(database, upload, opened), opened.layout


async def _fetch(database: Database, upload: BulkUpload, file: IO[bytes]) -> None:
    """Write the parts of an upload to a file."""
    position = 0
    async with database.transaction(read_only=True) as tx:
        while (part := await store.read_part(tx, upload.id, position)) is not None:
            await asyncio.to_thread(file.write, part)
            position += 1
    file.seek(0)


def _open(upload: BulkUpload, file: IO[bytes], content: IO[bytes]) -> OpenedFile:
    """Convert a file in the subprocess with limits, and find its layout."""
    options = UploadOptions(**upload.options)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if upload.format in TEXT_FORMATS:  # stored before layouts were
        upload_format = UploadFormat(upload.format)
        return OpenedFile(upload_format, describe_text(head, upload_format, options), [], file)
    if not head.startswith(SIGNATURES):  # converted before layouts were stored
        return _add_sheet(upload, file, content)
    converted = convert(file, content)
    content.seek(0)
    if converted.format not in TEXT_FORMATS:
        layout = workbook_layout(converted, options)
        return OpenedFile(converted.format, layout, workbook_warnings(converted, layout), content)
    layout = describe_text(content.read(HEAD_BYTES), converted.format, options)
    content.seek(-2, os.SEEK_END)  # a header has more
    warnings = [] if has_last_line_end(content.read()) else [NO_LAST_LINE_END]
    return OpenedFile(converted.format, layout, warnings, content)


def _add_sheet(upload: BulkUpload, lines: IO[bytes], content: IO[bytes]) -> OpenedFile:
    """Add the number of the sheet to lines without one."""
    header_row = json.loads(lines.readline())[0]
    lines.seek(0)
    content.writelines(b"[0, " + line.removeprefix(b"[") for line in lines)
    layout = Layout(None, None, [Table("", 0, header_row, upload.columns)])
    return OpenedFile(UploadFormat.XLSX, layout, [], content)


def _stored_parts(opened: OpenedFile) -> Iterator[bytes]:
    opened.content.seek(0)
    is_text = opened.upload_format in TEXT_FORMATS
    normalizer = TextNormalizer(opened.layout.encoding, opened.upload_format) if is_text else None
    while part := opened.content.read(PART_BYTES):
        yield normalizer.feed(part) if normalizer else part
    if normalizer:
        yield normalizer.finish()


async def _replace_parts(database: Database, upload: BulkUpload, opened: OpenedFile) -> BulkUpload:
    """Store the content and the layout of an opened file, unless another worker has done so; return the upload."""
    values = {
        "format": opened.upload_format,
        "layout": opened.layout.to_json(),
        "columns": opened.layout.columns,
        "warnings": [*upload.warnings, *opened.warnings],
    }
    async with store.transaction_for(database, upload) as tx:
        if await store.advance(tx, upload, values):
            await store.delete_parts(tx, upload.id)
            position = size = count = 0
            parts = _stored_parts(opened)
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                if part:
                    await store.add_part(tx, upload.id, position, part)
                    position, size, count = position + 1, size + len(part), count + part.count(b"\n")
            internal = {"held_bytes": size, "held_lines": count, "is_small": is_small(size, count)}
            await store.set_internal(tx, upload.id, {**internal, "attempt_place": READING_FILE})
        return await store.find_unfinished(tx, upload.id) or upload
