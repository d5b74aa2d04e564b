"""Conversion of workbooks and archives to lines of JSON in a subprocess with limits."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from app.bulk_uploads.errors import XlsxMalformed, XlsxTooLarge
from app.bulk_uploads.readers import workbook_process
from app.bulk_uploads.readers.rows import MAX_RECORD_BYTES
from app.bulk_uploads.readers.workbook_process.exits import Exit
from app.bulk_uploads.receiving.content_encoding import max_decompressed
from app.bulk_uploads.rules import UploadFormat

MEMORY_BYTES = 512 * 1024 * 1024
OUTPUT_BYTES = 256 * 1024 * 1024
CPU_SECONDS = 60
WALL_SECONDS = 240
MAX_POSITIONS = 256
SUMMARY_BYTES = 32 * 1024 * 1024
# First bytes of a workbook or an archive: ZIP, or a compound file. Converted lines never begin so.
SIGNATURES = (b"PK", b"\xd0\xcf\x11\xe0")
PROGRAM = Path(workbook_process.__file__).with_name("__main__.py")
TEXT_FORMATS: dict[int, UploadFormat] = {Exit.CSV: UploadFormat.CSV, Exit.NDJSON: UploadFormat.NDJSON}
SAVE_AS_XLSX = "In the spreadsheet, choose Save As and the type Excel Workbook (.xlsx), or CSV UTF-8"
DETAILS: dict[int, str] = {
    Exit.UNREADABLE: f"The file cannot be opened as a workbook: it is damaged, cut short or not one. {SAVE_AS_XLSX}.",
    Exit.PASSWORD: "The file has a password. Take the password off, save it, and send it again.",
    Exit.BINARY_WORKBOOK: f"The file is an Excel Binary Workbook (.xlsb). {SAVE_AS_XLSX}.",
    Exit.NUMBERS: "The file is of Numbers. In Numbers, choose File, Export To, Excel (.xlsx), and send that file.",
    Exit.DOCUMENT: "The file is a text document or a presentation. Send a workbook (.xlsx) or CSV UTF-8.",
    Exit.EMPTY_ARCHIVE: "The archive has no file. Put one CSV file, NDJSON file or workbook into it.",
    Exit.MANY_FILES: "The archive has more than one file. Send each file by itself, or an archive of exactly one.",
    Exit.OTHER_FILE: "The file in the archive is not CSV (.csv), NDJSON (.ndjson) or a workbook (.xlsx).",
    Exit.NESTED_ARCHIVE: "The archive has another archive in it. Send the file itself.",
    Exit.MANY_SHEETS: "The workbook has more than 100 sheets. Copy the rows onto one sheet.",
}
TOO_LARGE = (
    "Reading the workbook takes too much memory or time, or its rows are too many. Often a cell far below or beside "
    "the table is not blank: clear the cells beyond the table. Otherwise save it as CSV UTF-8, or split it."
)


class HeadRow(NamedTuple):
    """One of the first rows of a sheet that are not blank; ``filled`` are positions inside merged ranges."""

    row: int
    cells: Sequence[str]
    is_hidden: bool
    filled: Sequence[int]


class Sheet(NamedTuple):
    """A visible sheet: the row of its last cell, and its first ten rows that are not blank.

    ``hidden_rows``, and the ``filled_cells`` at each position, are counted after these ten.
    """

    name: str
    last_row: int
    hidden_rows: int
    filled_cells: Sequence[int]
    head: Sequence[HeadRow]


class Converted(NamedTuple):
    """What the process found: the format, and the sheets unless it is the text file of an archive."""

    format: UploadFormat
    sheets: Sequence[Sheet] = ()
    hidden_sheets: Sequence[str] = ()


def convert(workbook: IO[bytes], lines: IO[bytes]) -> Converted:
    """Write the rows of ``workbook`` to ``lines``; both are operating system files at their beginning.

    Of an archive of one text file, this file is written as it is. The output is limited like the decompressed size of
    an HTTP body, and to ``OUTPUT_BYTES``. Raises ``XlsxMalformed``, and ``XlsxTooLarge`` when a limit is exceeded.
    """
    output = min(OUTPUT_BYTES, max_decompressed(os.fstat(workbook.fileno()).st_size))
    limits = [str(each) for each in (MEMORY_BYTES, CPU_SECONDS, output, MAX_POSITIONS, MAX_RECORD_BYTES)]
    command = [sys.executable, "-I", str(PROGRAM), *limits]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, stdin=workbook, stdout=lines, stderr=subprocess.DEVNULL, env={}, timeout=WALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise XlsxTooLarge(TOO_LARGE) from None
    if text_format := TEXT_FORMATS.get(done.returncode):
        return Converted(text_format)
    if detail := DETAILS.get(done.returncode):
        raise XlsxMalformed(detail)
    if done.returncode:
        raise XlsxTooLarge(TOO_LARGE)
    return _take_summary(lines)


def _take_summary(lines: IO[bytes]) -> Converted:
    """Cut the last line off the rows and return what it says."""
    end = lines.seek(0, os.SEEK_END)
    start = max(0, end - SUMMARY_BYTES)
    lines.seek(start)
    tail = lines.read(end - start)
    begin = tail.rfind(b"\n", 0, -1) + 1
    if start and not begin:
        raise XlsxTooLarge(TOO_LARGE)
    lines.truncate(start + begin)
    found = json.loads(tail[begin:])
    sheets = [Sheet(**{**each, "head": [HeadRow(*row) for row in each["head"]]}) for each in found["sheets"]]
    return Converted(UploadFormat(found["format"]), sheets, found["hidden_sheets"])
