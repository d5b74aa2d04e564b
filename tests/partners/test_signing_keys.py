"""Signing keys: rotated in band, the old one published until nothing that it signed is in use."""

import asyncio

import asyncpg
import pytest
from joserfc import jwt

from app.core import security
from app.partners import store
from tests.support.service import Caller, Service


async def kids(service: Service) -> list[str]:
    await asyncio.sleep(1)  # the key set is at most so old
    published = (await service.http.get("/.well-known/jwks.json")).json()["keys"]
    assert not any("d" in key for key in published)
    return [key["kid"] for key in published]


async def rotated(service: Service) -> str:
    """A rotation, and the time that it takes until the new key signs."""
    async with service.database.write() as session:
        kid = await store.rotate_signing_key(session)
    await service.let_keys_settle()
    return kid


async def test_a_new_key_is_published_before_it_signs(service: Service, nayatel: Caller) -> None:
    (old,) = await kids(service)
    await service.let_keys_settle()
    async with service.database.write() as session:
        new = await store.rotate_signing_key(session)
    assert await kids(service) == [new, old]
    token = await service.token(nayatel.credentials)
    async with service.database.read() as session:
        published = await store.public_keys(session)
    assert jwt.decode(token, published, algorithms=[security.ALGORITHM]).header["kid"] == old


async def test_a_retired_key_leaves_the_key_set_after_a_week_and_no_sooner(service: Service) -> None:
    (old,) = await kids(service)
    new = await rotated(service)
    connection = await asyncpg.connect(service.settings.database_url)
    for age, expected in (("6 days 23 hours", [new, old]), ("7 days 1 hour", [new])):
        statement = f"UPDATE signing_keys SET retired_at = now() - interval '{age}' WHERE retired_at IS NOT NULL"
        await connection.execute(statement)
        assert await kids(service) == expected
    await connection.close()


async def test_after_a_rotation_both_keys_are_published_and_only_the_new_one_signs(
    service: Service, nayatel: Caller
) -> None:
    (old,) = await kids(service)
    new = await rotated(service)
    assert await kids(service) == [new, old]
    async with service.database.read() as session:
        published = await store.public_keys(session)
    for token, kid in ((nayatel.token, old), (await service.token(nayatel.credentials), new)):
        assert jwt.decode(token, published, algorithms=[security.ALGORITHM]).header["kid"] == kid
    third = await rotated(service)
    assert await kids(service) == [third, new, old]


async def test_tokens_signed_before_and_after_a_rotation_are_taken(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await nayatel.get("/v1/registrations")).status_code == 200
    await rotated(service)
    fresh = Caller(service, nayatel.credentials, await service.token(nayatel.credentials))
    monkeypatch.setattr(security, "REFETCH_SECONDS", 0)
    assert (await fresh.get("/v1/registrations")).status_code == 200
    assert (await nayatel.get("/v1/registrations")).status_code == 200
    restarted = Service(service.settings)
    assert (await Caller(restarted, nayatel.credentials, nayatel.token).get("/v1/registrations")).status_code == 200
    await restarted.close()
