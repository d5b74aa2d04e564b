"""An XLSX workbook becomes rows, by a process of its own that a bomb or a broken file can take down alone."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from app.bulk_uploads import sheet
from app.bulk_uploads.errors import XlsxMalformed, XlsxTooLarge
from app.bulk_uploads.rows import Row

MEMORY_BYTES = 512 * 1024 * 1024
OUTPUT_BYTES = 256 * 1024 * 1024
CPU_SECONDS = 60
WALL_SECONDS = 120


def xlsx_rows(parts: Iterable[bytes]) -> Iterator[Row]:
    """The header first, then every row that is not blank; ``line`` is the row's number in the sheet.

    Raises ``XlsxMalformed``, or ``XlsxTooLarge`` when reading it takes more than a fair share. The workbook and what
    it says wait in temporary files that have no name.
    """
    with TemporaryFile() as workbook, TemporaryFile() as lines:
        for part in parts:
            workbook.write(part)
        size = workbook.tell()
        workbook.seek(0)
        _convert(workbook, lines)
        total = lines.seek(0, 2)
        lines.seek(0)
        yield from _rows(lines, size, total)


def _convert(workbook: IO[bytes], lines: IO[bytes]) -> None:
    limits = [str(each) for each in (MEMORY_BYTES, CPU_SECONDS, OUTPUT_BYTES)]
    command = [sys.executable, "-I", str(Path(sheet.__file__)), *limits]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, stdin=workbook, stdout=lines, stderr=subprocess.DEVNULL, env={}, timeout=WALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise XlsxTooLarge from None
    if done.returncode == sheet.COMPOUND:
        raise XlsxMalformed("The workbook is protected by a password, or an old .xls. Save it as .xlsx without one.")
    if done.returncode == sheet.UNREADABLE:
        raise XlsxMalformed
    if done.returncode:
        raise XlsxTooLarge


def _rows(lines: IO[bytes], size: int, total: int) -> Iterator[Row]:
    """Rows as wide as the header, which ends with its last name; more is kept where it says something."""
    width = 0
    done = 0
    for line in lines:
        done += len(line)
        number, cells = json.loads(line)
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        width = width or len(cells)
        cells += [""] * (width - len(cells))
        yield Row(number, size * done // total, cells)
