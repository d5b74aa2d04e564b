"""Files that are replaced atomically."""

import os
from pathlib import Path


def replace_file(path: Path, body: bytes) -> None:
    """Replace a file by ``body`` atomically, once it is on disk."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
