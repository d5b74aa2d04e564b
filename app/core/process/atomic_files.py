"""Files that are changed as a whole or not at all."""

import fcntl
import os
import shutil
import stat
from contextlib import suppress
from errno import EINVAL
from pathlib import Path


def replace_file(path: Path, body: bytes) -> None:
    """Replace a file by ``body`` atomically, once it is on disk.

    A file that exists keeps its owner and mode as far as this process may set them, its extended attributes (access
    lists, SELinux context), and the links to it: of a symbolic link the target is replaced. Raises ``OSError``; then
    the file is as it was, and nothing is left beside it.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OSError(EINVAL, "not a regular file, and cannot be replaced", str(path))
    temporary = _temporary(target)
    descriptor = _open_locked(temporary)
    try:
        with suppress(FileNotFoundError):
            _copy_permissions(target, descriptor, temporary)
        os.utime(descriptor)  # the times were copied with the attributes
        _write(descriptor, body)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    with suppress(OSError):  # the file is replaced; a crash of the machine may still bring the old one back
        _sync_directory(target.parent)


def append_to_file(path: Path, body: bytes) -> None:
    """Append ``body`` to a file, and return once it is on disk. Raises ``OSError``; then the file is as it was."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            _write(file.fileno(), body)
        except BaseException:
            file.truncate(size)
            raise


def remove_unfinished(path: Path) -> None:
    """Remove what a killed process left beside a file, unless another process is writing it."""
    temporary = _temporary(Path(os.path.realpath(path)))
    with suppress(OSError):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
        finally:
            os.close(descriptor)


def _temporary(target: Path) -> Path:
    return target.with_name(f"{target.name}.new")


def _open_locked(path: Path) -> int:
    """Open a temporary file, empty and locked, so that two processes never write to one.

    The lock ends with its process. The next one then takes over the file that was left.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_open_as(path, descriptor):
                os.ftruncate(descriptor, 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the process that held the lock has renamed or removed it


def _is_open_as(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _copy_permissions(target: Path, descriptor: int, temporary: Path) -> None:
    """Give a temporary file the owner, mode and extended attributes of the file that it replaces."""
    kept = target.stat()
    made = os.fstat(descriptor)
    if (kept.st_uid, kept.st_gid) != (made.st_uid, made.st_gid):
        try:
            os.fchown(descriptor, kept.st_uid, kept.st_gid)
        except PermissionError:  # only root gives a file away
            with suppress(PermissionError):
                os.fchown(descriptor, -1, kept.st_gid)
    with suppress(PermissionError):
        shutil.copystat(target, temporary)
    os.fchmod(descriptor, stat.S_IMODE(kept.st_mode))


def _write(descriptor: int, body: bytes) -> None:
    rest = memoryview(body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
