"""The follower keeps its last valid list when a response is forged, expired, replayed or altered."""

import asyncio
import json

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from app.allowlist.serving.manifest import ManifestRefused
from app.core.auth.signatures import ALGORITHM
from app.follower.feed_client import FeedRefused
from app.partners import store
from tests.support import feed
from tests.support.feed import published
from tests.support.followed_feed import A, B, C, FollowedFeed


async def test_a_manifest_under_a_wrong_signature_changes_nothing(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    key = OKPKey.generate_key("Ed25519", {"kid": "mine"})
    payload = json.dumps(await followed.manifest()).encode()
    foreign = jws.serialize_compact(
        {"alg": ALGORITHM, "kid": "mine", "typ": "allowlist-manifest"},
        payload,
        key,
        algorithms=[ALGORITHM],
    ).encode()
    for alter in (lambda _: foreign, lambda body: body[:-8] + b"AAAAAAAA", lambda body: body[: len(body) // 2]):
        followed.transport.replacements = {"manifest": alter}
        with pytest.raises(ManifestRefused):
            await followed.step()
    followed.transport.replacements = {"jwks": lambda _: b"<html>Log in to this network</html>"}
    followed.restart()
    with pytest.raises(FeedRefused):
        await followed.step()
    assert followed.has_list(A, B)


async def test_a_manifest_that_has_expired_or_is_of_an_empty_list_changes_nothing(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    await followed.forge_manifest(expires="2026-01-01T00:00:00Z")
    with pytest.raises(ManifestRefused, match="expired"):
        await followed.step()
    await followed.forge_manifest(count=0, digest=feed.digest_of([]))
    with pytest.raises(FeedRefused, match="empty"):
        await followed.step()
    assert followed.has_list(A, B)


async def test_an_older_manifest_that_is_replayed_changes_nothing(followed: FollowedFeed) -> None:
    older = (await followed.caller.get(f"{feed.FEED}/manifest")).content
    await published(followed.service, C)
    assert await followed.step()
    followed.transport.replacements = {"manifest": lambda _: older}
    for _ in range(2):
        with pytest.raises(FeedRefused, match="replay"):
            await followed.step()
        assert followed.has_list(A, B, C)
        followed.restart()


async def test_a_digest_that_neither_deltas_nor_the_snapshot_lead_to_changes_nothing(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    await followed.forge_manifest(digest="0" * 64)
    with pytest.raises(FeedRefused, match="digest"):
        await followed.step()
    assert followed.has_list(A, B)


async def test_a_snapshot_that_was_altered_is_not_taken(followed: FollowedFeed) -> None:
    await feed.new_session(followed.service)
    await followed.service.publish()
    empty = b'{"networks":[]}'
    for alter in (
        lambda body: body.replace(A.encode(), C.encode()),
        lambda body: body[:-20],
        lambda _: empty,
        lambda _: b"",
    ):
        followed.transport.replacements = {"snapshots": alter}
        with pytest.raises(FeedRefused):
            await followed.step()
        assert followed.has_list(A, B)
    followed.restart(out=followed.out.with_name("new.txt"))
    with pytest.raises(FeedRefused):
        await followed.step()
    assert followed.has_list(A, B)


async def test_a_manifest_by_a_revoked_key_is_refused_within_seconds(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    leaked = (await followed.caller.get(f"{feed.FEED}/manifest")).content
    async with followed.service.database.transaction() as tx:
        await store.revoke_signing_key(tx, str(jws.extract_compact(leaked).headers()["kid"]))
    await asyncio.sleep(1)  # the key set is at most so old
    followed.transport.replacements = {"manifest": lambda _: leaked}
    with pytest.raises(ManifestRefused):
        await followed.step()
    assert followed.has_list(A, B)
