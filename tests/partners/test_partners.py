"""Administration of partners and clients."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from app.partners.models import Client
from app.partners.rules import PartnerKind, default_scopes
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.feed import FEED
from tests.support.service import Caller, Service
from tests.support.signing import KEY, claims_of, form_of, public, signed

GRANT = {"grant_type": "client_credentials"}
TAG_1 = {"If-Match": '"1"'}


async def _partner(admin: Caller, **body: Any) -> str:
    answer = await admin.post("/v1/partners", json={"name": "indus", "kind": "association", **body})
    assert answer.status_code == 201, answer.text
    location: str = answer.headers["Location"]
    return location


async def _client(admin: Caller, partner: str, **body: Any) -> dict[str, Any]:
    answer = await admin.post(f"{partner}/clients", json={"name": "portal", **body})
    assert answer.status_code == 201, answer.text
    return {**answer.json(), "path": answer.headers["Location"]}


async def _token_status(service: Service, client: dict[str, Any]) -> int:
    answer = await service.http.post("/oauth/token", data=GRANT, auth=(client["client_id"], client["client_secret"]))
    return answer.status_code


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_only_an_administrator_has_access_to_partners(service: Service, pseb: Caller, nayatel: Caller) -> None:
    reviewer = await service.caller("pta", PartnerKind.REGULATOR, scopes=["reviews:write"])
    for caller in (pseb, nayatel, reviewer):
        own = f"/v1/partners/{caller.credentials.partner_id}"
        client = f"{own}/clients/{caller.credentials.id}"
        for path in ("/v1/partners", own, f"{own}/clients", client):
            assert _code(await caller.get(path)) == (403, "forbidden"), path
        for path in ("/v1/partners", f"{own}/clients", f"{client}/rotate", f"{client}/disable"):
            answer = await caller.post(path, json={"name": "x", "kind": "regulator"}, headers=TAG_1)
            assert _code(answer) == (403, "forbidden"), path


async def test_a_partner_needs_a_name_a_kind_and_an_operators_code(admin: Caller) -> None:
    refused: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({}, {"/name": "missing_field", "/kind": "missing_field"}),
        ({"name": "Bad Name", "kind": "bank"}, {"/name": "invalid_value", "/kind": "invalid_value"}),
        ({"name": "-x", "kind": "operator"}, {"/name": "invalid_value", "/operator": "missing_field"}),
        ({"name": "x" * 64, "kind": "association"}, {"/name": "invalid_value"}),
        ({"name": "x\n", "kind": "association"}, {"/name": "invalid_value"}),
        ({"name": "x", "kind": "association", "operator": "ptcl"}, {"/operator": "invalid_value"}),
        ({"name": "x", "kind": "regulator", "id": str(uuid4())}, {"/id": "invalid_value"}),
    ]
    for body, expected in refused:
        answer = await admin.post("/v1/partners", json=body)
        assert (answer.status_code, cases.codes(answer)) == (422, expected)
    assert len((await admin.get("/v1/partners")).json()["items"]) == 1


async def test_names_are_unique_among_partners_and_among_a_partners_clients(admin: Caller) -> None:
    partner, other = await _partner(admin), await _partner(admin, name="other")
    await _client(admin, partner)
    assert _code(await admin.post("/v1/partners", json={"name": "indus", "kind": "regulator"})) == (409, "name_taken")
    assert _code(await admin.post(f"{partner}/clients", json={"name": "portal"})) == (409, "name_taken")
    await _client(admin, other)


async def test_a_client_cannot_have_scopes_beyond_its_partners_kind(admin: Caller) -> None:
    partner = await _partner(admin)
    scopes = ["registrations:read", "reviews:write", "partners:admin", "nothing"]
    answer = await admin.post(f"{partner}/clients", json={"name": "portal", "scopes": scopes})
    assert answer.status_code == 422
    assert cases.codes(answer) == {f"/scopes/{place}": "invalid_value" for place in (1, 2, 3)}
    assert (await admin.get(f"{partner}/clients")).json()["items"] == []


async def test_a_client_is_found_under_its_own_partner_only(admin: Caller) -> None:
    partner, other = await _partner(admin), await _partner(admin, name="other")
    client = await _client(admin, partner)
    elsewhere = f"{other}/clients/{client['id']}"
    for path in (
        f"/v1/partners/{uuid4()}",
        f"/v1/partners/{uuid4()}/clients",
        f"{partner}/clients/{uuid4()}",
        elsewhere,
    ):
        assert _code(await admin.get(path)) == (404, "not_found"), path
    for path in (f"{elsewhere}/rotate", f"{elsewhere}/disable", f"{partner}/clients/{uuid4()}/rotate"):
        assert _code(await admin.post(path, headers=TAG_1)) == (404, "not_found"), path
    assert _code(await admin.post(f"/v1/partners/{uuid4()}/clients", json={"name": "x"})) == (404, "not_found")


@pytest.mark.parametrize("change", ["rotate", "disable"])
async def test_a_change_of_a_client_needs_its_current_version(service: Service, admin: Caller, change: str) -> None:
    client = await _client(admin, await _partner(admin))
    path = f"{client['path']}/{change}"
    assert _code(await admin.post(path)) == (428, "precondition_required")
    for stale in ('"2"', '"0"', 'W/"2"', '"x"'):
        assert _code(await admin.post(path, headers={"If-Match": stale})) == (412, "version_mismatch"), stale
    assert _code(await admin.post(path, headers={"If-Match": "1"})) == (422, "invalid_value")
    assert await _token_status(service, client) == 200
    changed = await admin.post(path, headers=TAG_1)
    assert (changed.status_code, changed.headers["ETag"], changed.json()["version"]) == (200, '"2"', 2)
    assert _code(await admin.post(path, headers=TAG_1)) == (412, "version_mismatch")


async def test_a_disabled_client_stays_disabled(service: Service, admin: Caller) -> None:
    client = await _client(admin, await _partner(admin))
    disabled = await admin.post(f"{client['path']}/disable", headers=TAG_1)
    assert disabled.json()["disabled_at"]
    assert await _token_status(service, client) == 401
    again = await admin.post(f"{client['path']}/disable", headers={"If-Match": '"2"'})
    assert (again.status_code, again.json()) == (200, disabled.json())
    rotated = await admin.post(f"{client['path']}/rotate", headers={"If-Match": '"2"'})
    assert await _token_status(service, rotated.json()) == 401


async def test_a_secret_is_shown_once_has_256_bits_and_is_stored_as_a_keyed_hash(
    service: Service, admin: Caller
) -> None:
    partner = await _partner(admin)
    client = await _client(admin, partner)
    secret = client["client_secret"]
    assert len(secret) >= 43
    for path in (client["path"], f"{partner}/clients"):
        answer = await admin.get(path)
        assert answer.status_code == 200
        assert "client_secret" not in answer.text
        assert secret not in answer.text
    async with service.database.transaction(read_only=True) as tx:
        kept = (await tx.scalars(select(Client).where(Client.client_id == client["client_id"]))).one()
    assert kept.secret_hash
    assert kept.secret_hash == service.database.keyring.keyed_hash("client-secret", secret)
    assert secret not in kept.secret_hash


async def test_partners_and_clients_are_created_and_read(admin: Caller) -> None:
    location = await _partner(admin, name="zong-isp", kind="operator", operator="zong")
    partner = await admin.get(location)
    assert partner.headers["ETag"] == '"1"'
    shown = partner.json()
    assert (shown["name"], shown["kind"], shown["operator"]) == ("zong-isp", "operator", "zong")
    assert shown in (await admin.get("/v1/partners")).json()["items"]

    all_scopes = await _client(admin, location)
    narrow = await _client(admin, location, name="firewall", scopes=["allowlist:read", "allowlist:read"])
    assert all_scopes["scopes"] == sorted(default_scopes(PartnerKind.OPERATOR))
    assert narrow["scopes"] == ["allowlist:read"]
    listed = (await admin.get(f"{location}/clients")).json()["items"]
    assert [client["name"] for client in listed] == ["portal", "firewall"]
    assert (await admin.get(narrow["path"])).json() == listed[1]


async def test_changes_of_partners_and_clients_are_recorded_as_events(admin: Caller) -> None:
    partner = await _partner(admin)
    client = await _client(admin, partner)
    await admin.post(f"{client['path']}/rotate", headers=TAG_1)
    await admin.post(f"{client['path']}/disable", headers={"If-Match": '"2"'})
    events = [event for event in await wait_for_event(admin, "client.disabled") if event["actor_client_id"]]
    assert [event["name"] for event in events] == [
        "partner.created",
        "client.created",
        "client.rotated",
        "client.disabled",
    ]
    assert {event["actor_client_id"] for event in events} == {str(admin.credentials.id)}
    assert client["client_secret"] not in str(events)


async def test_a_change_of_a_partner_needs_its_version_and_valid_fields(admin: Caller) -> None:
    partner, other = await _partner(admin), await _partner(admin, name="other")
    own = f"/v1/partners/{admin.credentials.partner_id}"
    assert _code(await admin.patch(partner, json={"name": "x"})) == (428, "precondition_required")
    stale = await admin.patch(partner, json={"name": "x"}, headers={"If-Match": '"2"'})
    assert _code(stale) == (412, "version_mismatch")
    assert _code(await admin.patch(f"/v1/partners/{uuid4()}", json={}, headers=TAG_1)) == (404, "not_found")
    assert _code(await admin.patch(partner, json={"name": "other"}, headers=TAG_1)) == (409, "name_taken")
    refused: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        (partner, {"name": "Bad Name", "disabled": True}, {"/name": "invalid_value"}),
        (partner, {"disabled": "no"}, {"/disabled": "invalid_value"}),
        (partner, {"name": None, "disabled": None}, {"/name": "missing_field", "/disabled": "missing_field"}),
        (partner, {"kind": "regulator"}, {"/kind": "invalid_value"}),
        (own, {"disabled": True}, {"/disabled": "invalid_value"}),
    ]
    for path, body, expected in refused:
        answer = await admin.patch(path, json=body, headers={"If-Match": "*"})
        assert (answer.status_code, cases.codes(answer)) == (422, expected), body
    for path in (partner, other):
        assert (await admin.get(path)).json()["version"] == 1


async def test_a_partner_is_renamed_and_its_tokens_stay_valid(admin: Caller, pseb: Caller) -> None:
    path = f"/v1/partners/{pseb.credentials.partner_id}"
    answer = await admin.patch(path, json={"name": "pseb-lahore"}, headers=TAG_1)
    assert (answer.status_code, answer.json()["name"], answer.headers["ETag"]) == (200, "pseb-lahore", '"2"')
    again = await admin.patch(path, json={"name": "pseb-lahore", "disabled": False}, headers={"If-Match": '"2"'})
    assert again.json() == answer.json()
    assert (await pseb.get("/v1/me")).json()["partner"]["name"] == "pseb-lahore"
    event = (await wait_for_event(admin, "partner.renamed"))[-1]
    assert event["details"] == {"name": "pseb-lahore", "former_name": "pseb"}
    assert event["actor_client_id"] == str(admin.credentials.id)


async def test_a_disabled_partner_has_no_access_until_it_is_enabled_and_its_grants_stay(
    service: Service, admin: Caller, pseb: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, admin)
    assert await service.publish()
    for caller in (pseb, nayatel):
        auth = (caller.credentials.client_id, caller.credentials.client_secret)
        assert (await service.http.get(FEED, auth=auth)).status_code == 200
        path = f"/v1/partners/{caller.credentials.partner_id}"
        disabled = await admin.patch(path, json={"disabled": True}, headers=TAG_1)
        assert disabled.json()["disabled_at"]
        await service.app.state.revocations.refresh()  # as after the notification
        assert (await caller.get("/v1/me")).status_code == 401
        assert (await service.http.get(FEED, auth=auth)).status_code == 401
        assert (await service.http.post("/oauth/token", data=GRANT, auth=auth)).status_code == 401
        assert await service.publish() is None
        assert case["networks"][0] in (await admin.get(FEED)).text
        assert (await admin.get(f"/v1/registrations/{case['id']}")).json()["status"] == "approved"
        enabled = await admin.patch(path, json={"disabled": False}, headers={"If-Match": '"2"'})
        assert enabled.json()["disabled_at"] is None
        assert (await service.http.get(FEED, auth=auth)).status_code == 200
        assert (await service.http.post("/oauth/token", data=GRANT, auth=auth)).status_code == 200
        assert (await caller.get("/v1/me")).status_code == 401  # the former token stays revoked
    names = [each["name"] for each in await wait_for_event(admin, "partner.enabled")]
    assert {"partner.disabled", "partner.enabled"} <= set(names)


async def test_a_disabled_partner_cannot_authenticate_by_keys_or_with_a_client_made_meanwhile(
    service: Service, admin: Caller, pseb: Caller
) -> None:
    path = f"/v1/partners/{pseb.credentials.partner_id}"
    keys = f"{path}/clients/{pseb.credentials.id}/keys"
    await admin.request("PUT", keys, json={"jwks": public(KEY)}, headers={"If-Match": "*"})
    await admin.patch(path, json={"disabled": True}, headers={"If-Match": "*"})
    assertion = signed(claims_of(service, pseb.credentials.client_id))
    assert (await service.http.post("/oauth/token", data=form_of(assertion))).status_code == 401
    assert await _token_status(service, await _client(admin, path)) == 401
