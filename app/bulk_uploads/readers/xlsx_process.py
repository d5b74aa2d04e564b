"""A program: the workbook that is standard input becomes lines of JSON on standard output, ``[row number, [cells]]``.

A row over the limit of a record ends it, with no cells.

It runs apart from the service (see ``workbook.py``), without its environment, and limits itself before it reads
a byte, since a workbook of 500 KB can ask for any amount of memory.
"""

import json
import os
import resource
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import Any

# exit codes: the reader's words for why, in place of a traceback
UNREADABLE = 65
COMPOUND = 66
SHEET = "registrations"
# how a compound file begins: a workbook behind a password, or one of before 2007
COMPOUND_FILE = b"\xd0\xcf\x11\xe0"


def limit(memory: int, cpu_seconds: int, output: int) -> None:
    """Set the limits of this process, in bytes and seconds."""
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, output),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def shown(value: Any) -> str:
    """A cell as its reader sees it, formats aside: 1234567, not 1234567.0; a date as 2026-01-31."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat().replace("T", " ")
    return str(value)


def write(rows: Iterable[Sequence[Any]], most_cells: int, most_bytes: int) -> None:
    """Write rows as wide as the first, which ends with its last name; more is kept where it says something.

    Beyond ``most_cells`` a later row has one cell with the rest. Stops after a row of more than ``most_bytes``.
    """
    width = 0
    for number, values in enumerate(rows, start=1):
        cells = [shown(value) for value in values]
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        if not any(cell.strip() for cell in cells):
            continue
        if width and len(cells) > most_cells:
            cells = [*cells[:most_cells], " ".join(filter(None, cells[most_cells:]))]
        width = width or len(cells)
        line = json.dumps([number, cells], ensure_ascii=False)
        if len(line.encode()) > most_bytes:
            print(json.dumps([number, []]))  # noqa: T201 - its output
            return
        print(line)  # noqa: T201 - its output


def main() -> int:
    """Write the rows that are not blank of the sheet `registrations`, or else of the first; give the exit code."""
    memory, cpu_seconds, output, most_cells, most_bytes = (int(each) for each in sys.argv[1:])
    limit(memory, cpu_seconds, output)
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # standard output is a text stream
    import python_calamine  # noqa: PLC0415 - only once the limits stand

    if os.pread(sys.stdin.fileno(), len(COMPOUND_FILE), 0) == COMPOUND_FILE:
        return COMPOUND
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(sys.stdin.buffer)
        names = workbook.sheet_names
        wanted = next((name for name in names if name.strip().lower() == SHEET), names[0] if names else None)
        if wanted is None:
            return UNREADABLE
        write(workbook.get_sheet_by_name(wanted).iter_rows(), most_cells, most_bytes)
    except (python_calamine.CalamineError, ValueError):
        return UNREADABLE
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
