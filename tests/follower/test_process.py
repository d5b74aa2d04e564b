"""The process ``app.cli follow``: its exit codes, and a command that is owed after the process was killed."""

import asyncio
import os
import shlex
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.feed import published
from tests.support.followed_feed import A, B, C, FollowedFeed


@asynccontextmanager
async def following(
    followed: FollowedFeed, *options: str, told: Path | None = None, **changes: str
) -> AsyncIterator[processes.Running]:
    """Run ``app.cli follow`` on the feed's file, with its messages in ``told``; kill it when the block ends."""
    login = followed.caller.credentials
    given = {"PUBLIC_URL": followed.url, "CLIENT_ID": login.client_id, "CLIENT_SECRET": login.client_secret}
    environment = {"PATH": os.environ["PATH"], **given, **changes}
    with (told or Path(os.devnull)).open("ab") as out:
        process = processes.start("follow", environment, out, ["--out", str(followed.out), *options])
    try:
        yield process
    finally:
        await asyncio.to_thread(processes.kill, process)


async def once(followed: FollowedFeed, *options: str) -> tuple[int, str]:
    """Run it with ``--once``; return its exit code and its messages."""
    with tempfile.NamedTemporaryFile() as told:
        async with following(followed, "--once", *options, told=Path(told.name)) as process:
            code = await asyncio.to_thread(process.wait, 60)
        return code, told.read().decode()


async def until(happened: Callable[[], bool]) -> None:
    async def answer() -> bool:
        return happened()

    await processes.until(answer)


def shell(script: str) -> str:
    return f"sh -c {shlex.quote(script)}"


def has_ended(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().split()[2] == "Z"  # its parent may not have asked for it


async def test_once_exits_with_1_when_the_command_failed_and_the_next_run_does_what_is_owed(
    followed: FollowedFeed, tmp_path: Path
) -> None:
    await published(followed.service, C)
    code, told = await once(followed, "--exec", "false")
    assert code == 1
    assert "the command failed" in told
    assert followed.has_list(A, B, C)
    ran = tmp_path / "ran"
    for runs in (1, 2):
        assert (await once(followed, "--exec", shell(f"echo run >> {ran}")))[0] == 0
        assert ran.read_text() == "run\n" * runs


async def test_a_command_line_that_cannot_be_read_is_refused_at_once(followed: FollowedFeed) -> None:
    for line, reason in (("nft -f 'list", "quotation mark"), ("", "empty")):
        code, told = await once(followed, "--exec", line)
        assert code == 2
        assert reason in told


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_when_the_process_ends_during_the_command_the_next_one_runs_it_again(
    followed: FollowedFeed, tmp_path: Path, number: signal.Signals
) -> None:
    group = tmp_path / "group"
    async with following(followed, "--exec", shell(f"echo $$ > {group}; sleep 600")) as process:
        await until(lambda: group.exists() and group.read_text() != "")
        process.send_signal(number)
        command = int(group.read_text())
        if number == signal.SIGKILL:  # no process can clear up after it
            os.killpg(command, signal.SIGKILL)
        assert await asyncio.to_thread(process.wait, 20) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    await until(lambda: has_ended(command))
    ran = tmp_path / "ran"
    assert (await once(followed, "--exec", f"touch {ran}"))[0] == 0
    assert ran.exists()


async def test_the_command_is_tried_again_and_refreshed_while_the_process_waits(
    followed: FollowedFeed, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    script = f"echo run >> {ran}; test $(wc -l < {ran}) -gt 2"  # fails twice
    async with following(followed, "--refresh", "1", "--exec", shell(script)) as process:
        await until(lambda: ran.exists() and len(ran.read_text().splitlines()) >= 5)
        assert process.poll() is None


async def test_the_command_is_tried_again_while_the_service_is_away(followed: FollowedFeed, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = f"echo run >> {ran}; test $(wc -l < {ran}) -gt 2"
    async with following(followed, "--exec", shell(script), PUBLIC_URL="http://127.0.0.1:9") as process:
        await until(lambda: ran.exists() and len(ran.read_text().splitlines()) >= 3)
        assert process.poll() is None


async def test_a_command_that_hangs_is_a_failure_once_its_time_is_over(followed: FollowedFeed) -> None:
    code, told = await once(followed, "--exec-timeout", "0.5", "--exec", "sleep 600")
    assert code == 1
    assert "the command failed" in told
