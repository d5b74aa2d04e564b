"""The reference consumer: in step with the feed, or with its last good list, whatever is done on the way."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from app import follower as following
from app.allowlist.serving.manifest import ManifestRefused
from app.allowlist.serving.reader import SnapshotReader
from app.audit import checkpoint
from app.core.auth.bearer import ALGORITHM
from app.follower import FeedRefused
from app.partners import store
from app.partners.rules import PartnerKind
from tests.support import feed
from tests.support.audit_trees import sequence_events
from tests.support.feed import Followed, Tampering, addresses, published
from tests.support.service import Caller, Service

A, B, C, D = addresses(4)
KEYS = "/.well-known/jwks.json"


class Enough(Exception):
    """The consumer has been watched long enough."""


SERIALS, WIDTH = 5_000, 50


@asynccontextmanager
async def following_a_list(service: Service, caller: Caller, out: Path, *networks: str) -> AsyncIterator[Followed]:
    """A feed of these networks at serial 1, and a consumer that is in step with it."""
    await published(service, *networks)
    async with feed.serving(service.app) as url:
        made = Followed(service, caller, Tampering(), url, out, None)  # type: ignore[arg-type]  # next
        made.again()
        assert await made.step()
        assert made.holds(*networks)
        yield made
        made.way.close()


@pytest.fixture
async def followed(service: Service, nayatel: Caller, tmp_path: Path) -> AsyncIterator[Followed]:
    """A feed of A and B at serial 1, and a consumer that is in step with it."""
    async with following_a_list(service, nayatel, tmp_path / "list.txt", A, B) as made:
        yield made


async def test_a_manifest_under_a_wrong_signature_changes_nothing(followed: Followed) -> None:
    await published(followed.service, C)
    key = OKPKey.generate_key("Ed25519", {"kid": "mine"})
    payload = json.dumps(await followed.manifest()).encode()
    foreign = jws.serialize_compact(
        {"alg": ALGORITHM, "kid": "mine", "typ": "allowlist-manifest"}, payload, key, algorithms=[ALGORITHM]
    ).encode()
    for altered in (lambda _: foreign, lambda body: body[:-8] + b"AAAAAAAA", lambda body: body[: len(body) // 2]):
        followed.way.instead = {"manifest": altered}
        with pytest.raises(ManifestRefused):
            await followed.step()
    followed.way.instead = {"jwks": lambda _: b"<html>Log in to this network</html>"}
    followed.again()
    with pytest.raises(FeedRefused):
        await followed.step()
    assert followed.holds(A, B)


async def test_a_manifest_that_has_expired_or_is_of_an_empty_list_changes_nothing(followed: Followed) -> None:
    await published(followed.service, C)
    await followed.says(expires="2026-01-01T00:00:00Z")
    with pytest.raises(ManifestRefused, match="expired"):
        await followed.step()
    await followed.says(count=0, digest=feed.digest_of([]))
    with pytest.raises(FeedRefused, match="empty"):
        await followed.step()
    assert followed.holds(A, B)


async def test_an_older_manifest_that_is_replayed_changes_nothing(followed: Followed) -> None:
    older = (await followed.caller.get(f"{feed.FEED}/manifest")).content
    await published(followed.service, C)
    assert await followed.step()
    followed.way.instead = {"manifest": lambda _: older}
    for _ in range(2):
        with pytest.raises(FeedRefused, match="replay"):
            await followed.step()
        assert followed.holds(A, B, C)
        followed.again()


async def test_a_digest_that_neither_deltas_nor_the_snapshot_lead_to_changes_nothing(followed: Followed) -> None:
    await published(followed.service, C)
    await followed.says(digest="0" * 64)
    with pytest.raises(FeedRefused, match="digest"):
        await followed.step()
    assert followed.holds(A, B)


async def test_a_snapshot_that_was_altered_is_not_taken(followed: Followed) -> None:
    await feed.new_session(followed.service)
    await followed.service.publish()
    empty = b'{"networks":[]}'
    for altered in (
        lambda body: body.replace(A.encode(), C.encode()),
        lambda body: body[:-20],
        lambda _: empty,
        lambda _: b"",
    ):
        followed.way.instead = {"snapshots": altered}
        with pytest.raises(FeedRefused):
            await followed.step()
        assert followed.holds(A, B)
    followed.again(out=followed.out.with_name("new.txt"))
    with pytest.raises(FeedRefused):
        await followed.step()
    assert followed.holds(A, B)


async def test_half_a_delta_is_not_applied_and_the_whole_list_is_taken(followed: Followed) -> None:
    await published(followed.service, C, D)
    followed.way.instead = {"deltas/2": lambda body: body.replace(f',"{D}"'.encode(), b"")}
    assert await followed.step()
    assert [path.partition("/")[0] for path in followed.way.asked] == ["manifest", "", "deltas", "snapshots"]
    assert followed.holds(A, B, C, D)


async def test_a_gap_in_the_deltas_leads_to_the_whole_list(followed: Followed) -> None:
    await published(followed.service, C)
    await published(followed.service, D)
    said = await followed.manifest()
    await followed.says(deltas=said["deltas"][2:])
    assert await followed.step()
    assert followed.way.asked == ["manifest", KEYS, "snapshots/3"]
    assert followed.holds(A, B, C, D)


async def test_deltas_are_applied_one_by_one_without_the_whole_list(followed: Followed) -> None:
    await published(followed.service, C)
    await feed.withdrawn(followed.service, [A])
    await followed.service.publish()
    assert await followed.step()
    assert followed.way.asked == ["manifest", KEYS, "deltas/2", "deltas/3"]
    assert followed.holds(B, C)
    assert not await followed.step()
    assert followed.way.asked == ["manifest", KEYS]


async def test_another_session_leads_to_the_whole_list_even_at_the_same_serial(followed: Followed) -> None:
    session = await feed.new_session(followed.service)
    await followed.service.publish()
    assert await followed.step()
    assert followed.way.asked == ["manifest", KEYS, "snapshots/1"]
    assert followed.consumer.snapshot
    assert followed.consumer.snapshot.session == session


async def test_a_feed_that_fails_or_is_out_of_reach_changes_nothing(followed: Followed) -> None:
    await published(followed.service, C)
    down = httpx.Response(503)
    for part in ("manifest", "a"):
        followed.way.instead = {part: lambda _: down}
        with pytest.raises(httpx.HTTPStatusError):
            await followed.step()
    followed.way.instead = {"deltas": lambda _: down, "snapshots": lambda _: down}
    with pytest.raises(httpx.HTTPStatusError):
        await followed.step()
    followed.again(base_url="http://127.0.0.1:9")
    with pytest.raises(httpx.TransportError):
        await followed.step()
    assert followed.holds(A, B)
    followed.again()
    followed.way.instead = {"deltas": lambda _: httpx.Response(410)}
    assert await followed.step()
    assert followed.holds(A, B, C)


async def test_a_consumer_goes_on_when_the_signing_key_is_rotated(followed: Followed) -> None:
    async with followed.service.database.transaction() as tx:
        await store.rotate_signing_key(tx)
    await followed.service.let_keys_settle()
    await asyncio.sleep(1)  # the key set is at most so old
    await published(followed.service, C)
    assert await followed.step()
    assert followed.way.asked == ["manifest", KEYS, "deltas/2"]


async def test_a_manifest_by_a_revoked_key_is_not_taken_from_seconds_later_on(followed: Followed) -> None:
    await published(followed.service, C)
    leaked = (await followed.caller.get(f"{feed.FEED}/manifest")).content
    async with followed.service.database.transaction() as tx:
        await store.revoke_signing_key(tx, str(jws.extract_compact(leaked).headers()["kid"]))
    await asyncio.sleep(1)  # the key set is at most so old
    followed.way.instead = {"manifest": lambda _: leaked}
    with pytest.raises(ManifestRefused):
        await followed.step()
    assert followed.holds(A, B)


async def test_while_the_keys_cannot_be_asked_for_those_that_are_known_go_on(followed: Followed) -> None:
    await published(followed.service, C)
    followed.way.instead = {"jwks": lambda _: httpx.Response(503)}
    assert await followed.step()
    assert followed.holds(A, B, C)


async def test_what_a_restart_finds_damaged_is_made_whole(followed: Followed) -> None:
    state = followed.out.with_name("list.txt.feed")
    whole = state.read_bytes()
    for damaged in (b"", whole[:-30], whole.replace(A.encode(), C.encode()), b'{"networks":[null]}'):
        state.write_bytes(damaged)
        followed.again()
        assert await followed.step()
        assert followed.way.asked[-1] == "snapshots/1"
        assert followed.holds(A, B)
    followed.out.unlink()
    assert await followed.step()
    followed.out.write_text(f"{A}\n")
    assert await followed.step()
    assert followed.holds(A, B)
    followed.again(format="nginx")
    assert await followed.step()
    assert f"{B} 1;\n" in followed.out.read_text()
    assert not await followed.step()


async def test_the_command_runs_after_each_change_and_again_when_it_failed(followed: Followed, tmp_path: Path) -> None:
    log, ready = tmp_path / "log", tmp_path / "ready"
    script = f'echo "$ALLOWLIST_SERIAL $(wc -l < "$ALLOWLIST_FILE")" >> {log}; test -e {ready}'
    followed.again(command=f"sh -c '{script}'")
    assert not await followed.step()
    assert not log.exists()
    await published(followed.service, C)
    assert await followed.step()
    assert not await followed.step()
    ready.touch()
    for _ in range(3):
        assert not await followed.step()
    assert log.read_text().splitlines() == ["2 3"] * 3
    followed.again(command="/nowhere/such-a-command")
    await published(followed.service, D)
    assert await followed.step()
    assert followed.out.read_text().splitlines() == [A, B, C, D]


async def test_whoever_reads_the_file_at_any_moment_reads_a_whole_list(followed: Followed) -> None:
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


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_consumer_that_keeps_up_follows_5000_serials_by_their_deltas(
    service: Service, nayatel: Caller, tmp_path: Path
) -> None:
    reader, at_once = service.app.state.reader, 100
    async with following_a_list(service, nayatel, tmp_path / "list.txt", *addresses(WIDTH, start=1)) as followed:
        for last in range(1 + at_once, SERIALS + 2, at_once):
            await feed.long_history(service, last - at_once + 1, last, WIDTH)
            await reader.refresh()
            assert await followed.step()
            assert followed.holds(*addresses(WIDTH, start=last))
            assert followed.way.asked == [
                "manifest",
                KEYS,
                *(f"deltas/{n}" for n in range(last - at_once + 1, last + 1)),
            ]
        assert len(list(reader.deltas)) == service.settings.deltas_kept
        assert len(reader.times) <= WIDTH + 1_000


async def test_a_consumer_that_was_away_for_5000_serials_takes_the_whole_list(
    service: Service, nayatel: Caller, tmp_path: Path
) -> None:
    async with following_a_list(service, nayatel, tmp_path / "list.txt", *addresses(WIDTH, start=1)) as followed:
        await feed.long_history(service, 2, SERIALS, WIDTH)
        restarted = SnapshotReader(service.app.state.database, service.settings)
        for reader in (service.app.state.reader, restarted):
            await reader.refresh()
            assert len(list(reader.deltas)) == service.settings.deltas_kept
            assert len(reader.times) <= WIDTH + service.settings.deltas_kept
        assert await followed.step()
        assert followed.way.asked == ["manifest", KEYS, f"snapshots/{SERIALS}"]
        assert followed.holds(*addresses(WIDTH, start=SERIALS))


async def test_a_consumer_keeps_the_checkpoints_that_it_was_shown_once_they_are_proven(
    followed: Followed, tmp_path: Path
) -> None:
    sizes = []
    for network in (C, D):
        sizes.append(await sequence_events(followed.service))
        await published(followed.service, network)
        assert await followed.step()
        assert followed.consumer.inconsistency is None
    assert followed.way.asked[-2:] == ["/oauth/token", "/v1/audit/consistency"]
    kept = [json.loads(line) for line in (tmp_path / "list.txt.checkpoints").read_text().splitlines()]
    assert [(each["size"], each["fits"]) for each in kept] == [(size, True) for size in sizes]
    newest = (await followed.caller.get("/v1/audit/checkpoint")).json()
    assert {name: kept[-1][name] for name in ("size", "root", "signed")} == {
        name: newest[name] for name in ("size", "root", "signed")
    }
    await followed.step()
    assert followed.way.asked == ["manifest", KEYS]


async def test_a_consumer_that_may_not_ask_for_proofs_keeps_the_checkpoints_all_the_same(
    service: Service, tmp_path: Path
) -> None:
    reading = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl", scopes=["allowlist:read"])
    async with following_a_list(service, reading, tmp_path / "list.txt", A) as followed:
        for network in (B, C):
            await sequence_events(service)
            await published(service, network)
            assert await followed.step()
        assert followed.consumer.inconsistency is None
        kept = (tmp_path / "list.txt.checkpoints").read_text().splitlines()
        assert [json.loads(line)["fits"] for line in kept] == [True, None]


async def test_a_checkpoint_that_is_not_the_services_own_is_told_and_the_list_is_kept(followed: Followed) -> None:
    await published(followed.service, C)
    key = OKPKey.generate_key("Ed25519", {"kid": "mine"})
    forged = checkpoint.sign("https://x", 3, b"\0" * 32, datetime.now(UTC), key)
    for wrong in (forged, "no JWS", (await followed.caller.get(f"{feed.FEED}/manifest")).text):
        await followed.says(audit_checkpoint=wrong)
        await followed.step()
        assert followed.consumer.inconsistency
        assert followed.holds(A, B, C)
    await followed.says(audit_checkpoint=None)


async def test_a_log_that_was_rewritten_is_told_and_the_list_is_kept(followed: Followed, tmp_path: Path) -> None:
    service = followed.service
    await sequence_events(service)
    await published(service, C)
    await followed.step()
    await feed.execute(
        service,
        "SET session_replication_role = replica; DELETE FROM audit_leaves; "
        "DELETE FROM audit_nodes; DELETE FROM audit_checkpoints; DELETE FROM events WHERE name LIKE 'client%'",
    )
    await sequence_events(service)
    await published(service, D)
    assert await followed.step()
    assert "rewritten" in (followed.consumer.inconsistency or "")
    out = followed.out
    assert out.read_text().splitlines() == [A, B, C, D]
    who = followed.caller.credentials
    command = [sys.executable, "-m", "app.cli", "follow", "--once", "--out", str(out), "--url", followed.url]
    command += ["--client-id", who.client_id, "--client-secret", who.client_secret]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (done.returncode, "rewritten" in done.stderr) == (3, True)


async def test_failures_are_tried_again_ever_more_slowly(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 6:
            raise Enough

    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(following, "WAIT_SECONDS", 0)
    followed.way.instead = {"delta": lambda _: httpx.Response(503)}
    with pytest.raises(Enough):
        await asyncio.to_thread(followed.consumer.run)
    assert slept == [1, 2, 5, 10, 30, 30]


async def test_the_command_line_comes_into_step_once_or_says_why_not(followed: Followed, tmp_path: Path) -> None:
    who, out = followed.caller.credentials, tmp_path / "set.nft"
    command = [sys.executable, "-m", "app.cli", "follow", "--once", "--out", str(out), "--format", "nftables"]
    command += ["--url", followed.url, "--client-id", who.client_id, "--client-secret"]

    async def run(secret: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(subprocess.run, [*command, secret], capture_output=True, text=True, check=False)

    refused = await run("wrong")
    assert refused.returncode == 1
    assert "The last good list stays" in refused.stderr
    assert not out.exists()
    done = await run(who.client_secret)
    assert done.returncode == 0, done.stderr
    assert out.read_text() == (await followed.caller.get(f"{feed.FEED}?format=nftables")).text
    await published(followed.service, C)
    assert (await run("wrong")).returncode == 1
    assert C not in out.read_text()
