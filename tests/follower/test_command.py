"""The operator's command runs at each start, after each change and on schedule, and is owed until it succeeds."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.follower import command as commands
from app.follower.command import Command
from tests.support.feed import published
from tests.support.followed_feed import A, B, C, D, FollowedFeed

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file to which the command appends a line at each run."""
    return tmp_path / "log"


def logging(log: Path, then: str = "true") -> Command:
    script = f'echo "$ALLOWLIST_SERIAL $(wc -l < "$ALLOWLIST_FILE")" >> {log}; {then}'
    return Command(["sh", "-c", script])


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


async def run_once(followed: FollowedFeed) -> bool:
    return await asyncio.to_thread(followed.consumer.run_once)


def eventually(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_it_runs_at_each_start_while_the_file_stays_the_same(followed: FollowedFeed, log: Path) -> None:
    for runs in (1, 2, 3):
        followed.restart(command=logging(log))
        assert await run_once(followed)
        assert await run_once(followed)
        assert lines(log) == ["1 2"] * runs


async def test_it_runs_at_the_start_with_the_last_list_while_the_service_is_away(
    followed: FollowedFeed, log: Path
) -> None:
    for spoil in (lambda: None, followed.out.unlink, lambda: followed.out.write_text(f"{A}\n")):
        spoil()
        followed.restart(command=logging(log), base_url=NOWHERE)
        with pytest.raises(httpx.TransportError):
            await run_once(followed)
        assert followed.out.read_text().splitlines() == [A, B]
    assert lines(log) == ["1 2"] * 3


async def test_it_does_not_run_before_there_is_a_list(followed: FollowedFeed, tmp_path: Path, log: Path) -> None:
    followed.restart(command=logging(log), out=tmp_path / "new.txt", base_url=NOWHERE)
    with pytest.raises(httpx.TransportError):
        await run_once(followed)
    assert lines(log) == []


async def test_it_runs_after_each_change_and_is_owed_with_growing_pauses_until_it_succeeds(
    followed: FollowedFeed, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "RETRY_SECONDS", (0.2, 0.4, 60))
    ready = tmp_path / "ready"
    command = logging(log, f"test -e {ready}")
    followed.restart(command=command)
    assert not await run_once(followed)
    pauses: list[float] = []
    while len(pauses) < 2:
        pauses.append(command.seconds_until_due)
        assert await run_once(followed), "it is not due"
        await asyncio.sleep(command.seconds_until_due)
        assert not await run_once(followed)
    assert 0 < pauses[0] <= 0.2 < pauses[1] <= 0.4
    assert lines(log) == ["1 2"] * 3
    assert 50 < command.seconds_until_due <= 60
    await published(followed.service, C)
    assert not await run_once(followed), "a change makes it due at once"
    ready.touch()
    await published(followed.service, D)
    assert await run_once(followed)
    assert await run_once(followed)
    assert lines(log) == [*["1 2"] * 3, "2 3", "3 4"]
    assert command.failures == 0


@pytest.mark.parametrize("arguments", [["/nowhere/such-a-command"], ["sh", "-c", "exit 3"], ["sh", "-c", "kill -9 $$"]])
async def test_a_command_that_fails_in_any_way_leaves_the_list_and_is_owed(
    followed: FollowedFeed, arguments: list[str]
) -> None:
    followed.restart(command=Command(arguments))
    await published(followed.service, C)
    assert not await run_once(followed)
    assert followed.has_list(A, B, C)
    assert followed.consumer.command
    assert followed.consumer.command.failures == 1


def test_a_command_that_hangs_is_killed_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "GRACE_SECONDS", 0.5)
    started = tmp_path / "started"
    script = f'trap "" TERM; (trap "" TERM; sleep 600) & echo $! > {started}; wait; sleep 600'
    command = Command(["sh", "-c", script], timeout=0.5)
    began = time.monotonic()
    assert not command.run({})
    assert time.monotonic() - began < 10
    child = Path(f"/proc/{started.read_text().strip()}/stat")
    eventually(lambda: not child.exists() or child.read_text().split()[2] == "Z")


def test_after_a_success_it_is_due_again_when_the_refresh_says() -> None:
    hourly, never, often = Command(["true"]), Command(["true"], refresh=0), Command(["true"], refresh=0.1)
    for each in (hourly, never, often):
        assert each.is_due
        assert each.run({})
        assert not each.is_due
    assert 3_500 < hourly.seconds_until_due <= 3_600
    assert never.seconds_until_due == float("inf")
    eventually(lambda: often.is_due)


def test_it_reads_nothing_from_the_terminal_and_knows_the_list(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f'cat; echo "$ALLOWLIST_FILE $PATH" > {out}'
    assert Command(["sh", "-c", script], timeout=10).run({"ALLOWLIST_FILE": "here"})
    assert out.read_text() == f"here {os.environ['PATH']}\n"
