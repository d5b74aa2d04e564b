"""Revocation of issued tokens, within seconds and in every process."""

import asyncio
from typing import Any

from app.core.settings import Settings
from app.partners import store
from app.partners.login.token_endpoint import sign_access_token
from tests.support import postgres
from tests.support.service import Caller, Service
from tests.support.signing import KEY, bearer, public

CASES = "/v1/registrations"
FEED = "/v1/allowlist"


async def _change(admin: Caller, caller: Caller, what: str, method: str = "POST", **kwargs: Any) -> dict[str, Any]:
    """Call one operation on a caller's client."""
    path = f"/v1/partners/{caller.credentials.partner_id}/clients/{caller.credentials.id}"
    tag = (await admin.get(path)).headers["ETag"]
    answer = await admin.request(method, f"{path}/{what}", headers={"If-Match": tag}, **kwargs)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def _status(service: Service, token: str) -> int:
    return (await service.http.get(CASES, headers=bearer(token))).status_code


async def _refused_soon(service: Service, token: str) -> bool:
    async with asyncio.timeout(30):
        while await _status(service, token) != 401:
            pass
    return True


async def test_disabling_a_client_revokes_its_tokens_in_every_process(processes: list[Service]) -> None:
    admin, pseb = await processes[0].admin(), await processes[0].caller("pseb")
    assert [await _status(each, pseb.token) for each in processes] == [200, 200]
    await _change(admin, pseb, "disable")
    assert [await _refused_soon(each, pseb.token) for each in processes] == [True, True]
    assert [await _status(each, admin.token) for each in processes] == [200, 200]
    answer = await processes[1].http.get(CASES, headers=bearer(pseb.token))
    assert (answer.json()["code"], "has been revoked" in answer.json()["detail"]) == ("unauthenticated", True)


async def test_disabling_a_partner_revokes_the_tokens_of_all_its_clients_in_every_process(
    processes: list[Service],
) -> None:
    admin, pseb = await processes[0].admin(), await processes[0].caller("pseb")
    other = await processes[0].caller("pseb", client="other")
    ahead = "UPDATE clients SET tokens_not_before = now() + interval '5 seconds' WHERE name = 'other'"
    await postgres.execute(processes[0].settings.database_url, ahead)
    fresh = await processes[0].token(other.credentials)
    tokens = (pseb.token, other.token, fresh)
    path = f"/v1/partners/{pseb.credentials.partner_id}"
    assert (await admin.patch(path, json={"disabled": True}, headers={"If-Match": "*"})).status_code == 200
    assert [await _refused_soon(process, each) for process in processes for each in tokens] == [True] * 6
    assert [await _status(each, admin.token) for each in processes] == [200, 200]


async def test_a_rotation_without_overlap_revokes_earlier_tokens_only(
    service: Service, admin: Caller, pseb: Caller
) -> None:
    await _change(admin, pseb, "rotate")
    await service.app.state.revocations.refresh()
    assert await _status(service, pseb.token) == 200
    issued = await _change(admin, pseb, "rotate?overlap_seconds=0")
    await service.app.state.revocations.refresh()
    assert await _status(service, pseb.token) == 401
    login = {"client_id": issued["client_id"], "client_secret": issued["client_secret"]}
    answer = await service.http.post("/oauth/token", data={"grant_type": "client_credentials", **login})
    assert await _status(service, answer.json()["access_token"]) == 200


async def test_new_keys_revoke_a_clients_tokens(service: Service, admin: Caller, pseb: Caller) -> None:
    await _change(admin, pseb, "keys", "PUT", json={"jwks": public(KEY)})
    await service.app.state.revocations.refresh()
    assert await _status(service, pseb.token) == 401


async def test_a_revocation_ends_a_cached_basic_login(service: Service, admin: Caller, nayatel: Caller) -> None:
    login = (nayatel.credentials.client_id, nayatel.credentials.client_secret)
    assert (await service.http.get(FEED, auth=login)).status_code == 503  # authenticated; nothing is published yet
    issued = await _change(admin, nayatel, "rotate?overlap_seconds=0")
    await service.app.state.revocations.refresh()
    assert (await service.http.get(FEED, auth=login)).status_code == 401
    new = (issued["client_id"], issued["client_secret"])
    assert [(await service.http.get(FEED, auth=new)).status_code for _ in range(2)] == [503, 503]


async def test_a_token_issued_during_a_revocation_is_revoked_too(service: Service, admin: Caller, pseb: Caller) -> None:
    known = pseb.credentials
    async with service.database.transaction(read_only=True) as tx:
        proven = await store.get_client(tx, known.partner_id, known.id)
        key = await store.signing_key(tx)
    await _change(admin, pseb, "rotate?overlap_seconds=0")
    late = sign_access_token(proven, proven.scopes, key, issuer=service.settings.public_url, seconds=600)
    await service.app.state.revocations.refresh()
    assert await _status(service, late) == 401


async def test_a_revocation_is_dropped_when_all_its_tokens_have_expired(
    service: Service, admin: Caller, pseb: Caller, settings: Settings
) -> None:
    await _change(admin, pseb, "disable")
    async with service.database.transaction(read_only=True) as tx:
        assert set(await store.token_revocations(tx)) == {pseb.credentials.id}
    await postgres.execute(
        settings.database_url, "UPDATE clients SET tokens_not_before = tokens_not_before - interval '3 hours'"
    )
    async with service.database.transaction(read_only=True) as tx:
        assert await store.token_revocations(tx) == {}
