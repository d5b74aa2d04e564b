"""The list is served while the database is unreachable."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from app.core.settings import Settings
from app.health import service as health
from app.partners.login import basic
from app.partners.rules import PartnerKind
from tests.support import cases, processes
from tests.support.feed import Link
from tests.support.postgres import settings_for
from tests.support.proxy import proxy_of
from tests.support.service import Caller, Service


@pytest.fixture
async def link(database_url: str, tmp_path: Path) -> AsyncIterator[Link]:
    """A link to the test's database that can be cut."""
    link = Link(database_url, tmp_path)
    await link.mend()
    yield link
    await link.cut()


@pytest.fixture
def settings(link: Link) -> Settings:
    """Settings of a process that reaches the database through the link only."""
    return settings_for(link.url)


async def test_without_the_database_the_last_list_is_served_and_says_how_old_it_is(
    service: Service, link: Link, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    await service.publish()
    fresh = await nayatel.get("/v1/allowlist")
    assert not {"age", "warning"} & set(fresh.headers)
    await link.cut()
    reader = service.app.state.reader
    with pytest.raises(OSError):  # noqa: PT011  # the error of a cut link depends on the system
        await reader.refresh()
    reader._confirmed_at -= 60

    stale = await nayatel.get("/v1/allowlist")
    assert (stale.status_code, stale.json()) == (200, fresh.json())
    assert int(stale.headers["Age"]) >= 60
    assert stale.headers["Warning"].startswith("110 ")
    held = await nayatel.get("/v1/allowlist", headers={"If-None-Match": fresh.headers["ETag"]})
    assert (held.status_code, int(held.headers["Age"]) >= 60) == (304, True)
    address = case["networks"][0].removesuffix("/32")
    assert (await nayatel.get(f"/v1/allowlist/check?address={address}")).json()["allowed"]

    await link.mend()
    await reader.refresh()
    assert "age" not in (await nayatel.get("/v1/allowlist")).headers


async def test_a_revoked_token_stays_revoked_without_the_database(
    service: Service, link: Link, pseb: Caller, admin: Caller, nayatel: Caller
) -> None:
    await cases.approved(pseb, admin)
    await service.publish()
    path = f"/v1/partners/{nayatel.credentials.partner_id}/clients/{nayatel.credentials.id}"
    assert (await admin.post(f"{path}/disable", headers={"If-Match": '"1"'})).status_code == 200
    await service.app.state.revocations.refresh()
    await link.cut()
    with pytest.raises(OSError):  # noqa: PT011  # the error of a cut link depends on the system
        await service.app.state.revocations.refresh()
    assert (await pseb.get("/v1/allowlist")).status_code == 200
    assert (await nayatel.get("/v1/allowlist")).status_code == 401


async def test_without_the_database_what_needs_it_is_unavailable_and_nobody_is_turned_away(
    service: Service, link: Link, pseb: Caller, nayatel: Caller
) -> None:
    assert (await nayatel.get("/v1/allowlist/publications")).status_code == 200
    await link.cut()
    for answer in (
        await nayatel.get("/v1/allowlist"),
        await nayatel.get("/v1/allowlist/publications"),
        await nayatel.get("/v1/registrations"),
        await pseb.post("/v1/applicants", json=cases.company()),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    await link.mend()
    assert (await pseb.get("/v1/applicants")).json()["items"] == []


async def test_while_the_network_to_the_database_is_silent_readers_are_answered_in_seconds_and_writers_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basic, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(health, "PROBE_SECONDS", 1.0)
    async with proxy_of(database_url) as proxy:
        service = Service(settings_for(f"{proxy.url}&connect_timeout=1"))
        pseb, officer = await service.caller("pseb"), await service.officer()
        await cases.approved(pseb, officer)
        nayatel = await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel")
        login = (nayatel.credentials.client_id, nayatel.credentials.client_secret)
        await service.publish()
        assert (await service.http.get("/v1/allowlist", auth=login)).status_code == 200
        proxy.silence()
        calls: list[tuple[Callable[[], Awaitable[httpx.Response]], int]] = [
            (lambda: service.http.get("/v1/allowlist", auth=login), 200),
            (lambda: nayatel.get("/v1/allowlist"), 200),
            (lambda: service.http.get("/health/ready/feed"), 200),
            (lambda: service.http.get("/health/ready"), 503),
            (lambda: pseb.post("/v1/applicants", json=cases.company()), 503),
            (lambda: pseb.get("/v1/applicants"), 503),
        ]
        for call, status in calls:
            began = time.monotonic()
            assert (await call()).status_code == status
            assert time.monotonic() - began < 12
        proxy.speak()

        async def written() -> bool:
            return (await pseb.post("/v1/applicants", json=cases.company())).status_code == 201

        await processes.until(written, 10)
        await service.close()
