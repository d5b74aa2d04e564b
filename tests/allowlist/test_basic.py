"""HTTP Basic for firewalls: accepted on the feed only, and an outage of the service is never a refusal."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.allowlist.serving import reader
from app.core.validation.preconditions import ANY_VERSION
from app.partners import service as partners
from app.partners import store
from app.partners.login import basic
from app.partners.login.token_endpoint import sign_access_token
from app.partners.rules import PartnerKind
from tests.support.feed import FEED, Link, addresses, published
from tests.support.postgres import settings_for
from tests.support.service import BASE_URL, Caller, Credentials, Service

A = addresses(1)[0]
ROUTES = (
    "",
    "/manifest",
    "/snapshots/1",
    "/deltas/1",
    "/publications",
    "/publications/1",
    "/check?address=154.192.0.0",
)


async def get(service: Service, path: str, client_id: str, secret: str, method: str = "GET") -> httpx.Response:
    return await service.http.request(method, path, auth=(client_id, secret))


async def as_client(service: Service, path: str, who: Credentials) -> httpx.Response:
    return await get(service, path, who.client_id, who.client_secret)


@pytest.fixture
async def link(service: Service, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Link]:
    """A link to the test's database that can be cut."""
    link = Link(service.settings.database_url, tmp_path_factory.mktemp("link"))
    await link.mend()
    yield link
    await link.cut()


@pytest.fixture
async def behind(service: Service, link: Link) -> AsyncIterator[Service]:
    """A service behind that link, with a list."""
    await published(service, A)
    behind = Service(settings_for(link.url))
    await behind.app.state.reader.refresh()
    yield behind
    await behind.close()


async def test_a_wrong_secret_an_unknown_client_and_broken_credentials_are_refused_with_a_challenge(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    known = nayatel.credentials
    wrong = [
        await get(service, FEED, known.client_id, "wrong"),
        await get(service, FEED, known.client_id, ""),
        await get(service, FEED, "nobody.123", known.client_secret),
        await get(service, FEED, "اہلکار\n", "x"),
        *[
            await service.http.get(FEED, headers={"Authorization": value})
            for value in ("Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic //8=", "Digest x", "")
        ],
    ]
    for answer in wrong:
        assert answer.status_code == 401, answer.request.headers
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


async def test_a_client_without_the_scope_is_refused(service: Service) -> None:
    narrow = await service.credentials("pta", PartnerKind.REGULATOR, client="desk", scopes=["reviews:read"])
    answer = await as_client(service, FEED, narrow)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_basic_opens_nothing_but_the_feed(service: Service, officer: Caller) -> None:
    await published(service, A)
    known = officer.credentials
    for path in ("/v1/registrations", "/v1/applicants", "/v1/events", "/v1/partners", f"{FEED}/held"):
        answer = await as_client(service, path, known)
        assert answer.status_code == 401, path
        assert "Basic" not in answer.headers["www-authenticate"]
    release = f"{FEED}/held/019b2f6e-0000-7000-8000-000000000001/release"
    assert (await get(service, release, known.client_id, known.client_secret, "POST")).status_code == 401


async def test_basic_reads_every_part_of_the_feed(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    for route in ROUTES:
        assert (await as_client(service, FEED + route, nayatel.credentials)).status_code == 200, route
    answer = await service.http.post(
        f"{FEED}/checks",
        json={"addresses": ["154.192.0.0"]},
        auth=(nayatel.credentials.client_id, nayatel.credentials.client_secret),
    )
    assert answer.json()["items"][0]["allowed"]


async def test_a_disabled_client_and_an_old_secret_are_refused_within_a_minute(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await published(service, A)
    rotated = await service.credentials("nayatel", client="second", operator="nayatel")
    for known in (nayatel.credentials, rotated):
        assert (await as_client(service, FEED, known)).status_code == 200
    async with service.database.transaction() as tx:
        first = await store.find_client(tx, nayatel.credentials.client_id)
        second = await store.find_client(tx, rotated.client_id)
        assert first
        assert second
        await partners.disable_client(tx, None, first, ANY_VERSION)
        issued = await partners.rotate_secret(tx, None, second, ANY_VERSION, overlap_seconds=0)
    assert basic.FRESH_SECONDS <= 60
    monkeypatch.setattr(basic, "FRESH_SECONDS", 0)
    for refused in (nayatel.credentials, rotated):
        assert (await as_client(service, FEED, refused)).status_code == 401
    assert (await get(service, FEED, rotated.client_id, str(issued.client_secret))).status_code == 200


async def test_a_verified_client_is_accepted_for_a_day_while_the_database_is_down(
    behind: Service, link: Link, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await as_client(behind, FEED, nayatel.credentials)).status_code == 200
    await link.cut()
    for checked_again in (basic.FRESH_SECONDS, 0):
        monkeypatch.setattr(basic, "FRESH_SECONDS", checked_again)
        answer = await as_client(behind, FEED, nayatel.credentials)
        assert answer.status_code == 200, answer.text
        assert answer.json()["networks"] == [A]
    assert basic.STALE_IF_ERROR_SECONDS == 24 * 3600
    monkeypatch.setattr(basic, "STALE_IF_ERROR_SECONDS", 0)
    assert (await as_client(behind, FEED, nayatel.credentials)).status_code == 503


async def test_unverifiable_credentials_get_503_while_the_database_is_down(
    behind: Service, link: Link, nayatel: Caller
) -> None:
    assert (await as_client(behind, FEED, nayatel.credentials)).status_code == 200
    await link.cut()
    known = nayatel.credentials
    for client_id, secret in ((known.client_id, "wrong"), ("nobody.123", "x"), ("", "")):
        answer = await get(behind, FEED, client_id, secret)
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
        assert "www-authenticate" not in answer.headers
    fresh = httpx.AsyncClient(transport=behind.http._transport, base_url=BASE_URL)
    bearer = await fresh.get(FEED, headers={"Authorization": f"Bearer {nayatel.token}"})
    assert bearer.status_code == 503


async def test_a_bearer_token_is_checked_without_the_database_once_the_keys_are_known(
    behind: Service, link: Link, nayatel: Caller
) -> None:
    caller = Caller(behind, nayatel.credentials, nayatel.token)
    assert (await caller.get(FEED)).status_code == 200
    await link.cut()
    assert (await caller.get(FEED)).status_code == 200
    assert (await caller.get(f"{FEED}/check?address=154.192.0.0")).json()["allowed"]


async def test_an_expired_token_gets_503_while_new_tokens_are_unavailable(
    behind: Service, link: Link, nayatel: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service.database.transaction(read_only=True) as tx:
        client = await store.find_client(tx, nayatel.credentials.client_id)
        key = await store.signing_key(tx)
    assert client
    issuer = service.settings.public_url
    expired = sign_access_token(client, ["allowlist:read"], key, issuer=issuer, seconds=-5)
    caller = Caller(behind, nayatel.credentials, expired)
    assert (await caller.get(FEED)).status_code == 401
    await link.cut()
    monkeypatch.setattr(reader, "STALE_AFTER_SECONDS", -1.0)
    assert (await caller.get(FEED)).status_code == 503


async def test_a_client_that_is_refused_when_the_database_is_back_is_forgotten(
    behind: Service, link: Link, nayatel: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await as_client(behind, FEED, nayatel.credentials)).status_code == 200
    await link.cut()
    async with service.database.transaction() as tx:
        client = await store.find_client(tx, nayatel.credentials.client_id)
        assert client
        await partners.disable_client(tx, None, client, ANY_VERSION)
    monkeypatch.setattr(basic, "FRESH_SECONDS", 0)
    monkeypatch.setattr(basic, "AWAY_SECONDS", 0)
    assert (await as_client(behind, FEED, nayatel.credentials)).status_code == 200
    await link.mend()
    assert (await as_client(behind, FEED, nayatel.credentials)).status_code == 401
    await link.cut()
    assert (await as_client(behind, FEED, nayatel.credentials)).status_code == 503
