"""The follower's file is a whole list at every moment, in the form that was chosen."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.allowlist.snapshot import Snapshot
from app.follower.command import Command
from tests.support import feed
from tests.support.feed import addresses, published
from tests.support.followed_feed import A, B, C, D, FollowedFeed
from tests.support.full_disk import file_size_limit


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


async def test_the_mode_owner_and_link_of_the_file_are_kept(followed: FollowedFeed, tmp_path: Path) -> None:
    target = tmp_path / "var" / "registered"
    target.parent.mkdir()
    followed.out.rename(target)
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, 12, 34)
    before = target.stat()
    followed.out.symlink_to(target)
    await published(followed.service, C)
    assert await followed.step()
    after = target.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert target.read_text().splitlines() == [A, B, C]
    assert followed.out.is_symlink()
    assert [each.name for each in target.parent.iterdir()] == ["registered"]


async def test_on_a_full_disk_the_old_list_stays_alone_and_the_next_step_writes_the_new_one(
    followed: FollowedFeed,
) -> None:
    before = followed.out.read_bytes()
    await published(followed.service, *addresses(500, start=100))
    with file_size_limit(1_000), pytest.raises(OSError, match="too large"):
        await followed.step()
    assert followed.out.read_bytes() == before
    assert followed.has_list(A, B)
    assert await followed.step()
    assert len(followed.out.read_text().splitlines()) == 502


async def test_a_new_list_is_loaded_although_the_disk_is_full_for_the_file_beside_it(
    followed: FollowedFeed, tmp_path: Path
) -> None:
    loaded = tmp_path.parent / f"{tmp_path.name}-loaded"
    followed.restart(command=Command(["sh", "-c", f'cp "$ALLOWLIST_FILE" {loaded}']))
    await published(followed.service, *addresses(50, start=100))
    size = len("".join(f"{network}\n" for network in [A, B, *addresses(50, start=100)]))
    with file_size_limit(size), pytest.raises(OSError, match="too large"):
        await asyncio.to_thread(followed.consumer.run_once)
    assert len(loaded.read_text().splitlines()) == 52
    assert await followed.step()
    followed.restart(base_url="http://127.0.0.1:9")
    assert followed.consumer.snapshot
    assert followed.consumer.snapshot.serial == 2


async def test_one_family_is_written_alone_and_the_whole_list_is_verified(followed: FollowedFeed) -> None:
    await published(followed.service, "2400:1460:1::/48")
    for family, networks in ((4, (A, B)), (6, ("2400:1460:1::/48",)), (None, (A, B, "2400:1460:1::/48"))):
        followed.restart(family=family)
        assert await followed.step()
        assert followed.has_list(*networks)
        assert not await followed.step()


async def test_neighbours_are_aggregated_and_the_whole_list_is_verified(followed: FollowedFeed) -> None:
    followed.restart(aggregate=True)
    assert await followed.step()
    assert followed.has_list("154.192.0.0/31")
    await published(followed.service, C, "154.192.0.8/29", "2400:1460:2::/48", "2400:1460:3::/48")
    assert await followed.step()
    assert followed.transport.requested[-1] == "deltas/2"
    assert followed.has_list("154.192.0.0/31", C, "154.192.0.8/29", "2400:1460:2::/47")
    await published(followed.service, D)
    assert await followed.step()
    assert followed.has_list("154.192.0.0/30", "154.192.0.8/29", "2400:1460:2::/47")
    assert not await followed.step()
    followed.restart(aggregate=True, family=4, format="nftables")
    assert await followed.step()
    written = followed.out.read_text()
    assert "{ 154.192.0.0/30, 154.192.0.8/29 }" in written
    assert (await feed.listed(followed.caller))["digest"] in written


@given(st.lists(st.tuples(st.integers(0, 63), st.integers(26, 32)), max_size=20))
def test_aggregated_networks_are_the_fewest_that_cover_exactly_the_same_addresses(parts: list[tuple[int, int]]) -> None:
    chosen: list[IPv4Network] = []
    for address, length in parts:
        network = IPv4Network((int(IPv4Address("203.99.50.0")) + address, length), strict=False)
        if not any(network.overlaps(each) for each in chosen):
            chosen.append(network)
    snapshot = Snapshot(uuid4(), 1, None, [(str(network), 1) for network in chosen])
    merged = [IPv4Network(each) for each in snapshot.aggregated]
    assert covered(merged) == covered(chosen)
    assert sum(each.num_addresses for each in merged) == len(covered(chosen))
    pairs = pairwise(merged)
    assert not any(one.prefixlen == other.prefixlen and one.supernet() == other.supernet() for one, other in pairs)


def covered(networks: Iterable[IPv4Network]) -> set[IPv4Address]:
    return {address for network in networks for address in network}
