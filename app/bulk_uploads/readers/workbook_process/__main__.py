"""Program that reads a workbook from standard input and writes lines of JSON: ``[row number, [cells]]``.

It runs as a subprocess without the service's environment (see ``workbook.py``) and limits itself before it reads a
byte, since a workbook of 500 KB can ask for any amount of memory. It stops after a row that is too long, written with
no cells.
"""

import json
import os
import resource
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import Any

EXIT_UNREADABLE = 65
EXIT_COMPOUND_FILE = 66
SHEET = "registrations"
# Signature of a compound file: an encrypted workbook, or the .xls format.
COMPOUND_FILE = b"\xd0\xcf\x11\xe0"


def set_limits(memory: int, cpu_seconds: int, output: int) -> None:
    """Set the limits of this process, in bytes and seconds."""
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, output),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def format_cell(value: Any) -> str:
    """Format a cell as a spreadsheet shows it: 1234567, not 1234567.0; a date as 2026-01-31."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat().replace("T", " ")
    return str(value)


def write(rows: Iterable[Sequence[Any]], max_cells: int, max_bytes: int) -> None:
    """Write the rows that are not blank, without blank cells beyond the width of the first row.

    Cells beyond ``max_cells`` are joined into one. Stops after a row of more than ``max_bytes``.
    """
    width = 0
    for number, values in enumerate(rows, start=1):
        cells = [format_cell(value) for value in values]
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        if not any(cell.strip() for cell in cells):
            continue
        if width and len(cells) > max_cells:
            cells = [*cells[:max_cells], " ".join(filter(None, cells[max_cells:]))]
        width = width or len(cells)
        line = json.dumps([number, cells], ensure_ascii=False)
        if len(line.encode()) > max_bytes:
            print(json.dumps([number, []]))  # noqa: T201 - its output
            return
        print(line)  # noqa: T201 - its output


def main() -> int:
    """Write the rows of the sheet `registrations`, or else of the first sheet; return the exit code."""
    memory, cpu_seconds, output, max_cells, max_bytes = (int(each) for each in sys.argv[1:])
    set_limits(memory, cpu_seconds, output)
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # standard output is a text stream
    import python_calamine  # noqa: PLC0415 - only under the limits

    if os.pread(sys.stdin.fileno(), len(COMPOUND_FILE), 0) == COMPOUND_FILE:
        return EXIT_COMPOUND_FILE
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(sys.stdin.buffer)
        names = workbook.sheet_names
        chosen = next((name for name in names if name.strip().lower() == SHEET), names[0] if names else None)
        if chosen is None:
            return EXIT_UNREADABLE
        write(workbook.get_sheet_by_name(chosen).iter_rows(), max_cells, max_bytes)
    except (python_calamine.CalamineError, ValueError):
        return EXIT_UNREADABLE
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
