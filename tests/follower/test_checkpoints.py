"""The follower keeps the audit checkpoints of manifests, and reports one that is inconsistent."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from joserfc.jwk import OKPKey

from app.audit import checkpoint
from app.partners.rules import PartnerKind
from tests.support import feed
from tests.support.audit_trees import sequence_events
from tests.support.feed import published
from tests.support.followed_feed import KEYS, A, B, C, D, FollowedFeed, follow_list
from tests.support.service import Service


async def test_a_consumer_keeps_the_checkpoints_that_it_was_shown_once_they_are_proven(
    followed: FollowedFeed, tmp_path: Path
) -> None:
    sizes = []
    for network in (C, D):
        sizes.append(await sequence_events(followed.service))
        await published(followed.service, network)
        assert await followed.step()
        assert followed.consumer.inconsistency is None
    assert followed.transport.requested[-2:] == ["/oauth/token", "/v1/audit/consistency"]
    kept = [json.loads(line) for line in (tmp_path / "list.txt.checkpoints").read_text().splitlines()]
    assert [(each["size"], each["fits"]) for each in kept] == [(size, True) for size in sizes]
    newest = (await followed.caller.get("/v1/audit/checkpoint")).json()
    assert {name: kept[-1][name] for name in ("size", "root", "signed")} == {
        name: newest[name] for name in ("size", "root", "signed")
    }
    await followed.step()
    assert followed.transport.requested == ["manifest", KEYS]


async def test_a_consumer_that_may_not_ask_for_proofs_keeps_the_checkpoints_all_the_same(
    service: Service, tmp_path: Path
) -> None:
    reading = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl", scopes=["allowlist:read"])
    async with follow_list(service, reading, tmp_path / "list.txt", A) as followed:
        for network in (B, C):
            await sequence_events(service)
            await published(service, network)
            assert await followed.step()
        assert followed.consumer.inconsistency is None
        kept = (tmp_path / "list.txt.checkpoints").read_text().splitlines()
        assert [json.loads(line)["fits"] for line in kept] == [True, None]


async def test_a_forged_checkpoint_is_reported_and_the_list_is_kept(followed: FollowedFeed) -> None:
    await published(followed.service, C)
    key = OKPKey.generate_key("Ed25519", {"kid": "mine", "alg": "Ed25519"})
    forged = checkpoint.sign("https://x", 3, b"\0" * 32, datetime.now(UTC), key)
    for wrong in (forged, "no JWS", (await followed.caller.get(f"{feed.FEED}/manifest")).text):
        await followed.forge_manifest(audit_checkpoint=wrong)
        await followed.step()
        assert followed.consumer.inconsistency
        assert followed.has_list(A, B, C)
    await followed.forge_manifest(audit_checkpoint=None)


async def test_a_rewritten_log_is_reported_and_the_list_is_kept(followed: FollowedFeed, tmp_path: Path) -> None:
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
    login = followed.caller.credentials
    command = [sys.executable, "-m", "app.cli", "follow", "--once", "--out", str(out), "--url", followed.url]
    command += ["--client-id", login.client_id, "--client-secret", login.client_secret]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (done.returncode, "rewritten" in done.stderr) == (3, True)
