"""The signed manifest, and the artefacts whose SHA-256 it lists."""

import asyncio
import base64
import gzip
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry

from app.allowlist.serving import manifest
from app.allowlist.serving.manifest import ManifestRefused, ManifestSigner, verify_manifest
from app.audit.store import newest_signed
from app.core.auth.signatures import ALGORITHM
from app.partners import service as partners
from app.partners import store
from tests.support import feed
from tests.support.audit_trees import sequence_events
from tests.support.feed import FEED, Link, addresses, published, withdrawn
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service
from tests.support.statements import record_statements

A, B, C = addresses(3)


async def keys(service: Service) -> KeySet:
    return KeySet.import_key_set((await service.http.get("/.well-known/jwks.json")).json())


async def read(service: Service, caller: Caller) -> dict[str, Any]:
    """The manifest as a client verifies it, with the published keys."""
    answer = await caller.get(f"{FEED}/manifest")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jose"
    found = jws.deserialize_compact(answer.text, await keys(service), algorithms=[ALGORITHM])
    payload: dict[str, Any] = httpx.Response(200, content=found.payload).json()
    return payload


def there(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


async def test_without_a_publication_there_is_nothing_to_sign(service: Service, nayatel: Caller) -> None:
    assert (await nayatel.get(f"{FEED}/manifest")).status_code == 503


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/jose"),
        ("*/*", "application/jose"),
        ("application/jose", "application/jose"),
        ("text/html, */*;q=0.1", "application/jose"),
        ("application/octet-stream", "application/octet-stream"),
    ],
)
async def test_a_program_that_asks_for_bytes_gets_the_same_manifest_as_bytes(
    service: Service, nayatel: Caller, accept: str, media_type: str
) -> None:
    await published(service, A)
    answer = await nayatel.get(f"{FEED}/manifest", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert "Accept" in answer.headers["vary"]
    jws.deserialize_compact(answer.text, await keys(service), algorithms=[ALGORITHM])


async def test_a_manifest_that_was_altered_or_signed_by_another_does_not_verify(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    text = (await nayatel.get(f"{FEED}/manifest")).text
    head, payload, signature = text.split(".")
    altered = base64.urlsafe_b64encode(base64.urlsafe_b64decode(payload + "==").replace(b'"serial":1', b'"serial":2'))
    published_keys = await keys(service)
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(
            f"{head}.{altered.decode().rstrip('=')}.{signature}", published_keys, algorithms=[ALGORITHM]
        )
    another = KeySet([OKPKey.generate_key("Ed25519", {"kid": str(next(iter(published_keys.keys)).kid)})])
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(text, another, algorithms=[ALGORITHM])


async def test_other_content_signed_by_the_feed_is_refused_as_a_manifest(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    text = (await nayatel.get(f"{FEED}/manifest")).text
    good = verify_manifest(text, await keys(service), datetime.now(UTC))
    async with service.database.transaction(read_only=True) as tx:
        key = await store.signing_key(tx)
    as_token = jws.serialize_compact(
        {"alg": ALGORITHM, "kid": key.kid, "typ": "at+jwt"},
        good.model_dump_json().encode(),
        key,
        algorithms=[ALGORITHM],
    )
    for wrong in (as_token, nayatel.token, "", "a.b.c", await feed.signed(service, {"serial": 1})):
        with pytest.raises(ManifestRefused):
            verify_manifest(wrong, await keys(service), datetime.now(UTC))
    with pytest.raises(ManifestRefused, match="expired"):
        verify_manifest(text, await keys(service), good.expires)


async def test_a_manifest_describes_the_newest_list_and_is_valid_for_24_hours(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A, B)
    await published(service, C)
    listed = await feed.listed(nayatel)
    said = await read(service, nayatel)
    assert {name: said[name] for name in ("session", "serial", "count", "digest")} == {
        name: listed[name] for name in ("session", "serial", "count", "digest")
    }
    assert said["issuer"] == service.settings.public_url
    issued, expires = (datetime.fromisoformat(said[name]) for name in ("issued", "expires"))
    assert expires - issued == timedelta(hours=24)
    assert abs(datetime.now(UTC) - issued) < timedelta(minutes=1)


async def test_every_artefact_of_the_manifest_has_its_sha256(service: Service, nayatel: Caller) -> None:
    await published(service, A, B)
    await published(service, C)
    await withdrawn(service, [A])
    await service.publish()
    said = await read(service, nayatel)
    assert [each["serial"] for each in said["deltas"]] == [1, 2, 3]
    for piece in (said["snapshot"], *said["deltas"]):
        assert piece["url"].startswith(f"{service.settings.public_url}{FEED}/")
        answer = await nayatel.get(there(piece["url"]))
        assert hashlib.sha256(answer.content).hexdigest() == piece["sha256"]
    another = Service(service.settings)
    await another.app.state.reader.refresh()
    again = await read(another, Caller(another, nayatel.credentials, nayatel.token))
    await another.close()
    assert [again["snapshot"], *again["deltas"]] == [said["snapshot"], *said["deltas"]]


async def test_artefacts_are_immutable_and_have_a_digest_header(service: Service, nayatel: Caller) -> None:
    await published(service, A, B)
    await published(service, C)
    for path in (f"{FEED}/snapshots/1", f"{FEED}/snapshots/2?format=text", f"{FEED}/deltas/2"):
        plain = await nayatel.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert "immutable" in plain.headers["cache-control"]
        assert "max-age=31536000" in plain.headers["cache-control"]
        digest = base64.b64encode(hashlib.sha256(plain.content).digest()).decode()
        assert plain.headers["repr-digest"] == f"sha-256=:{digest}:"


async def test_a_snapshot_is_compressed_on_request_and_gets_304_by_its_tag(service: Service, nayatel: Caller) -> None:
    await published(service, *addresses(300))
    path = f"{FEED}/snapshots/1?format=text"
    plain = await nayatel.get(path, headers={"Accept-Encoding": "identity"})
    async with service.http.stream(
        "GET", path, headers={"Authorization": f"Bearer {nayatel.token}", "Accept-Encoding": "gzip"}
    ) as packed:
        raw = b"".join([chunk async for chunk in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["repr-digest"] == plain.headers["repr-digest"]
    for answer in (plain, packed):
        tags = {"If-None-Match": answer.headers["etag"], "Accept-Encoding": answer.request.headers["accept-encoding"]}
        held = await nayatel.get(path, headers=tags)
        assert (held.status_code, held.content) == (304, b"")
        assert "immutable" in held.headers["cache-control"]


async def test_after_a_rotation_the_next_manifest_is_signed_by_the_new_key_and_the_old_one_still_verifies(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    before = (await nayatel.get(f"{FEED}/manifest")).text
    async with service.database.transaction() as tx:
        kid = await store.rotate_signing_key(tx)
    await service.let_keys_settle()
    await published(service, B)
    after = (await nayatel.get(f"{FEED}/manifest")).text
    both = await keys(service)
    assert jws.extract_compact(after.encode()).headers()["kid"] == kid
    assert jws.extract_compact(before.encode()).headers()["kid"] != kid
    assert [verify_manifest(each, both, datetime.now(UTC)).serial for each in (before, after)] == [1, 2]


async def test_once_a_key_is_revoked_the_manifest_is_signed_by_another_although_the_serial_is_the_same(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    before = (await nayatel.get(f"{FEED}/manifest")).text
    revoked = str(jws.extract_compact(before.encode()).headers()["kid"])
    async with service.database.transaction() as tx:
        new = await partners.revoke_signing_key(tx, revoked)
    await service.app.state.revocations.refresh()
    caller = Caller(service, nayatel.credentials, await service.token(nayatel.credentials))
    after = (await caller.get(f"{FEED}/manifest")).text
    assert jws.extract_compact(after.encode()).headers()["kid"] == new
    trusted = await keys(service)
    assert verify_manifest(after, trusted, datetime.now(UTC)).serial == 1
    with pytest.raises(ManifestRefused):
        verify_manifest(before, trusted, datetime.now(UTC))


async def test_a_checkpoint_by_a_revoked_key_is_left_out_until_a_worker_has_signed_it_again(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await published(service, A)
    await sequence_events(service)
    before = (await nayatel.get(f"{FEED}/manifest")).text
    kid = str(jws.extract_compact(before.encode()).headers()["kid"])
    assert json.loads(jws.extract_compact(before.encode()).payload)["audit_checkpoint"]
    async with service.database.transaction() as tx:
        new = await partners.revoke_signing_key(tx, kid)
    await service.app.state.revocations.refresh()
    caller = Caller(service, nayatel.credentials, await service.token(nayatel.credentials))
    between = (await caller.get(f"{FEED}/manifest")).text
    assert json.loads(jws.extract_compact(between.encode()).payload)["audit_checkpoint"] is None
    await sequence_events(service)
    monkeypatch.setattr(manifest, "CHECKPOINT_RENEWAL_SECONDS", 0.0)  # a second has passed
    after = json.loads(jws.extract_compact((await caller.get(f"{FEED}/manifest")).text.encode()).payload)
    assert jws.extract_compact(after["audit_checkpoint"].encode()).headers()["kid"] == new


async def test_a_manifest_is_signed_again_long_before_it_expires(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await published(service, A)
    first = (await nayatel.get(f"{FEED}/manifest")).text
    assert (await nayatel.get(f"{FEED}/manifest")).text == first
    assert timedelta(seconds=manifest.RENEWAL_SECONDS) <= manifest.VALIDITY / 12
    monkeypatch.setattr(manifest, "RENEWAL_SECONDS", 0.0)
    assert (await nayatel.get(f"{FEED}/manifest")).text != first


async def test_while_the_database_is_down_manifests_go_on_being_signed(
    service: Service, nayatel: Caller, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await published(service, A)
    link = Link(service.settings.database_url, tmp_path_factory.mktemp("link"))
    await link.mend()
    behind = Service(settings_for(link.url))
    caller = Caller(behind, nayatel.credentials, nayatel.token)
    await behind.app.state.reader.refresh()
    first = (await caller.get(f"{FEED}/manifest")).text
    monkeypatch.setattr(manifest, "RENEWAL_SECONDS", 0.0)
    await link.cut()
    answer = await caller.get(f"{FEED}/manifest")
    assert answer.status_code == 200, answer.text
    assert answer.text != first
    assert verify_manifest(answer.text, await keys(service), datetime.now(UTC)).serial == 1

    state = behind.app.state
    unsigned = ManifestSigner(behind.database, state.reader, state.history, "http://x", newest_signed, lambda _: False)
    behind.app.state.manifest = unsigned
    assert (await caller.get(f"{FEED}/manifest")).status_code == 503
    await behind.close()


async def test_no_more_bytes_of_deltas_are_listed_than_the_list_has(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MIN_DELTA_BYTES", 0)
    await published(service, *addresses(100, start=1))
    await feed.long_history(service, 2, 40, width=100)
    await service.app.state.reader.refresh()
    said = await read(service, nayatel)
    whole = len((await nayatel.get(there(said["snapshot"]["url"]))).content)
    serials = [each["serial"] for each in said["deltas"]]
    assert serials == list(range(serials[0], 41))
    sizes = [len((await nayatel.get(there(each["url"]))).content) for each in said["deltas"]]
    older = len((await nayatel.get(f"{FEED}/deltas/{serials[0] - 1}")).content)
    assert sum(sizes) <= whole < sum(sizes) + older


async def test_deltas_of_a_tiny_list_are_listed_up_to_a_minimum_size(service: Service, nayatel: Caller) -> None:
    await published(service, *addresses(1, start=1))
    await feed.long_history(service, 2, 20, width=1)
    await service.app.state.reader.refresh()
    assert [each["serial"] for each in (await read(service, nayatel))["deltas"]] == list(range(1, 21))


async def test_a_manifest_stays_within_what_libraries_read_however_many_publications_there_were(
    database_url: str,
) -> None:
    service = Service(settings_for(database_url, public_url=f"https://{'register.' * 20}example.pk"))
    caller = await service.officer()
    await published(service, *addresses(2_000, start=1))
    await feed.long_history(service, 2, 1_500, width=2_000)
    await service.app.state.reader.refresh()
    answer = await caller.get(f"{FEED}/manifest")
    assert len(answer.content) < 100_000 < JWSRegistry.max_payload_length
    said = verify_manifest(answer.text, await keys(service), datetime.now(UTC))
    assert [each.serial for each in said.deltas] == list(range(said.deltas[0].serial, 1_501))
    assert len(said.deltas) > 100
    await service.close()


async def test_a_manifest_carries_the_newest_checkpoint_of_the_event_log(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await published(service, A)
    assert (await read(service, nayatel))["audit_checkpoint"] is None
    await sequence_events(service)
    monkeypatch.setattr(manifest, "RENEWAL_SECONDS", 0.0)
    newest = (await nayatel.get("/v1/audit/checkpoint")).json()["signed"]
    assert (await read(service, nayatel))["audit_checkpoint"] == newest


async def test_concurrent_requests_for_the_manifest_sign_it_once_and_later_ones_need_no_statement(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    async with record_statements(service.app.state.database) as sent:
        answers = await asyncio.gather(*(nayatel.get(f"{FEED}/manifest") for _ in range(10)))
        made = len(sent)
        answers += [await nayatel.get(f"{FEED}/manifest") for _ in range(5)]
    assert len({each.text for each in answers}) == 1
    assert len([each for each in sent if "audit_checkpoints" in each]) == 1
    assert len(sent) == made
