"""The follower keeps its last valid list while the feed or its keys cannot be read, and tries again."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest

from app.follower import follower
from app.partners import store
from tests.support.feed import FEED, published
from tests.support.followed_feed import KEYS, A, B, C, FollowedFeed


class Enough(Exception):
    """Ends the endless loop of the follower."""


async def test_a_feed_that_fails_or_is_out_of_reach_changes_nothing(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    down = httpx.Response(503)
    for part in ("manifest", "a"):
        followed.transport.replacements = {part: lambda _: down}
        with pytest.raises(httpx.HTTPStatusError):
            await followed.step()
    followed.transport.replacements = {"deltas": lambda _: down, "snapshots": lambda _: down}
    with pytest.raises(httpx.HTTPStatusError):
        await followed.step()
    followed.restart(base_url="http://127.0.0.1:9")
    with pytest.raises(httpx.TransportError):
        await followed.step()
    assert followed.has_list(A, B)
    followed.restart()
    followed.transport.replacements = {"deltas": lambda _: httpx.Response(410)}
    assert await followed.step()
    assert followed.has_list(A, B, C)


async def test_a_consumer_goes_on_when_the_signing_key_is_rotated(followed: FollowedFeed) -> None:
    async with followed.service.database.transaction() as tx:
        await store.rotate_signing_key(tx)
    await followed.service.let_keys_settle()
    await asyncio.sleep(1)  # the key set is at most so old
    await published(followed.service, C)
    assert await followed.step()
    assert followed.transport.requested == ["manifest", KEYS, "deltas/2"]


async def test_known_keys_stay_valid_while_the_key_set_cannot_be_read(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    followed.transport.replacements = {"jwks": lambda _: httpx.Response(503)}
    assert await followed.step()
    assert followed.has_list(A, B, C)


async def test_failures_are_retried_with_growing_delays(
    followed: FollowedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 6:
            raise Enough

    monkeypatch.setattr(follower, "time", SimpleNamespace(sleep=sleep))
    followed.transport.replacements = {"delta": lambda _: httpx.Response(503)}
    with pytest.raises(Enough):
        await asyncio.to_thread(followed.consumer.run)
    assert slept == [1, 2, 5, 10, 30, 30]


async def test_a_proxy_that_gives_up_earlier_than_the_wait_is_waited_for_half_as_long(
    followed: FollowedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(_: float) -> None:
        raise Enough

    monkeypatch.setattr(follower, "time", SimpleNamespace(sleep=sleep))
    followed.transport.replacements = {"delta": lambda _: httpx.Response(504)}
    with pytest.raises(Enough):
        await asyncio.to_thread(followed.consumer.run)
    assert followed.transport.preferences == [f"wait={seconds}" for seconds in (25, 12, 6, 3, 1)]
    assert followed.has_list(A, B)


async def test_a_feed_below_a_path_is_followed_through_its_proxy_and_beside_it(followed: FollowedFeed) -> None:
    found = await followed.manifest()
    for prefix in ("/register", ""):
        moved = {**found["snapshot"], "url": f"https://public.example/register{FEED}/snapshots/1"}
        await followed.forge_manifest(snapshot=moved)
        followed.out.with_name("list.txt.feed").unlink()
        followed.transport.prefix = prefix
        followed.restart(base_url=f"{followed.url}{prefix}")
        assert await followed.step()
        assert followed.has_list(A, B)
