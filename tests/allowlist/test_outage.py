"""The list is served while the database is unreachable."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.settings import Settings
from tests.support import cases
from tests.support.feed import Link
from tests.support.postgres import settings_for
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
