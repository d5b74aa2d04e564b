"""A change of a regulator's client from its request to its confirmation, withdrawal or lapse."""

import asyncio
from uuid import uuid4

from app.partners.rules import ALLOWED, OF_OTHERS, PartnerKind
from tests.support import postgres
from tests.support.client_changes import (
    ANY,
    client_path,
    confirm,
    pending_change,
    regulator_path,
    status_and_code,
    token_status,
)
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service


async def test_a_confirmed_new_client_has_the_secret_that_its_requester_was_shown(
    service: Service, admin: Caller, second: Caller
) -> None:
    path = f"{regulator_path(admin)}/clients"
    body, key = {"name": "pta-officer-9", "person": "Bilal Ahmed"}, {"Idempotency-Key": "once"}
    first, again = [await admin.post(path, json=body, headers=key) for _ in range(2)]
    change = await pending_change(first)
    assert again.json() == first.json()
    assert (await admin.get(f"{path}/{change['client_id']}")).status_code == 404
    assert await token_status(service, change) == 401
    read = await second.get(change["path"])
    assert change["client_secret"] not in read.text
    assert read.json()["details"]["scopes"] == sorted(
        ALLOWED[PartnerKind.REGULATOR] - OF_OTHERS - {"partners:admin", "clients:manage"}
    )

    assert (await confirm(second, change)).status_code == 200
    assert await token_status(service, change) == 200
    client = (await admin.get(f"{path}/{change['client_id']}")).json()
    assert (client["name"], client["person"]) == ("pta-officer-9", "Bilal Ahmed")
    assert client["client_id"] == change["oauth_client_id"]
    assert status_and_code(await admin.post(path, json=body)) == (409, "name_taken")


async def test_confirming_and_withdrawing_are_idempotent_and_exclude_each_other(
    service: Service, admin: Caller, second: Caller
) -> None:
    path = f"{regulator_path(admin)}/clients"
    kept, dropped = [await pending_change(await admin.post(path, json={"name": f"new-{n}"})) for n in range(2)]
    first = await confirm(second, kept)
    assert (await confirm(second, kept)).json() == first.json()
    assert status_and_code(await admin.delete(kept["path"])) == (409, "change_not_pending")
    gone = await second.delete(dropped["path"])
    assert (gone.status_code, gone.json()["status"]) == (200, "withdrawn")
    assert (await admin.delete(dropped["path"])).json() == gone.json()
    assert status_and_code(await confirm(second, dropped)) == (409, "change_not_pending")
    assert await token_status(service, dropped) == 401


async def test_of_concurrent_confirmations_and_withdrawals_one_takes_effect(
    service: Service, admin: Caller, second: Caller, third: Caller
) -> None:
    change = await pending_change(await admin.post(f"{regulator_path(admin)}/clients", json={"name": "new"}))
    confirms = [confirm(caller, change) for caller in (second, third) for _ in range(3)]
    answers = await asyncio.gather(*confirms, admin.delete(change["path"]))
    settled = {(each.json()["status"], each.json()["settled_by"]) for each in answers if each.status_code == 200}
    assert len(settled) == 1
    assert {each.status_code for each in answers} <= {200, 409}


async def test_a_change_ends_by_time_by_disabling_its_requester_and_by_another_change_of_the_client(
    service: Service, admin: Caller, second: Caller, third: Caller
) -> None:
    target = await service.officer("pta-officer-2")
    lapsed = await pending_change(await admin.post(f"{client_path(target.credentials)}/rotate", headers=ANY))
    expire = "UPDATE client_changes SET expires_at = now() - interval '1 second'"
    await postgres.execute(service.settings.database_url, expire)
    assert status_and_code(await confirm(second, lapsed)) == (409, "change_not_pending")
    assert (await admin.get(lapsed["path"])).json()["status"] == "lapsed"

    outdated = await pending_change(await admin.post(f"{client_path(target.credentials)}/rotate", headers=ANY))
    narrow = await admin.patch(client_path(target.credentials), json={"scopes": ["reviews:read"]}, headers=ANY)
    assert narrow.status_code == 200
    assert status_and_code(await confirm(second, outdated)) == (409, "change_not_pending")

    orphaned = await pending_change(await third.post(f"{client_path(target.credentials)}/rotate", headers=ANY))
    assert (await admin.post(f"{client_path(third.credentials)}/disable", headers=ANY)).status_code == 200
    assert status_and_code(await confirm(second, orphaned)) == (409, "change_not_pending")
    listed = (await admin.get(f"{regulator_path(admin)}/client-changes")).json()["items"]
    assert [each["id"] for each in listed] == [lapsed["id"], outdated["id"], orphaned["id"]]
    pending = (await admin.get(f"{regulator_path(admin)}/client-changes?status=pending&limit=1")).json()
    assert [each["id"] for each in pending["items"]] == [outdated["id"]]
    assert pending["next_cursor"]


async def test_an_invalid_change_is_refused_when_it_is_requested(service: Service, admin: Caller) -> None:
    path, clients = client_path(admin.credentials), f"{regulator_path(admin)}/clients"
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
        (await admin.get(f"{regulator_path(admin)}/client-changes/{uuid4()}"), (404, "not_found")),
        (await admin.post(f"{regulator_path(admin)}/client-changes/{uuid4()}/confirm"), (404, "not_found")),
    ):
        assert status_and_code(answer) == expected
    assert (await admin.get(f"{regulator_path(admin)}/client-changes")).json()["items"] == []


async def test_a_name_that_was_taken_meanwhile_is_refused_when_the_change_is_confirmed(
    service: Service, admin: Caller, second: Caller
) -> None:
    path = f"{regulator_path(admin)}/clients"
    first, other = [await pending_change(await admin.post(path, json={"name": "new"})) for _ in range(2)]
    assert (await confirm(second, first)).status_code == 200
    assert status_and_code(await confirm(second, other)) == (409, "name_taken")
    assert (await admin.get(other["path"])).json()["status"] == "pending"


async def test_a_change_is_found_under_its_own_partner_and_by_administrators_only(
    service: Service, admin: Caller, officer: Caller, pseb: Caller
) -> None:
    change = await pending_change(await admin.post(f"{regulator_path(admin)}/clients", json={"name": "new"}))
    elsewhere = f"/v1/partners/{pseb.credentials.partner_id}/client-changes/{change['id']}"
    assert status_and_code(await admin.get(elsewhere)) == (404, "not_found")
    for caller in (officer, pseb):
        for answer in (
            await caller.get(change["path"]),
            await caller.get(f"{regulator_path(admin)}/client-changes"),
            await confirm(caller, change),
            await caller.delete(change["path"]),
        ):
            assert status_and_code(answer) == (403, "forbidden")


async def test_events_of_changes_hold_neither_secrets_nor_names(
    service: Service, admin: Caller, second: Caller, pseb: Caller
) -> None:
    path = f"{regulator_path(admin)}/clients"
    kept, dropped = [
        await pending_change(await admin.post(path, json={"name": f"n-{n}", "person": "Zara"})) for n in range(2)
    ]
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
