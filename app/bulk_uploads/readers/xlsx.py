"""An XLSX workbook becomes lines of rows, by a process that a bomb or a broken file can take down alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from app.bulk_uploads.errors import XlsxMalformed, XlsxTooLarge
from app.bulk_uploads.readers import xlsx_process
from app.bulk_uploads.readers.rows import LARGEST_RECORD, MOST_CELLS, Lines, Row
from app.bulk_uploads.receiving.content_encoding import most_unpacked

MEMORY_BYTES = 512 * 1024 * 1024
OUTPUT_BYTES = 256 * 1024 * 1024
CPU_SECONDS = 60
WALL_SECONDS = 120
# how a workbook begins, as it is or behind a password; its lines never begin so
BEGINNINGS = (b"PK", xlsx_process.COMPOUND_FILE)


def write_lines(workbook: IO[bytes], lines: IO[bytes]) -> None:
    """Write the rows of ``workbook`` to ``lines``; both are files of the system, at their beginning.

    So much may be written as an HTTP body of its size may unpack to, and no more than ``OUTPUT_BYTES``.

    Raises ``XlsxMalformed``, or ``XlsxTooLarge`` when reading it takes more than a fair share.
    """
    output = min(OUTPUT_BYTES, most_unpacked(os.fstat(workbook.fileno()).st_size))
    limits = [str(each) for each in (MEMORY_BYTES, CPU_SECONDS, output, MOST_CELLS, LARGEST_RECORD)]
    command = [sys.executable, "-I", str(Path(xlsx_process.__file__)), *limits]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, stdin=workbook, stdout=lines, stderr=subprocess.DEVNULL, env={}, timeout=WALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise XlsxTooLarge from None
    if done.returncode == xlsx_process.COMPOUND:
        raise XlsxMalformed("The workbook is protected by a password, or an old .xls. Save it as .xlsx without one.")
    if done.returncode == xlsx_process.UNREADABLE:
        raise XlsxMalformed
    if done.returncode:
        raise XlsxTooLarge


def sheet_rows(parts: Iterable[bytes], line: int | None = None) -> Iterator[Row]:
    """The rows of what ``write_lines`` wrote, the header first; ``line`` is the row's number in the sheet.

    Raises ``XlsxMalformed`` with the number of a row that is too long.
    """
    lines = Lines(parts, XlsxTooLarge, line)
    for text in lines:
        number, cells = json.loads(text)
        if not cells:
            raise XlsxMalformed(f"Row {number} of the sheet has more than {LARGEST_RECORD} bytes.")
        yield Row(number, number, lines.bytes, cells)
