"""Rotation and revocation of signing keys."""

import asyncio

import asyncpg
import pytest
from joserfc import jwt
from sqlalchemy import text

from app.core.auth import bearer as tokens
from app.core.auth.signatures import ALGORITHM
from app.core.errors import NotFound
from app.core.settings import Settings
from app.migrating import migrate
from app.partners import service as partners
from app.partners import store
from tests.support import postgres
from tests.support.events import wait_for_event
from tests.support.processes import until
from tests.support.service import Caller, Service
from tests.support.signing import bearer
from tests.test_cli import typed

CASES = "/v1/registrations"


async def kids(service: Service) -> list[str]:
    await asyncio.sleep(1)  # the key set is at most so old
    published = (await service.http.get("/.well-known/jwks.json")).json()["keys"]
    assert not any("d" in key for key in published)
    return [key["kid"] for key in published]


async def rotated(service: Service) -> str:
    """Rotate the key and wait until the new one signs."""
    async with service.database.transaction() as tx:
        kid = await store.rotate_signing_key(tx)
    await service.let_keys_settle()
    return kid


async def test_a_new_key_is_published_before_it_signs(service: Service, nayatel: Caller) -> None:
    (old,) = await kids(service)
    await service.let_keys_settle()
    async with service.database.transaction() as tx:
        new = await store.rotate_signing_key(tx)
    assert await kids(service) == [new, old]
    token = await service.token(nayatel.credentials)
    async with service.database.transaction(read_only=True) as tx:
        published = await store.public_keys(tx)
    assert jwt.decode(token, published, algorithms=[ALGORITHM]).header["kid"] == old


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
    async with service.database.transaction(read_only=True) as tx:
        published = await store.public_keys(tx)
    for token, kid in ((nayatel.token, old), (await service.token(nayatel.credentials), new)):
        assert jwt.decode(token, published, algorithms=[ALGORITHM]).header["kid"] == kid
    third = await rotated(service)
    assert await kids(service) == [third, new, old]


async def test_tokens_signed_before_and_after_a_rotation_are_accepted(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await nayatel.get("/v1/registrations")).status_code == 200
    await rotated(service)
    fresh = Caller(service, nayatel.credentials, await service.token(nayatel.credentials))
    monkeypatch.setattr(tokens, "REFETCH_SECONDS", 0)
    assert (await fresh.get("/v1/registrations")).status_code == 200
    assert (await nayatel.get("/v1/registrations")).status_code == 200
    restarted = Service(service.settings)
    assert (await Caller(restarted, nayatel.credentials, nayatel.token).get("/v1/registrations")).status_code == 200
    await restarted.close()


def kid_of(token: str) -> str:
    return str(tokens.decode_unverified(token).header["kid"])


async def revoked(service: Service, kid: str) -> str:
    async with service.database.transaction() as tx:
        return await partners.revoke_signing_key(tx, kid)


async def status(service: Service, token: str) -> int:
    return (await service.http.get(CASES, headers=bearer(token))).status_code


async def test_tokens_of_a_revoked_key_are_refused_by_every_process_even_if_accepted_before(
    processes: list[Service],
) -> None:
    callers = [await processes[0].caller("pseb"), await processes[0].caller("pasha")]
    assert [await status(each, callers[0].token) for each in processes] == [200, 200]
    (old,) = await kids(processes[0])
    assert kid_of(callers[0].token) == old
    new = await revoked(processes[1], old)
    for process in processes:
        for caller in callers:  # one that was remembered, and one that was never seen

            async def is_refused(process: Service = process, caller: Caller = caller) -> bool:
                return await status(process, caller.token) == 401

            await until(is_refused)
        assert await kids(process) == [new]
    fresh = await processes[0].token(callers[0].credentials)
    assert kid_of(fresh) == new
    assert [await status(each, fresh) for each in processes] == [200, 200]


async def test_after_a_key_is_revoked_its_successor_signs_at_once(service: Service, nayatel: Caller) -> None:
    (oldest,) = await kids(service)
    older = await rotated(service)
    async with service.database.transaction() as tx:
        newest = await store.rotate_signing_key(tx)
    assert kid_of(await service.token(nayatel.credentials)) == older  # for ten seconds
    assert await revoked(service, older) == newest
    assert await kids(service) == [newest, oldest]
    assert kid_of(await service.token(nayatel.credentials)) == newest


async def test_a_key_retired_for_more_than_a_week_never_signs_again(service: Service, nayatel: Caller) -> None:
    (oldest,) = await kids(service)
    current = await rotated(service)
    aged = "UPDATE signing_keys SET retired_at = now() - interval '8 days' WHERE retired_at IS NOT NULL"
    await postgres.execute(service.settings.database_url, aged)
    new = await revoked(service, current)
    assert new not in (oldest, current)
    assert kid_of(await service.token(nayatel.credentials)) == new


async def test_revoking_a_key_twice_or_an_unknown_one_changes_nothing(service: Service) -> None:
    (old,) = await kids(service)
    new = await revoked(service, old)
    assert await revoked(service, old) == new
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text("SELECT count(*) FROM events WHERE name = 'signing_key.revoked'")) == 1
    with pytest.raises(NotFound):
        await revoked(service, "unknown")
    assert await kids(service) == [new]


async def test_the_command_reports_a_revocation_and_every_partner_sees_its_event(
    service: Service, settings: Settings, pseb: Caller
) -> None:
    (old,) = await kids(service)
    for unknown in ("unknown", "-unknown", "-"):
        refused = await typed(settings, "key", "revoke", unknown)
        assert (refused.exit_code, f"There is no signing key {unknown}." in refused.stderr) == (1, True)
    result = await typed(settings, "key", "revoke", old)
    assert result.exit_code == 0, result.output
    (new,) = await kids(service)
    assert all(text in result.stdout for text in (f"{old} is revoked", "no process accepts a token", f"with {new}"))
    assert (
        await wait_for_event(Caller(service, pseb.credentials, await fresh_token(service, pseb)), "signing_key.revoked")
    )[-1]["details"] == {"kid": old, "signing": new}


async def fresh_token(service: Service, caller: Caller) -> str:
    """A new token, in a process that has refreshed its revocations."""
    await service.app.state.revocations.refresh()
    return await service.token(caller.credentials)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
async def test_another_signing_algorithm_takes_effect_by_a_migration_and_what_was_signed_before_stays_valid(
    service: Service, nayatel: Caller, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REFETCH_SECONDS", 0)
    (old,) = await kids(service)
    changed = service.settings.model_copy(update={"signing_algorithm": algorithm})
    for _ in range(2):  # the second one changes nothing
        await migrate(changed)
    await service.let_keys_settle()
    new, second = await kids(service)
    assert second == old
    fresh = await service.token(nayatel.credentials)
    header = tokens.decode_unverified(fresh).header
    assert (header["alg"], header["kid"]) == (algorithm, new)
    assert [await status(service, each) for each in (fresh, nayatel.token)] == [200, 200]
