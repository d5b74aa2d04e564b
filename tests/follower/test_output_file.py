"""The follower's file is a whole list at every moment, and its command runs after each change."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

from tests.support import feed
from tests.support.feed import addresses, published
from tests.support.followed_feed import A, B, C, D, FollowedFeed


async def test_damaged_files_are_replaced_after_a_restart(followed: FollowedFeed) -> None:
    state = followed.out.with_name("list.txt.feed")
    whole = state.read_bytes()
    for damaged in (b"", whole[:-30], whole.replace(A.encode(), C.encode()), b'{"networks":[null]}'):
        state.write_bytes(damaged)
        followed.restart()
        assert await followed.step()
        assert followed.transport.requested[-1] == "snapshots/1"
        assert followed.has_list(A, B)
    followed.out.unlink()
    assert await followed.step()
    followed.out.write_text(f"{A}\n")
    assert await followed.step()
    assert followed.has_list(A, B)
    followed.restart(format="nginx")
    assert await followed.step()
    assert f"{B} 1;\n" in followed.out.read_text()
    assert not await followed.step()


async def test_the_command_runs_after_each_change_and_again_when_it_failed(
    followed: FollowedFeed, tmp_path: Path
) -> None:
    log, ready = tmp_path / "log", tmp_path / "ready"
    script = f'echo "$ALLOWLIST_SERIAL $(wc -l < "$ALLOWLIST_FILE")" >> {log}; test -e {ready}'
    followed.restart(command=f"sh -c '{script}'")
    assert not await followed.step()
    assert not log.exists()
    await published(followed.service, C)
    assert await followed.step()
    assert not await followed.step()
    ready.touch()
    for _ in range(3):
        assert not await followed.step()
    assert log.read_text().splitlines() == ["2 3"] * 3
    followed.restart(command="/nowhere/such-a-command")
    await published(followed.service, D)
    assert await followed.step()
    assert followed.out.read_text().splitlines() == [A, B, C, D]


async def test_the_file_is_a_whole_list_at_every_moment(followed: FollowedFeed) -> None:
    await published(followed.service, *addresses(3_000, start=100))
    lists, stop, seen = set(), threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(feed.digest_of(followed.out.read_text().splitlines()))

    reading = asyncio.create_task(asyncio.to_thread(read))
    lists.add(feed.digest_of(followed.out.read_text().splitlines()))
    for network in addresses(12, start=9_000):
        await published(followed.service, network)
        await followed.step()
        assert followed.consumer.snapshot
        lists.add(followed.consumer.snapshot.digest)
    stop.set()
    await reading
    assert seen <= lists
    assert len(seen) > 1


async def test_the_command_line_updates_the_file_once_or_reports_the_failure(
    followed: FollowedFeed, tmp_path: Path
) -> None:
    login, out = followed.caller.credentials, tmp_path / "set.nft"
    command = [sys.executable, "-m", "app.cli", "follow", "--once", "--out", str(out), "--format", "nftables"]
    command += ["--url", followed.url, "--client-id", login.client_id, "--client-secret"]

    async def run(secret: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(subprocess.run, [*command, secret], capture_output=True, text=True, check=False)

    refused = await run("wrong")
    assert refused.returncode == 1
    assert "The last good list stays" in refused.stderr
    assert not out.exists()
    done = await run(login.client_secret)
    assert done.returncode == 0, done.stderr
    assert out.read_text() == (await followed.caller.get(f"{feed.FEED}?format=nftables")).text
    await published(followed.service, C)
    assert (await run("wrong")).returncode == 1
    assert C not in out.read_text()
