"""Files that are never seen half written."""

import os
from pathlib import Path


def replace_file(path: Path, body: bytes) -> None:
    """Put ``body`` in the place of ``path`` at once, after it is safely on disk."""
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
