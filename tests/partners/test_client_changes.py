"""Changes that extend the access of a regulator's client need a second person's confirmation."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.partners import service as partners
from app.partners import store
from app.partners.rules import ALLOWED, PartnerKind
from tests.support import postgres
from tests.support.events import wait_for_event
from tests.support.service import Caller, Credentials, Service
from tests.support.signing import KEYS, public

GRANT = {"grant_type": "client_credentials"}
ANY = {"If-Match": "*"}
ADMINS = sorted(ALLOWED[PartnerKind.REGULATOR])


@pytest.fixture
async def second(service: Service) -> Caller:
    """A second administrator."""
    return await service.admin("pta-admin-2")


@pytest.fixture
async def third(service: Service) -> Caller:
    """A third administrator."""
    return await service.admin("pta-admin-3")


def regulator(caller: Caller) -> str:
    return f"/v1/partners/{caller.credentials.partner_id}"


def path_of(credentials: Credentials) -> str:
    return f"/v1/partners/{credentials.partner_id}/clients/{credentials.id}"


async def asked(answer: httpx.Response) -> dict[str, Any]:
    """The pending change of a 202 response."""
    assert answer.status_code == 202, answer.text
    change: dict[str, Any] = answer.json()
    assert change["status"] == "pending"
    assert answer.headers["Location"] == f"/v1/partners/{change['partner_id']}/client-changes/{change['id']}"
    return change | {"path": answer.headers["Location"]}


async def confirm(caller: Caller, change: dict[str, Any]) -> httpx.Response:
    return await caller.post(f"{change['path']}/confirm")


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def token_status(service: Service, login: dict[str, Any]) -> int:
    auth = (login["oauth_client_id"], login["client_secret"])
    return (await service.http.post("/oauth/token", data=GRANT, auth=auth)).status_code


async def state(caller: Caller, credentials: Credentials) -> Any:
    return (await caller.get(path_of(credentials))).json()


async def changes_of(caller: Caller, credentials: Credentials) -> list[httpx.Response]:
    """Responses to one request of each change that extends the client's access."""
    path = path_of(credentials)
    return [
        await caller.post(f"{path}/rotate?overlap_seconds=0", headers=ANY),
        await caller.request("PUT", f"{path}/keys", json={"jwks": public(KEYS["Ed25519"])}, headers=ANY),
        await caller.request("PUT", f"{path}/keys", json={"jwks_uri": "https://keys.example.com/"}, headers=ANY),
        await caller.patch(path, json={"scopes": ADMINS}, headers=ANY),
        await caller.patch(path, json={"person": "somebody else"}, headers=ANY),
    ]


async def test_a_change_that_extends_an_officers_access_takes_effect_only_when_a_second_person_confirms_it(
    service: Service, admin: Caller
) -> None:
    victim = await service.officer("pta-officer-2")
    before = await state(admin, victim.credentials)
    changes = [await asked(each) for each in await changes_of(admin, victim.credentials)]
    assert await state(admin, victim.credentials) == before
    assert await service.token(victim.credentials)
    assert (await victim.get("/v1/registrations")).status_code == 200
    assert await token_status(service, changes[0]) == 401
    for change in changes:
        assert refused(await confirm(admin, change)) == (403, "second_person_required")
    assert await state(admin, victim.credentials) == before


async def test_neither_the_requester_nor_the_clients_person_can_confirm_a_change_but_a_third_person_can(
    service: Service, admin: Caller, second: Caller, third: Caller
) -> None:
    change = await asked(await admin.post(f"{path_of(second.credentials)}/rotate?overlap_seconds=0", headers=ANY))
    for caller in (admin, second):
        assert refused(await confirm(caller, change)) == (403, "second_person_required")
    assert await service.token(second.credentials)

    answer = await confirm(third, change)
    assert (answer.status_code, answer.json()["status"]) == (200, "confirmed")
    assert answer.json()["settled_by"] == str(third.credentials.id)
    assert "client_secret" not in answer.json()
    assert await token_status(service, change) == 200
    login = {"oauth_client_id": second.credentials.client_id, "client_secret": second.credentials.client_secret}
    assert await token_status(service, login) == 401


async def test_a_client_of_the_same_person_or_of_no_person_cannot_confirm(service: Service, admin: Caller) -> None:
    twin = await service.admin("twin", person=" PTA-Admin-1 ")
    unnamed = await service.caller("pta", PartnerKind.REGULATOR, client="unnamed", scopes=ADMINS)
    change = await asked(await admin.post(f"{regulator(admin)}/clients", json={"name": "new"}))
    for caller in (admin, twin, unnamed):
        assert refused(await confirm(caller, change)) == (403, "second_person_required")
    assert "client person" in (await confirm(unnamed, change)).json()["detail"]

    by_unnamed = await asked(await unnamed.post(f"{regulator(admin)}/clients", json={"name": "other"}))
    answer = await confirm(admin, by_unnamed)
    assert refused(answer) == (403, "second_person_required")
    assert "client person" in answer.json()["detail"]


async def test_the_new_person_of_a_client_cannot_confirm_either(
    service: Service, admin: Caller, second: Caller, third: Caller
) -> None:
    new = {"name": "new", "person": "pta-admin-2"}
    made = await asked(await admin.post(f"{regulator(admin)}/clients", json=new))
    assert refused(await confirm(second, made)) == (403, "second_person_required")
    named = await asked(await admin.patch(path_of(third.credentials), json={"person": "Pta-Admin-2"}, headers=ANY))
    assert refused(await confirm(second, named)) == (403, "second_person_required")
    assert refused(await confirm(third, named)) == (403, "second_person_required")
    assert (await confirm(third, made)).status_code == 200


async def test_a_confirmed_new_client_has_the_secret_that_its_requester_was_shown(
    service: Service, admin: Caller, second: Caller
) -> None:
    path = f"{regulator(admin)}/clients"
    body, key = {"name": "pta-officer-9", "person": "Bilal Ahmed"}, {"Idempotency-Key": "once"}
    first, again = [await admin.post(path, json=body, headers=key) for _ in range(2)]
    change = await asked(first)
    assert again.json() == first.json()
    assert (await admin.get(f"{path}/{change['client_id']}")).status_code == 404
    assert await token_status(service, change) == 401
    read = await second.get(change["path"])
    assert change["client_secret"] not in read.text
    assert read.json()["details"]["scopes"] == sorted(ALLOWED[PartnerKind.REGULATOR] - {"partners:admin"})

    assert (await confirm(second, change)).status_code == 200
    assert await token_status(service, change) == 200
    client = (await admin.get(f"{path}/{change['client_id']}")).json()
    assert (client["name"], client["person"]) == ("pta-officer-9", "Bilal Ahmed")
    assert client["client_id"] == change["oauth_client_id"]
    assert refused(await admin.post(path, json=body)) == (409, "name_taken")


async def test_confirming_and_withdrawing_are_idempotent_and_exclude_each_other(
    service: Service, admin: Caller, second: Caller
) -> None:
    path = f"{regulator(admin)}/clients"
    kept, dropped = [await asked(await admin.post(path, json={"name": f"new-{n}"})) for n in range(2)]
    first = await confirm(second, kept)
    assert (await confirm(second, kept)).json() == first.json()
    assert refused(await admin.delete(kept["path"])) == (409, "change_not_pending")
    gone = await second.delete(dropped["path"])
    assert (gone.status_code, gone.json()["status"]) == (200, "withdrawn")
    assert (await admin.delete(dropped["path"])).json() == gone.json()
    assert refused(await confirm(second, dropped)) == (409, "change_not_pending")
    assert await token_status(service, dropped) == 401


async def test_of_concurrent_confirmations_and_withdrawals_one_takes_effect(
    service: Service, admin: Caller, second: Caller, third: Caller
) -> None:
    change = await asked(await admin.post(f"{regulator(admin)}/clients", json={"name": "new"}))
    confirms = [confirm(caller, change) for caller in (second, third) for _ in range(3)]
    answers = await asyncio.gather(*confirms, admin.delete(change["path"]))
    settled = {(each.json()["status"], each.json()["settled_by"]) for each in answers if each.status_code == 200}
    assert len(settled) == 1
    assert {each.status_code for each in answers} <= {200, 409}


async def test_a_change_ends_by_time_by_disabling_its_requester_and_by_another_change_of_the_client(
    service: Service, admin: Caller, second: Caller, third: Caller
) -> None:
    target = await service.officer("pta-officer-2")
    lapsed = await asked(await admin.post(f"{path_of(target.credentials)}/rotate", headers=ANY))
    expire = "UPDATE client_changes SET expires_at = now() - interval '1 second'"
    await postgres.execute(service.settings.database_url, expire)
    assert refused(await confirm(second, lapsed)) == (409, "change_not_pending")
    assert (await admin.get(lapsed["path"])).json()["status"] == "lapsed"

    outdated = await asked(await admin.post(f"{path_of(target.credentials)}/rotate", headers=ANY))
    narrow = await admin.patch(path_of(target.credentials), json={"scopes": ["reviews:read"]}, headers=ANY)
    assert narrow.status_code == 200
    assert refused(await confirm(second, outdated)) == (409, "change_not_pending")

    orphaned = await asked(await third.post(f"{path_of(target.credentials)}/rotate", headers=ANY))
    assert (await admin.post(f"{path_of(third.credentials)}/disable", headers=ANY)).status_code == 200
    assert refused(await confirm(second, orphaned)) == (409, "change_not_pending")
    listed = (await admin.get(f"{regulator(admin)}/client-changes")).json()["items"]
    assert [each["id"] for each in listed] == [lapsed["id"], outdated["id"], orphaned["id"]]
    pending = (await admin.get(f"{regulator(admin)}/client-changes?status=pending&limit=1")).json()
    assert [each["id"] for each in pending["items"]] == [outdated["id"]]
    assert pending["next_cursor"]


async def test_disabling_a_client_and_removing_scopes_or_keys_need_no_confirmation(
    service: Service, admin: Caller, second: Caller
) -> None:
    target = await service.officer("pta-officer-2")
    path = path_of(target.credentials)
    keys = public(KEYS["Ed25519"], KEYS["ES256"])
    change = await asked(await admin.request("PUT", f"{path}/keys", json={"jwks": keys}, headers=ANY))
    assert (await confirm(second, change)).status_code == 200
    fewer = await admin.request("PUT", f"{path}/keys", json={"jwks": {"keys": keys["keys"][:1]}}, headers=ANY)
    assert (fewer.status_code, len(fewer.json()["jwks"]["keys"])) == (200, 1)
    none = await admin.request("PUT", f"{path}/keys", json={}, headers=ANY)
    assert (none.status_code, none.json()["jwks"]) == (200, None)

    narrowed = await admin.patch(path, json={"scopes": ["reviews:read"]}, headers=ANY)
    assert (narrowed.status_code, narrowed.json()["scopes"]) == (200, ["reviews:read"])
    await service.app.state.revocations.refresh()
    assert (await target.get("/v1/review-decisions")).status_code == 401
    assert (await admin.patch(path, json={"scopes": ["reviews:read"]}, headers=ANY)).json() == narrowed.json()
    assert (await admin.post(f"{path}/disable", headers=ANY)).status_code == 200


async def test_an_invalid_change_is_refused_when_it_is_requested(service: Service, admin: Caller) -> None:
    path, clients = path_of(admin.credentials), f"{regulator(admin)}/clients"
    for answer, expected in (
        (await admin.post(f"{path}/rotate"), (428, "precondition_required")),
        (await admin.post(f"{path}/rotate", headers={"If-Match": '"7"'}), (412, "version_mismatch")),
        (await admin.post(clients, json={"name": "pta-admin-1"}), (409, "name_taken")),
        (await admin.post(clients, json={"name": "x", "scopes": ["nothing"]}), (422, "invalid_value")),
        (await admin.post(clients, json={"name": "x", "person": "90001-1234567-1"}), (422, "invalid_value")),
        (await admin.post(clients, json={"name": "x", "person": "x" * 101}), (422, "invalid_value")),
        (await admin.patch(path, json={"person": "90001-1234567-1"}, headers=ANY), (422, "invalid_value")),
        (await admin.patch(path, json={"scopes": None}, headers=ANY), (422, "missing_field")),
        (await admin.patch(path, json={"scopes": ["nothing"]}, headers=ANY), (422, "invalid_value")),
        (await admin.patch(path, json={"name": "x"}, headers=ANY), (422, "invalid_value")),
        (await admin.get(f"{regulator(admin)}/client-changes/{uuid4()}"), (404, "not_found")),
        (await admin.post(f"{regulator(admin)}/client-changes/{uuid4()}/confirm"), (404, "not_found")),
    ):
        assert refused(answer) == expected
    assert (await admin.get(f"{regulator(admin)}/client-changes")).json()["items"] == []


async def test_a_name_that_was_taken_meanwhile_is_refused_when_the_change_is_confirmed(
    service: Service, admin: Caller, second: Caller
) -> None:
    path = f"{regulator(admin)}/clients"
    first, other = [await asked(await admin.post(path, json={"name": "new"})) for _ in range(2)]
    assert (await confirm(second, first)).status_code == 200
    assert refused(await confirm(second, other)) == (409, "name_taken")
    assert (await admin.get(other["path"])).json()["status"] == "pending"


async def test_changes_of_other_partners_clients_need_no_confirmation(
    service: Service, admin: Caller, pseb: Caller
) -> None:
    answers = await changes_of(admin, pseb.credentials)
    assert [each.status_code for each in answers[:3]] == [200, 200, 200]
    assert refused(answers[3]) == (422, "invalid_value")  # scopes beyond its kind
    assert answers[4].json()["person"] == "somebody else"
    made = await admin.post(f"/v1/partners/{pseb.credentials.partner_id}/clients", json={"name": "second"})
    assert made.status_code == 201
    assert (await admin.get(f"/v1/partners/{pseb.credentials.partner_id}/client-changes")).json()["items"] == []


async def test_clients_of_every_partner_of_kind_regulator_need_confirmation(service: Service, admin: Caller) -> None:
    shadow = await admin.post("/v1/partners", json={"name": "shadow", "kind": "regulator"})
    change = await asked(await admin.post(f"{shadow.headers['Location']}/clients", json={"name": "x", "person": "x"}))
    assert refused(await confirm(admin, change)) == (403, "second_person_required")


async def test_a_change_is_found_under_its_own_partner_and_by_administrators_only(
    service: Service, admin: Caller, officer: Caller, pseb: Caller
) -> None:
    change = await asked(await admin.post(f"{regulator(admin)}/clients", json={"name": "new"}))
    elsewhere = f"/v1/partners/{pseb.credentials.partner_id}/client-changes/{change['id']}"
    assert refused(await admin.get(elsewhere)) == (404, "not_found")
    for caller in (officer, pseb):
        for answer in (
            await caller.get(change["path"]),
            await caller.get(f"{regulator(admin)}/client-changes"),
            await confirm(caller, change),
            await caller.delete(change["path"]),
        ):
            assert refused(answer) == (403, "forbidden")


async def test_events_of_changes_hold_neither_secrets_nor_names(
    service: Service, admin: Caller, second: Caller, pseb: Caller
) -> None:
    path = f"{regulator(admin)}/clients"
    kept, dropped = [await asked(await admin.post(path, json={"name": f"n-{n}", "person": "Zara"})) for n in range(2)]
    await confirm(second, kept)
    await admin.delete(dropped["path"])
    events = await wait_for_event(admin, "client_change.withdrawn")
    found = [(each["name"], each["actor_client_id"]) for each in events if each["subject_id"] == kept["id"]]
    assert found == [
        ("client_change.asked", str(admin.credentials.id)),
        ("client_change.confirmed", str(second.credentials.id)),
    ]
    (withdrawn,) = [each for each in events if each["name"] == "client_change.withdrawn"]
    assert withdrawn["subject_id"] == dropped["id"]
    (made,) = [each for each in events if each["subject_id"] == kept["client_id"]]
    assert (made["name"], made["actor_client_id"]) == ("client.created", str(second.credentials.id))
    assert not any(word in str(events) for word in ("Zara", kept["client_secret"], dropped["client_secret"]))
    seen = (await pseb.get("/v1/events?limit=500")).json()["items"]
    assert not [each for each in seen if each["name"].startswith(("client", "client_change"))
                and each["subject_id"] in (kept["id"], kept["client_id"])]  # fmt: skip


async def test_users_of_an_identity_provider_are_persons_by_their_subjects(service: Service, admin: Caller) -> None:
    async with service.database.transaction() as tx:
        one, other = [await partners.add_external_client(tx, "pta", "https://idp", name) for name in ("a", "b")]
        assert one
        assert other
        users = await store.client_users(tx, one.id, [other.id, admin.credentials.id])
    assert users.possibly_own([one.id, other.id, admin.credentials.id]) == {one.id}
