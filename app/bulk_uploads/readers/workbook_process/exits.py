"""Exit codes of the process, and the error that ends it with one."""

from enum import IntEnum


class Exit(IntEnum):
    """Reason why the process wrote no rows; ``CSV`` and ``NDJSON``: it wrote the text file of an archive instead."""

    CSV = 70
    NDJSON = 71
    UNREADABLE = 72
    PASSWORD = 73
    BINARY_WORKBOOK = 74
    NUMBERS = 75
    DOCUMENT = 76
    EMPTY_ARCHIVE = 77
    MANY_FILES = 78
    OTHER_FILE = 79
    NESTED_ARCHIVE = 80
    TOO_LARGE = 81
    MANY_SHEETS = 82


class Stopped(Exception):
    """The file is not read further."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code.name)
        self.code = code
