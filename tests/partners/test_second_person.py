"""Changes that extend the access of a regulator's client take effect when a second person confirms them."""

from app.partners import service as partners
from app.partners import store
from app.partners.rules import PartnerKind
from tests.support.client_changes import (
    ADMINS,
    ANY,
    client_path,
    confirm,
    pending_change,
    read_client,
    regulator_path,
    request_changes,
    status_and_code,
    token_status,
)
from tests.support.service import Caller, Service
from tests.support.signing import KEYS, public


async def test_a_change_that_extends_an_officers_access_takes_effect_only_when_a_second_person_confirms_it(
    service: Service, admin: Caller
) -> None:
    victim = await service.officer("pta-officer-2")
    before = await read_client(admin, victim.credentials)
    changes = [await pending_change(each) for each in await request_changes(admin, victim.credentials)]
    assert await read_client(admin, victim.credentials) == before
    assert await service.token(victim.credentials)
    assert (await victim.get("/v1/registrations")).status_code == 200
    assert await token_status(service, changes[0]) == 401
    for change in changes:
        assert status_and_code(await confirm(admin, change)) == (403, "second_person_required")
    assert await read_client(admin, victim.credentials) == before


async def test_neither_the_requester_nor_the_clients_person_can_confirm_a_change_but_a_third_person_can(
    service: Service, admin: Caller, second: Caller, third: Caller
) -> None:
    change = await pending_change(
        await admin.post(f"{client_path(second.credentials)}/rotate?overlap_seconds=0", headers=ANY)
    )
    for caller in (admin, second):
        assert status_and_code(await confirm(caller, change)) == (403, "second_person_required")
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
    change = await pending_change(await admin.post(f"{regulator_path(admin)}/clients", json={"name": "new"}))
    for caller in (admin, twin, unnamed):
        assert status_and_code(await confirm(caller, change)) == (403, "second_person_required")
    assert "client person" in (await confirm(unnamed, change)).json()["detail"]

    by_unnamed = await pending_change(await unnamed.post(f"{regulator_path(admin)}/clients", json={"name": "other"}))
    answer = await confirm(admin, by_unnamed)
    assert status_and_code(answer) == (403, "second_person_required")
    assert "client person" in answer.json()["detail"]


async def test_the_new_person_of_a_client_cannot_confirm_either(
    service: Service, admin: Caller, second: Caller, third: Caller
) -> None:
    new = {"name": "new", "person": "pta-admin-2"}
    made = await pending_change(await admin.post(f"{regulator_path(admin)}/clients", json=new))
    assert status_and_code(await confirm(second, made)) == (403, "second_person_required")
    named = await pending_change(
        await admin.patch(client_path(third.credentials), json={"person": "Pta-Admin-2"}, headers=ANY)
    )
    assert status_and_code(await confirm(second, named)) == (403, "second_person_required")
    assert status_and_code(await confirm(third, named)) == (403, "second_person_required")
    assert (await confirm(third, made)).status_code == 200


async def test_disabling_a_client_and_removing_scopes_or_keys_need_no_confirmation(
    service: Service, admin: Caller, second: Caller
) -> None:
    target = await service.officer("pta-officer-2")
    path = client_path(target.credentials)
    keys = public(KEYS["Ed25519"], KEYS["ES256"])
    change = await pending_change(await admin.request("PUT", f"{path}/keys", json={"jwks": keys}, headers=ANY))
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


async def test_changes_of_other_partners_clients_need_no_confirmation(
    service: Service, admin: Caller, pseb: Caller
) -> None:
    answers = await request_changes(admin, pseb.credentials)
    assert [each.status_code for each in answers[:3]] == [200, 200, 200]
    assert status_and_code(answers[3]) == (422, "invalid_value")  # scopes beyond its kind
    assert answers[4].json()["person"] == "somebody else"
    made = await admin.post(f"/v1/partners/{pseb.credentials.partner_id}/clients", json={"name": "second"})
    assert made.status_code == 201
    assert (await admin.get(f"/v1/partners/{pseb.credentials.partner_id}/client-changes")).json()["items"] == []


async def test_clients_of_every_partner_of_kind_regulator_need_confirmation(service: Service, admin: Caller) -> None:
    shadow = await admin.post("/v1/partners", json={"name": "shadow", "kind": "regulator"})
    change = await pending_change(
        await admin.post(f"{shadow.headers['Location']}/clients", json={"name": "x", "person": "x"})
    )
    assert status_and_code(await confirm(admin, change)) == (403, "second_person_required")


async def test_users_of_an_identity_provider_are_persons_by_their_subjects(service: Service, admin: Caller) -> None:
    async with service.database.transaction() as tx:
        one, other = [await partners.add_external_client(tx, "pta", "https://idp", name) for name in ("a", "b")]
        assert one
        assert other
        users = await store.client_users(tx, one.id, [other.id, admin.credentials.id])
    assert users.possibly_own([one.id, other.id, admin.credentials.id]) == {one.id}
