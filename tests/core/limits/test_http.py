"""A client over its rate limit gets 429 with the time to wait; free responses are not counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from structlog.testing import CapturingLogger

from app.core.limits import http, rate_limits
from app.core.limits.leases import RateWindow
from app.partners.login.assertions import ASSERTION_TYPE
from app.partners.rules import PartnerKind
from tests.support import feed, uploads
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service
from tests.support.statements import record_statements

DAY = 86_400
FEW = 3
READ = "/v1/registrations"


@asynccontextmanager
async def limited(database_url: str, **quotas: int) -> AsyncIterator[Service]:
    """The service with a day's quotas, so that no window ends within a test."""
    named = {f"rate_limit_{name}": requests for name, requests in quotas.items()}
    service = Service(settings_for(database_url, rate_limit_window_seconds=DAY, **named))
    yield service
    await service.close()


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """A service with small quotas."""
    async with limited(database_url, read=FEW, write=FEW, upload=FEW, feed=FEW) as service:
        yield service


def fields(answer: httpx.Response) -> tuple[str, str]:
    """Return the quota policy of a response, and the remaining quota."""
    remaining, _, seconds = answer.headers["RateLimit"].rpartition(";t=")
    assert 0 < int(seconds) <= DAY
    return answer.headers["RateLimit-Policy"], remaining


def is_refused(answer: httpx.Response) -> bool:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (429, "too_many_requests")
    assert answer.headers["content-type"] == "application/problem+json"
    assert fields(answer)[1].endswith(";r=0")
    assert answer.headers["Retry-After"] == answer.headers["RateLimit"].rpartition(";t=")[2]
    return True


async def test_the_request_over_the_quota_is_refused_with_the_seconds_to_wait(pseb: Caller) -> None:
    said = [fields(await pseb.get(READ)) for _ in range(FEW)]
    assert said == [(f'"read";q={FEW};w={DAY}', f'"read";r={left}') for left in (2, 1, 0)]
    assert is_refused(await pseb.get(READ))


async def test_a_refused_request_changes_nothing(service: Service, pseb: Caller) -> None:
    answers = [await uploads.send(pseb, uploads.csv_of([uploads.row(f"R{i}")])) for i in range(FEW + 1)]
    assert [each.status_code for each in answers] == [202] * FEW + [429]
    assert len((await pseb.get("/v1/bulk-uploads")).json()["items"]) == FEW


async def test_an_answer_that_tells_of_a_mistake_counts_like_any_other(pseb: Caller) -> None:
    for _ in range(FEW):
        assert (await pseb.post("/v1/applicants", json={})).status_code == 422
    assert is_refused(await pseb.post("/v1/applicants", json={}))


async def test_classes_and_clients_have_quotas_of_their_own(service: Service, pseb: Caller, pasha: Caller) -> None:
    for _ in range(FEW + 1):
        last = await pseb.get(READ)
    assert is_refused(last)
    assert (await pseb.post("/v1/applicants", json={})).headers["RateLimit"].startswith('"write";r=2')
    assert (await uploads.send(pseb, b"x")).headers["RateLimit"].startswith('"upload";r=2')
    assert (await pseb.get("/v1/allowlist")).headers["RateLimit"].startswith('"feed";r=2')
    checks = await pseb.post("/v1/allowlist/checks", json={"addresses": []})
    assert checks.headers["RateLimit"].startswith('"feed";r=1')
    assert (await pasha.get(READ)).headers["RateLimit"].startswith('"read";r=2')


async def test_no_304_of_the_feed_is_counted_or_refused(service: Service, nayatel: Caller) -> None:
    await feed.published(service, *feed.addresses(3))
    etag = (await nayatel.get(feed.FEED)).headers["ETag"]
    for _ in range(2 * FEW):
        held = await nayatel.get(feed.FEED, headers={"If-None-Match": etag})
        assert (held.status_code, "RateLimit" in held.headers) == (304, False)
    assert [(await nayatel.get(feed.FEED)).status_code for _ in range(FEW)] == [200, 200, 429]
    assert (await nayatel.get(feed.FEED, headers={"If-None-Match": etag})).status_code == 304


async def test_a_read_of_the_feed_that_only_looks_free_is_refused(service: Service, nayatel: Caller) -> None:
    await feed.published(service, *feed.addresses(3))
    for _ in range(FEW):
        assert (await nayatel.get(feed.FEED, headers={"If-None-Match": '"old"'})).status_code == 200
    refused = await nayatel.get(feed.FEED, headers={"If-None-Match": '"old"'})
    assert is_refused(refused)
    assert "ETag" not in refused.headers


async def test_a_read_that_is_never_answered_304_is_refused_over_the_quota_before_it_costs_anything(
    service: Service, nayatel: Caller
) -> None:
    await feed.published(service, *feed.addresses(3))
    for _ in range(FEW):
        assert (await nayatel.get(f"{feed.FEED}/publications")).status_code == 200
    for path in ("publications", "publications/1", "check?address=1.1.1.1&serial=1", "manifest"):
        async with record_statements(service.app.state.database) as sent:
            assert is_refused(await nayatel.get(f"{feed.FEED}/{path}", headers={"If-None-Match": '"any"'}))
        assert sent == [], path


async def test_an_old_list_that_has_to_be_made_counts_also_when_its_caller_leaves(database_url: str) -> None:
    service = Service(settings_for(database_url, rate_limit_window_seconds=DAY, rate_limit_feed=FEW, deltas_kept=1))
    nayatel = await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel")
    for network in feed.addresses(3):
        await feed.published(service, network)
    old = f"{feed.FEED}/snapshots/1"
    tag = (await nayatel.get(old)).headers["ETag"]
    for _ in range(2 * FEW):
        assert "RateLimit" not in (await nayatel.get(old, headers={"If-None-Match": tag})).headers
    history = service.app.state.history
    asked = asyncio.Event()

    async def representation(*_: object, **__: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    history.representation = representation
    leaving = asyncio.create_task(nayatel.get(f"{old}?format=csv", headers={"If-None-Match": '"old"'}))
    await asked.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    del history.representation
    history._versions.clear()  # now it has to be looked up
    found = await nayatel.get(old, headers={"If-None-Match": tag})
    assert (found.status_code, fields(found)[1]) == (304, '"feed";r=0')
    history._versions.clear()
    async with record_statements(service.app.state.database) as sent:
        assert is_refused(await nayatel.get(old, headers={"If-None-Match": tag}))
        assert is_refused(await nayatel.get(f"{feed.FEED}?format=csv", headers={"If-None-Match": '"old"'}))
    assert sent == []
    await service.close()


async def test_a_304_elsewhere_is_a_read(pseb: Caller) -> None:
    sent = await uploads.send(pseb, uploads.csv_of([uploads.row("R")]))
    for _ in range(FEW):
        held = await pseb.get(sent.headers["Location"], headers={"If-None-Match": sent.headers["ETag"]})
        assert held.status_code == 304
    assert is_refused(await pseb.get(sent.headers["Location"], headers={"If-None-Match": sent.headers["ETag"]}))


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", "/problems"])
async def test_operations_without_a_token_are_never_limited(service: Service, path: str) -> None:
    answers = [await service.http.get(path) for _ in range(FEW + 1)]
    assert not any(each.status_code == 429 or "RateLimit" in each.headers for each in answers)


async def test_a_quota_of_nothing_is_no_limit(database_url: str) -> None:
    async with limited(database_url, read=0) as service:
        pseb = await service.caller("pseb")
        answers = [await pseb.get(READ) for _ in range(30)]
    assert not any(each.status_code == 429 or "RateLimit" in each.headers for each in answers)


async def test_tokens_are_counted_by_client(database_url: str) -> None:
    async with limited(database_url, token=FEW) as service:
        pseb, pasha = await service.credentials("pseb"), await service.credentials("pasha")
        answers = [await _token(service, pseb.client_id, pseb.client_secret) for _ in range(FEW + 1)]
        assert [each.status_code for each in answers[:FEW]] == [200] * FEW
        assert is_refused(answers[FEW])
        assert (await _token(service, pasha.client_id, pasha.client_secret)).status_code == 200


async def test_wrong_secrets_are_limited_by_source_and_client_and_the_right_one_never(database_url: str) -> None:
    async with limited(database_url, failed_logins=FEW) as service:
        pseb = await service.credentials("pseb")
        failed = [await _token(service, pseb.client_id, f"wrong {i}") for i in range(FEW + 2)]
        assert [each.status_code for each in failed[:FEW]] == [401] * FEW
        assert all(is_refused(each) for each in failed[FEW:])
        right = [await _token(service, pseb.client_id, pseb.client_secret) for _ in range(2 * FEW)]
        assert {each.status_code for each in right} == {200}
        assert not any("failed_logins" in each.headers["RateLimit"] for each in right)
        assert is_refused(await _token(service, pseb.client_id, "wrong"))
        assert (await _token(service, pseb.client_id, "wrong", "198.51.100.7")).status_code == 401


async def test_neither_a_response_nor_the_limit_shows_if_a_client_exists(
    database_url: str,
) -> None:
    async with limited(database_url, failed_logins=FEW) as service:
        pseb = await service.credentials("pseb")
        told = []
        for name in (pseb.client_id, "pseb.0123456789ab"):
            answers = [await _token(service, name, "wrong") for _ in range(FEW + 1)]
            told.append([(each.status_code, each.json()["title" if each.status_code == 429 else "error"],
                          fields(each)) for each in answers])  # fmt: skip
        assert told[0] == told[1]


async def test_invented_client_ids_share_a_bounded_number_of_counts(database_url: str) -> None:
    async with limited(database_url, failed_logins=1) as service:
        answers = [await _token(service, f"nobody.{i}", "wrong") for i in range(200)]
        assert {each.status_code for each in answers} == {401, 429}
        async with service.database.transaction(read_only=True) as tx:
            kept = await tx.scalar(
                select(func.count()).select_from(RateWindow).where(RateWindow.rate_class == "failed_logins")
            )
        assert (kept or 0) <= http.FAILED_LOGIN_BUCKETS


async def test_right_assertions_and_firewalls_go_on_while_wrong_ones_are_refused(database_url: str) -> None:
    async with limited(database_url, failed_logins=1) as service:
        await feed.published(service, *feed.addresses(3))
        nayatel = await service.credentials("nayatel", PartnerKind.OPERATOR, operator="nayatel")
        right, wrong = (nayatel.client_id, nayatel.client_secret), (nayatel.client_id, "wrong")
        assert [(await service.http.get(feed.FEED, auth=wrong)).status_code for _ in range(3)] == [401, 429, 429]
        assert (await service.http.get(feed.FEED, auth=right)).status_code == 200  # it was not remembered
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "eyJ", "client_id": nayatel.client_id}
        refused = await service.http.post("/oauth/token", data={"grant_type": "client_credentials", **form})
        assert is_refused(refused)  # one count for all ways


async def test_a_subscriber_has_one_count_for_all_its_ipv6_addresses(database_url: str) -> None:
    async with limited(database_url, failed_logins=1) as service:
        assert (await _token(service, "a", "wrong", "2001:db8:1:2::3")).status_code == 401
        assert is_refused(await _token(service, "a", "wrong", "2001:db8:1:2:ffff::4"))
        assert (await _token(service, "a", "wrong", "2001:db8:1:3::3")).status_code == 401


async def test_a_client_that_is_known_by_basic_goes_on_while_others_behind_its_address_fail(database_url: str) -> None:
    async with limited(database_url, failed_logins=FEW) as service:
        await feed.published(service, *feed.addresses(3))
        nayatel = await service.credentials("nayatel", PartnerKind.OPERATOR, operator="nayatel")
        known, wrong = (nayatel.client_id, nayatel.client_secret), (nayatel.client_id, "wrong")
        assert (await service.http.get(feed.FEED, auth=known)).status_code == 200
        failed = [await service.http.get(feed.FEED, auth=wrong) for _ in range(FEW + 1)]
        assert [each.status_code for each in failed[:FEW]] == [401] * FEW
        assert is_refused(failed[FEW])
        assert (await service.http.get(feed.FEED, auth=known)).status_code == 200


async def test_without_the_database_the_feed_is_served_and_the_outage_is_logged_once(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CapturingLogger()
    monkeypatch.setattr(rate_limits, "log", log)
    link = feed.Link(database_url, tmp_path)
    await link.mend()
    async with limited(link.url, feed=FEW) as service:
        nayatel = await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel")
        await feed.published(service, *feed.addresses(3))
        assert (await nayatel.get(feed.FEED)).status_code == 200
        await link.cut()
        answers = [(await nayatel.get(feed.FEED)).status_code for _ in range(FEW + 1)]
        other = await nayatel.get(READ)
        assert answers == [200] * FEW + [429]  # it counts on its own
        assert other.status_code == 503
        assert ["on its own" in each.args[0] for each in log.calls] == [True]

    await link.cut()


async def _token(service: Service, client_id: str, secret: str, source: str = "127.0.0.1") -> httpx.Response:
    transport: Any = httpx.ASGITransport(service.app, raise_app_exceptions=False, client=(source, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:
        return await http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret))
