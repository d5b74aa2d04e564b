"""Rotation of client secrets: the previous secret overlaps with the new one, and no third is valid."""

from typing import Any

import pytest

from app.partners.login import basic
from tests.support import postgres
from tests.support.feed import FEED
from tests.support.service import Caller, Credentials, Service

DAY = 86_400


async def rotated(admin: Caller, client: Credentials, **query: Any) -> dict[str, Any]:
    path = f"/v1/partners/{client.partner_id}/clients/{client.id}"
    tag = (await admin.get(path)).headers["ETag"]
    answer = await admin.post(f"{path}/rotate", headers={"If-Match": tag}, params=query)
    assert answer.status_code == 200, answer.text
    issued: dict[str, Any] = answer.json()
    return issued


async def works(service: Service, client: Credentials, secret: str) -> bool:
    """Return whether a secret is accepted, by the token endpoint and by HTTP Basic alike."""
    login = (client.client_id, secret)
    token = await service.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=login)
    feed = await service.http.get(FEED, auth=login)
    assert (token.status_code == 401) == (feed.status_code == 401)
    return token.status_code == 200


async def overlap_ends(service: Service) -> None:
    statement = "UPDATE clients SET previous_secret_expires_at = now() - interval '1 second'"
    await postgres.execute(service.settings.database_url, statement)


@pytest.mark.parametrize("overlap", ["-1", str(7 * DAY + 1), "x", "1.5", ""])
async def test_an_overlap_lasts_a_week_at_most(admin: Caller, nayatel: Caller, overlap: str) -> None:
    known = nayatel.credentials
    path = f"/v1/partners/{known.partner_id}/clients/{known.id}"
    answer = await admin.post(f"{path}/rotate?overlap_seconds={overlap}", headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/overlap_seconds")
    assert (await admin.get(path)).json()["version"] == 1


async def test_without_an_overlap_the_previous_secret_ends_at_once(
    service: Service, admin: Caller, nayatel: Caller
) -> None:
    issued = await rotated(admin, nayatel.credentials, overlap_seconds=0)
    assert issued["previous_secret_expires_at"] is None
    assert not await works(service, nayatel.credentials, nayatel.credentials.client_secret)
    assert await works(service, nayatel.credentials, issued["client_secret"])


async def test_at_most_two_secrets_are_valid_at_a_time(
    service: Service, admin: Caller, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basic, "FRESH_SECONDS", 0)
    known = nayatel.credentials
    secrets = [known.client_secret, *[(await rotated(admin, known))["client_secret"] for _ in range(2)]]
    assert [await works(service, known, each) for each in secrets] == [False, True, True]
    last = (await rotated(admin, known, overlap_seconds=0))["client_secret"]
    assert [await works(service, known, each) for each in (*secrets, last)] == [False, False, False, True]


async def test_the_previous_secret_is_valid_until_its_overlap_ends(
    service: Service, admin: Caller, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = nayatel.credentials
    issued = await rotated(admin, known)
    shown = (await admin.get(f"/v1/partners/{known.partner_id}/clients/{known.id}")).json()
    assert shown["previous_secret_expires_at"] == issued["previous_secret_expires_at"]
    assert shown["previous_secret_expires_at"] > shown["updated_at"]
    for secret in (known.client_secret, issued["client_secret"]):
        assert await works(service, known, secret)
    await overlap_ends(service)
    monkeypatch.setattr(basic, "FRESH_SECONDS", 0)
    secrets = (known.client_secret, issued["client_secret"])
    assert [await works(service, known, each) for each in secrets] == [False, True]


async def test_a_cached_basic_login_ends_with_its_secret(
    service: Service, admin: Caller, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = nayatel.credentials
    await rotated(admin, known, overlap_seconds=DAY)
    login = (known.client_id, known.client_secret)
    assert (await service.http.get(FEED, auth=login)).status_code != 401
    (remembered,) = service.app.state.basic._cache.values()
    assert remembered.is_within(basic.FRESH_SECONDS)
    await overlap_ends(service)
    past = type(remembered)(
        remembered.principal, remembered.authenticated, remembered.secret_expires_at.replace(year=2020), 0.0
    )
    assert not past.is_within(basic.STALE_IF_ERROR_SECONDS)
    service.app.state.basic._cache = dict.fromkeys(service.app.state.basic._cache, past)
    assert (await service.http.get(FEED, auth=login)).status_code == 401


async def test_a_disabled_client_has_no_valid_secret(service: Service, admin: Caller, nayatel: Caller) -> None:
    known = nayatel.credentials
    issued = await rotated(admin, known)
    path = f"/v1/partners/{known.partner_id}/clients/{known.id}/disable"
    assert (await admin.post(path, headers={"If-Match": '"2"'})).status_code == 200
    for secret in (known.client_secret, issued["client_secret"]):
        assert not await works(service, known, secret)
