"""The follower applies deltas in order, and takes the whole list where they do not lead to the new serial."""

from pathlib import Path

import pytest

from app.allowlist.serving.reader import SnapshotReader
from tests.support import feed
from tests.support.feed import addresses, published
from tests.support.followed_feed import KEYS, A, B, C, D, FollowedFeed, follow_list
from tests.support.service import Caller, Service

SERIALS, WIDTH = 5_000, 50


async def test_half_a_delta_is_not_applied_and_the_whole_list_is_taken(followed: FollowedFeed) -> None:
    await published(followed.service, C, D)
    followed.transport.replacements = {"deltas/2": lambda body: body.replace(f',"{D}"'.encode(), b"")}
    assert await followed.step()
    assert [path.partition("/")[0] for path in followed.transport.requested] == ["manifest", "", "deltas", "snapshots"]
    assert followed.has_list(A, B, C, D)


async def test_a_gap_in_the_deltas_leads_to_the_whole_list(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    await published(followed.service, D)
    said = await followed.manifest()
    await followed.forge_manifest(deltas=said["deltas"][2:])
    assert await followed.step()
    assert followed.transport.requested == ["manifest", KEYS, "snapshots/3"]
    assert followed.has_list(A, B, C, D)


async def test_deltas_are_applied_one_by_one_without_the_whole_list(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    await feed.withdrawn(followed.service, [A])
    await followed.service.publish()
    assert await followed.step()
    assert followed.transport.requested == ["manifest", KEYS, "deltas/2", "deltas/3"]
    assert followed.has_list(B, C)
    assert not await followed.step()
    assert followed.transport.requested == ["manifest", KEYS]


async def test_another_session_leads_to_the_whole_list_even_at_the_same_serial(followed: FollowedFeed) -> None:
    session = await feed.new_session(followed.service)
    await followed.service.publish()
    assert await followed.step()
    assert followed.transport.requested == ["manifest", KEYS, "snapshots/1"]
    assert followed.consumer.snapshot
    assert followed.consumer.snapshot.session == session


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_consumer_that_keeps_up_follows_5000_serials_by_their_deltas(
    service: Service, nayatel: Caller, tmp_path: Path
) -> None:
    reader, at_once = service.app.state.reader, 100
    async with follow_list(service, nayatel, tmp_path / "list.txt", *addresses(WIDTH, start=1)) as followed:
        for last in range(1 + at_once, SERIALS + 2, at_once):
            await feed.long_history(service, last - at_once + 1, last, WIDTH)
            await reader.refresh()
            assert await followed.step()
            assert followed.has_list(*addresses(WIDTH, start=last))
            assert followed.transport.requested == [
                "manifest",
                KEYS,
                *(f"deltas/{n}" for n in range(last - at_once + 1, last + 1)),
            ]
        assert len(list(reader.deltas)) == service.settings.deltas_kept
        assert len(reader.times) <= WIDTH + 1_000


async def test_a_consumer_that_was_away_for_5000_serials_takes_the_whole_list(
    service: Service, nayatel: Caller, tmp_path: Path
) -> None:
    async with follow_list(service, nayatel, tmp_path / "list.txt", *addresses(WIDTH, start=1)) as followed:
        await feed.long_history(service, 2, SERIALS, WIDTH)
        restarted = SnapshotReader(service.app.state.database, service.settings)
        for reader in (service.app.state.reader, restarted):
            await reader.refresh()
            assert len(list(reader.deltas)) == service.settings.deltas_kept
            assert len(reader.times) <= WIDTH + service.settings.deltas_kept
        assert await followed.step()
        assert followed.transport.requested == ["manifest", KEYS, f"snapshots/{SERIALS}"]
        assert followed.has_list(*addresses(WIDTH, start=SERIALS))
