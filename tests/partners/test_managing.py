"""Management of a partner's own clients by `clients:manage`."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.partners.rules import ALLOWED, PartnerKind
from tests.support import cases
from tests.support.client_changes import ANY, client_path, confirm, pending_change, status_and_code
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service
from tests.support.signing import KEY, public

ALL = sorted(ALLOWED[PartnerKind.ASSOCIATION])
NARROW = ["clients:manage", "events:read"]


@pytest.fixture
async def manager(service: Service) -> Caller:
    """A client of an association with every scope of its kind."""
    return await service.caller("pseb", client="manager", scopes=ALL)


def clients_of(caller: Caller) -> str:
    return f"/v1/partners/{caller.credentials.partner_id}/clients"


async def made(caller: Caller, name: str, **body: Any) -> dict[str, Any]:
    answer = await caller.post(clients_of(caller), json={"name": name, **body})
    assert answer.status_code == 201, answer.text
    return {**answer.json(), "path": answer.headers["Location"]}


async def every_call(caller: Caller, clients: str, client: object) -> list[httpx.Response]:
    path = f"{clients}/{client}"
    return [
        await caller.get(clients),
        await caller.post(clients, json={"name": "new", "scopes": ["events:read"]}),
        await caller.get(path),
        await caller.post(f"{path}/rotate", headers=ANY),
        await caller.request("PUT", f"{path}/keys", json={"jwks": public(KEY)}, headers=ANY),
        await caller.patch(path, json={"person": "x"}, headers=ANY),
        await caller.post(f"{path}/disable", headers=ANY),
    ]


def told(answers: list[httpx.Response]) -> list[Any]:
    return [(each.status_code, {**each.json(), "instance": None}) for each in answers]


async def test_anothers_clients_and_those_that_never_were_get_the_same_answer(
    service: Service, manager: Caller, pasha: Caller
) -> None:
    officer = await service.caller("pta", PartnerKind.REGULATOR, client="it", scopes=["clients:manage"])
    nobody = await every_call(manager, f"/v1/partners/{uuid4()}/clients", uuid4())
    assert {status_and_code(each) for each in nobody} == {(404, "not_found")}
    for caller in (manager, officer):
        anothers = await every_call(caller, clients_of(pasha), pasha.credentials.id)
        assert told(anothers) == told(nobody)
    within_own = await manager.get(f"{clients_of(manager)}/{pasha.credentials.id}")
    assert told([within_own]) == told([await manager.get(f"{clients_of(manager)}/{uuid4()}")])
    assert (await pasha.get("/v1/registrations")).status_code == 200


async def test_without_the_scope_a_partner_has_no_access_to_clients(pseb: Caller) -> None:
    assert "clients:manage" not in (await pseb.get("/v1/me")).json()["scopes"]
    for answer in await every_call(pseb, clients_of(pseb), pseb.credentials.id):
        assert status_and_code(answer) == (403, "forbidden")


async def test_partners_and_confirmations_stay_with_the_administrators(manager: Caller) -> None:
    own = f"/v1/partners/{manager.credentials.partner_id}"
    for path in ("/v1/partners", own, f"{own}/client-changes"):
        assert status_and_code(await manager.get(path)) == (403, "forbidden"), path
    assert status_and_code(await manager.patch(own, json={"name": "x"}, headers=ANY)) == (403, "forbidden")


async def test_a_new_client_has_no_scope_that_the_callers_token_does_not_have(
    service: Service, manager: Caller
) -> None:
    narrow = await service.caller("pseb", client="narrow", scopes=NARROW)
    wide = Caller(service, manager.credentials, await service.token(manager.credentials, scope=" ".join(NARROW)))
    for caller in (narrow, wide):
        answer = await caller.post(clients_of(caller), json={"name": "x", "scopes": ["events:read", "allowlist:read"]})
        assert (answer.status_code, cases.codes(answer)) == (422, {"/scopes/1": "invalid_value"})
    answer = await manager.post(clients_of(manager), json={"name": "x", "scopes": ["reviews:write"]})
    assert (answer.status_code, cases.codes(answer)) == (422, {"/scopes/0": "invalid_value"})
    assert (await made(narrow, "default"))["scopes"] == ["events:read"]
    only = await service.caller("pseb", client="only", scopes=["clients:manage"])
    for body in ({"name": "x"}, {"name": "x", "scopes": []}):
        answer = await only.post(clients_of(only), json=body)
        assert (answer.status_code, cases.codes(answer)) == (422, {"/scopes": "missing_field"})


async def test_a_client_with_more_scopes_than_the_callers_token_is_out_of_its_reach(
    service: Service, manager: Caller
) -> None:
    narrow = await service.caller("pseb", client="narrow", scopes=NARROW)
    wide = await made(manager, "portal")
    for answer in (await every_call(narrow, clients_of(narrow), wide["id"]))[3:]:
        assert status_and_code(answer) == (403, "forbidden")
    equal = await made(manager, "equal", scopes=["events:read"])
    answer = await narrow.patch(equal["path"], json={"scopes": ["events:read", "applicants:read"]}, headers=ANY)
    assert (answer.status_code, cases.codes(answer)) == (422, {"/scopes/1": "invalid_value"})
    assert (await narrow.post(f"{equal['path']}/rotate", headers=ANY)).status_code == 200


async def test_the_last_client_that_manages_a_partners_clients_stays_unless_an_administrator_ends_it(
    manager: Caller, admin: Caller
) -> None:
    own = client_path(manager.credentials)
    without = {"scopes": ["events:read"]}
    calls = (manager.post(f"{own}/disable", headers=ANY), manager.patch(own, json=without, headers=ANY))
    for answer in [await each for each in calls]:
        assert status_and_code(answer) == (409, "last_manager")
    second = await made(manager, "second", scopes=ALL)
    assert (await manager.post(f"{second['path']}/disable", headers=ANY)).status_code == 200
    assert status_and_code(await manager.post(f"{own}/disable", headers=ANY)) == (409, "last_manager")
    assert (await admin.post(f"{own}/disable", headers=ANY)).status_code == 200


async def test_two_managers_cannot_disable_each_other_at_once(service: Service, manager: Caller) -> None:
    other = await service.caller("pseb", client="other", scopes=ALL)
    answers = await asyncio.gather(
        manager.post(f"{client_path(other.credentials)}/disable", headers=ANY),
        other.post(f"{client_path(manager.credentials)}/disable", headers=ANY),
    )
    assert sorted(each.status_code for each in answers) == [200, 409]


async def test_a_partner_makes_rotates_limits_and_disables_its_own_clients(service: Service, manager: Caller) -> None:
    client = await made(manager, "portal")
    assert client["scopes"] == [each for each in ALL if each != "clients:manage"]
    rotated = (await manager.post(f"{client['path']}/rotate", headers={"If-Match": '"1"'})).json()
    form = {"grant_type": "client_credentials"}
    for secret in (client["client_secret"], rotated["client_secret"]):  # the previous one for a day
        auth = (client["client_id"], secret)
        assert (await service.http.post("/oauth/token", data=form, auth=auth)).status_code == 200
    changed = await manager.patch(client["path"], json={"scopes": ["events:read"]}, headers={"If-Match": '"2"'})
    assert (changed.status_code, changed.json()["scopes"]) == (200, ["events:read"])
    assert [each["name"] for each in (await manager.get(clients_of(manager))).json()["items"]] == ["manager", "portal"]
    assert (await manager.post(f"{client['path']}/disable", headers={"If-Match": '"3"'})).status_code == 200
    assert (await service.http.post("/oauth/token", data=form, auth=auth)).status_code == 401
    events = await wait_for_event(manager, "client.disabled")
    own = [each["name"] for each in events if each["actor_client_id"] == str(manager.credentials.id)]
    assert own == ["client.created", "client.rotated", "client.changed", "client.disabled"]


async def test_a_client_rotates_its_own_secret(service: Service, manager: Caller) -> None:
    answer = await manager.post(f"{client_path(manager.credentials)}/rotate?overlap_seconds=0", headers=ANY)
    assert answer.status_code == 200
    auth = (manager.credentials.client_id, answer.json()["client_secret"])
    form = {"grant_type": "client_credentials"}
    assert (await service.http.post("/oauth/token", data=form, auth=auth)).status_code == 200


async def test_a_change_of_the_regulators_clients_still_needs_a_second_person(service: Service, admin: Caller) -> None:
    scopes = ["clients:manage", "events:read"]
    asker = await service.caller("pta", PartnerKind.REGULATOR, client="it", scopes=scopes, person="IT")
    change = await pending_change(await asker.post(clients_of(asker), json={"name": "new"}))
    assert change["details"]["scopes"] == ["events:read"]
    assert status_and_code(await confirm(asker, change)) == (403, "forbidden")
    assert (await confirm(admin, change)).status_code == 200
    for path in ("rotate", "disable"):
        answer = await asker.post(f"{client_path(admin.credentials)}/{path}", headers=ANY)
        assert status_and_code(answer) == (403, "forbidden")
