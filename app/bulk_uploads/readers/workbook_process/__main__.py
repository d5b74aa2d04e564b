"""Program that reads a workbook or an archive from standard input and writes lines of JSON (``lines.py``).

It runs as a subprocess without the service's environment (``workbook.py``) and limits itself before it reads a byte,
since a workbook of 500 KB can ask for any amount of memory. Its exit code says why it wrote no rows (``exits.py``).
"""

import resource
import sys
from pathlib import Path

# An isolated interpreter finds only installed packages; these files are imported by their full names.
sys.path.append(str(Path(__file__).parents[4]))

from app.bulk_uploads.readers.workbook_process.exits import Exit, Stopped


def set_limits(memory: int, cpu_seconds: int, output: int) -> None:
    """Set the limits of this process, in bytes and seconds."""
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, output),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def main() -> int:
    """Write the rows, or the text file of an archive; return the exit code."""
    memory, cpu_seconds, output, cells, line_bytes = (int(each) for each in sys.argv[1:])
    set_limits(memory, cpu_seconds, output)
    from xml.sax import SAXException  # noqa: PLC0415 - only under the limits

    from app.bulk_uploads.readers.workbook_process.archive import write_file  # noqa: PLC0415 - only under the limits
    from app.bulk_uploads.readers.workbook_process.lines import Limits  # noqa: PLC0415 - only under the limits

    try:
        done = write_file(sys.stdin.buffer, sys.stdout.buffer, Limits(cells, line_bytes))
        sys.stdout.flush()
    except Stopped as stopped:
        return stopped.code
    except (MemoryError, OSError):  # the output is too large
        return Exit.TOO_LARGE
    except (SAXException, ValueError, KeyError, RuntimeError):  # of a hostile or broken file
        return Exit.UNREADABLE
    return done or 0


if __name__ == "__main__":
    sys.exit(main())
