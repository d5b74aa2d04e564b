"""Conversion of XLSX workbooks to lines of JSON in a subprocess with limits, and the reader of these lines."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from app.bulk_uploads.errors import XlsxMalformed, XlsxTooLarge
from app.bulk_uploads.readers.rows import MAX_CELLS, MAX_RECORD_BYTES, LineReader, Row
from app.bulk_uploads.readers.workbook_process import __main__ as xlsx_process
from app.bulk_uploads.receiving.content_encoding import max_decompressed

MEMORY_BYTES = 512 * 1024 * 1024
OUTPUT_BYTES = 256 * 1024 * 1024
CPU_SECONDS = 60
WALL_SECONDS = 120
# First bytes of a workbook: a ZIP archive, or a compound file when it is encrypted. Converted lines never begin so.
SIGNATURES = (b"PK", xlsx_process.COMPOUND_FILE)


def convert(workbook: IO[bytes], lines: IO[bytes]) -> None:
    """Write the rows of ``workbook`` to ``lines``; both are operating system files at their beginning.

    The output is limited like the decompressed size of an HTTP body, and to ``OUTPUT_BYTES``. Raises ``XlsxMalformed``,
    and ``XlsxTooLarge`` when a limit is exceeded.
    """
    output = min(OUTPUT_BYTES, max_decompressed(os.fstat(workbook.fileno()).st_size))
    limits = [str(each) for each in (MEMORY_BYTES, CPU_SECONDS, output, MAX_CELLS, MAX_RECORD_BYTES)]
    command = [sys.executable, "-I", str(Path(xlsx_process.__file__)), *limits]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, stdin=workbook, stdout=lines, stderr=subprocess.DEVNULL, env={}, timeout=WALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise XlsxTooLarge from None
    if done.returncode == xlsx_process.EXIT_COMPOUND_FILE:
        raise XlsxMalformed("The workbook has a password or the old .xls format. Save it as .xlsx without a password.")
    if done.returncode == xlsx_process.EXIT_UNREADABLE:
        raise XlsxMalformed
    if done.returncode:
        raise XlsxTooLarge


def read_converted(parts: Iterable[bytes], line: int | None = None) -> Iterator[Row]:
    """Yield the header and rows of a converted workbook; lines are row numbers of the sheet.

    Raises ``XlsxMalformed`` with the number of a row that is too long.
    """
    lines = LineReader(parts, XlsxTooLarge, line)
    for text in lines:
        number, cells = json.loads(text)
        if not cells:
            raise XlsxMalformed(f"Row {number} of the sheet has more than {MAX_RECORD_BYTES} bytes.")
        yield Row(number, number, lines.bytes, cells)
