"""A file is replaced as a whole or not at all, and stays what it was but for its content."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.process.atomic_files import append_to_file, remove_unfinished, replace_file
from tests.support.full_disk import file_size_limit

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other users")


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_on_a_full_disk_the_old_file_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    kept, absent = tmp_path / "kept", tmp_path / "absent"
    kept.write_bytes(b"old")
    for path in (kept, absent):
        with file_size_limit(1_000), pytest.raises(OSError, match="too large"):
            replace_file(path, b"x" * 5_000)
    assert kept.read_bytes() == b"old"
    assert names(tmp_path) == ["kept"]


def test_on_a_full_disk_nothing_of_what_was_to_be_appended_stays(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_to_file(path, b"first\n")
    with file_size_limit(10), pytest.raises(OSError, match="too large"):
        append_to_file(path, b"second\n" * 10)
    assert path.read_bytes() == b"first\n"
    append_to_file(path, b"third\n")
    assert path.read_bytes() == b"first\nthird\n"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            replace_file(path, b"new")
    assert names(tmp_path) == ["pipe"]


def test_a_link_laid_where_the_file_is_written_first_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"of somebody else")
    (tmp_path / "list.new").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        replace_file(tmp_path / "list", b"new")
    assert (tmp_path / "other").read_bytes() == b"of somebody else"


def test_the_mode_of_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "list"
    for mode in (0o640, 0o600, 0o664, 0o444):
        path.touch()
        path.chmod(mode)
        replace_file(path, b"new")
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.read_bytes() == b"new"


@as_root
def test_the_owner_of_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.touch(0o640)
    os.chown(path, 12, 34)
    replace_file(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12, 34, 0o640)


def test_extended_attributes_are_kept_and_the_time_is_new(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.touch()
    os.utime(path, (1, 1))
    try:
        os.setxattr(path, "user.label", b"allowlist")
    except OSError:
        pytest.skip("this file system has none")
    replace_file(path, b"new")
    assert os.getxattr(path, "user.label") == b"allowlist"
    assert path.stat().st_mtime > 1


def test_the_target_of_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "var").mkdir()
    link, target = tmp_path / "etc" / "list", tmp_path / "var" / "list"
    link.symlink_to("../var/list")
    for body in (b"first, by a link to nothing", b"second"):
        replace_file(link, body)
        assert link.is_symlink()
        assert not target.is_symlink()
        assert target.read_bytes() == body
    assert (names(tmp_path / "etc"), names(tmp_path / "var")) == (["list"], ["list"])


def test_what_a_killed_process_left_is_removed_but_not_what_another_is_writing(tmp_path: Path) -> None:
    left = tmp_path / "list.new"
    left.write_bytes(b"half")
    with left.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_unfinished(tmp_path / "list")
        assert left.exists()
    remove_unfinished(tmp_path / "list")
    assert not left.exists()
    left.write_bytes(b"half of something longer than the new one")
    replace_file(tmp_path / "list", b"new")
    assert (tmp_path / "list").read_bytes() == b"new"
    assert names(tmp_path) == ["list"]


def test_processes_that_replace_one_file_at_the_same_time_leave_a_whole_one_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "list"
    size = 200_000
    replace_file(path, b"0" * size)
    program = (
        "import sys; from pathlib import Path; from app.core.process.atomic_files import replace_file\n"
        f"for _ in range(40): replace_file(Path({str(path)!r}), sys.argv[1].encode() * {size})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, letter]) for letter in "abc"]
    seen = set()
    while any(each.poll() is None for each in writers):
        body = path.read_bytes()
        assert len(body) == size
        seen.add(frozenset(body))
    assert [each.returncode for each in writers] == [0, 0, 0]
    assert all(len(each) == 1 for each in seen)
    assert names(tmp_path) == ["list"]
