"""Operations of a partner on its webhooks."""

from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import select

from app.webhooks import models
from app.webhooks.rules import MAX_WEBHOOKS
from tests.support import cases, hostile_urls
from tests.support.events import wait_for_event
from tests.support.receiver import Receiver
from tests.support.service import Caller, Service
from tests.support.webhooks import create_webhook, tell, url_of

TAG_1 = {"If-Match": '"1"'}
ANY = {"If-Match": "*"}
PUBLIC = "https://receiver.example/hook"


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_url_of_an_internal_host_is_refused(pseb: Caller, receiver: Receiver) -> None:
    webhook = await create_webhook(pseb, receiver)
    for url in filter(str.strip, hostile_urls.URLS):
        answer = await pseb.post("/v1/webhooks", json={"url": url})
        assert answer.status_code == 422, url
        assert cases.codes(answer).keys() == {"/url"}, url
        changed = await pseb.patch(webhook["path"], json={"url": url}, headers=TAG_1)
        assert cases.codes(changed) == cases.codes(answer), url
    assert [each["id"] for each in (await pseb.get("/v1/webhooks")).json()["items"]] == [webhook["id"]]
    assert receiver.accepted == 0


async def test_all_errors_of_a_webhook_are_reported_at_once(pseb: Caller) -> None:
    refused: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({}, {"/url": "missing_field"}),
        ({"url": " ", "event_types": []}, {"/url": "missing_field", "/event_types": "missing_field"}),
        ({"url": 5, "status": "active"}, {"/url": "invalid_value", "/status": "invalid_value"}),
        ({"url": "http://receiver.example/"}, {"/url": "url_refused"}),
        ({"url": PUBLIC, "event_types": ["registration"]}, {"/event_types/0": "invalid_value"}),
        ({"url": PUBLIC, "event_types": ["*", "a.*.b", "x.y\n\u0000"]},
         {"/event_types/1": "invalid_value", "/event_types/2": "invalid_value"}),
        ({"url": PUBLIC, "event_types": ["*"] * 51}, {"/event_types": "invalid_value"}),
        ({"url": PUBLIC, "description": "x" * 201}, {"/description": "invalid_value"}),
        ({"url": f"https://receiver.example/{'x' * 2_000}"}, {"/url": "invalid_value"}),
    ]  # fmt: skip
    for body, expected in refused:
        answer = await pseb.post("/v1/webhooks", json=body)
        assert (answer.status_code, cases.codes(answer)) == (422, expected), body
    assert (await pseb.get("/v1/webhooks")).json()["items"] == []


async def test_a_webhook_needs_the_scope_to_read_events(service: Service) -> None:
    for scopes in (["webhooks:manage"], ["events:read"]):
        caller = await service.caller("pseb", client=scopes[0].partition(":")[0], scopes=scopes)
        assert code(await caller.post("/v1/webhooks", json={"url": PUBLIC})) == (403, "forbidden")
        assert code(await caller.get("/v1/webhooks")) == (403, "forbidden")


async def test_another_partners_webhook_is_not_found_even_by_the_regulator(
    pseb: Caller, pasha: Caller, nayatel: Caller, officer: Caller, receiver: Receiver
) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    for caller in (pasha, nayatel, officer):
        for answer in (
            await caller.get(path),
            await caller.get(f"{path}/deliveries"),
            await caller.patch(path, json={"url": PUBLIC}, headers=ANY),
            await caller.delete(path, headers=ANY),
            await caller.post(f"{path}/rotate-secret", headers=ANY),
            await caller.post(f"{path}/test"),
            await caller.post(f"{path}/replay", json={"after": str(uuid4())}),
        ):
            assert code(answer) == (404, "not_found"), answer.request.url
        assert (await caller.get("/v1/webhooks")).json()["items"] == []
    assert (await pseb.get(path)).json()["version"] == 1


async def test_a_change_needs_the_current_version(pseb: Caller, receiver: Receiver) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    for method, address, body in (
        ("PATCH", path, {"json": {"description": "x"}}),
        ("DELETE", path, {}),
        ("POST", f"{path}/rotate-secret", {}),
    ):
        assert code(await pseb.request(method, address, **body)) == (428, "precondition_required")
        stale = await pseb.request(method, address, headers={"If-Match": '"2"'}, **body)
        assert code(stale) == (412, "version_mismatch")
    assert (await pseb.get(path)).headers["ETag"] == '"1"'


async def test_the_number_of_a_partners_webhooks_is_limited(pseb: Caller, pasha: Caller, receiver: Receiver) -> None:
    for _ in range(MAX_WEBHOOKS):
        path = (await create_webhook(pseb, receiver))["path"]
    assert code(await pseb.post("/v1/webhooks", json={"url": PUBLIC})) == (409, "webhook_limit")
    await create_webhook(pasha, receiver)
    assert (await pseb.delete(path, headers=TAG_1)).status_code == 204
    await create_webhook(pseb, receiver)


async def test_a_replay_needs_an_existing_event(pseb: Caller, receiver: Receiver) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    for body, expected in (
        ({}, "missing_field"),
        ({"after": "x"}, "invalid_value"),
        ({"after": str(uuid4())}, "invalid_value"),
    ):
        answer = await pseb.post(f"{path}/replay", json=body)
        assert cases.codes(answer) == {"/after": expected}


async def test_a_disabled_webhook_cannot_be_tested(pseb: Caller, receiver: Receiver) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    await pseb.patch(path, json={"status": "disabled"}, headers=TAG_1)
    assert code(await pseb.post(f"{path}/test")) == (409, "webhook_disabled")


async def test_a_secret_is_shown_once_and_stored_sealed(service: Service, pseb: Caller, receiver: Receiver) -> None:
    webhook = await create_webhook(pseb, receiver)
    rotated = (await pseb.post(f"{webhook['path']}/rotate-secret", headers=TAG_1)).json()
    assert rotated["secret"] != webhook["secret"]
    assert rotated["public_key"] == webhook["public_key"]
    for path in (webhook["path"], "/v1/webhooks", "/v1/events?limit=500"):
        text = (await pseb.get(path)).text
        assert "whsec_" not in text
        assert "whsk_" not in text
    async with service.database.transaction(read_only=True) as tx:
        kept = (await tx.scalars(select(models.Webhook))).one()
        columns = ("sealed_secret", "sealed_previous_secret", "sealed_private_key")
        sealed = [getattr(kept, column) for column in columns]
        opened = [
            tx.keyring.unseal_text(f"webhooks.{column}", each) for column, each in zip(columns, sealed, strict=True)
        ]
    assert opened[:2] == [rotated["secret"], webhook["secret"]]
    assert opened[2].startswith("whsk_")
    assert not any(secret[6:20].encode() in text for secret in opened for text in sealed)


async def test_one_idempotency_key_creates_one_webhook_and_shows_its_secret_again(
    pseb: Caller, receiver: Receiver
) -> None:
    body, headers = {"url": url_of(receiver)}, {"Idempotency-Key": "once"}
    first = await pseb.post("/v1/webhooks", json=body, headers=headers)
    again = await pseb.post("/v1/webhooks", json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert len((await pseb.get("/v1/webhooks")).json()["items"]) == 1


async def test_a_webhook_is_created_read_changed_and_deleted(pseb: Caller, receiver: Receiver) -> None:
    answer = await pseb.post("/v1/webhooks", json={"url": PUBLIC, "description": "Inbox"})
    shown = answer.json()
    path = answer.headers["Location"]
    assert path == f"/v1/webhooks/{shown['id']}"
    assert shown.pop("secret").startswith("whsec_")
    assert (shown["event_types"], shown["status"], shown["disabled_reason"]) == (["*"], "active", None)
    assert shown["public_key"].startswith("whpk_")
    assert (await pseb.get(path)).json() == shown
    assert (await pseb.get(path, headers={"If-None-Match": '"1"'})).status_code == 304

    change = {"event_types": ["registration.*"], "description": None, "url": url_of(receiver)}
    changed = await pseb.patch(path, json=change, headers=TAG_1)
    assert changed.headers["ETag"] == '"2"'
    assert {name: changed.json()[name] for name in change} == change
    unchanged = await pseb.patch(path, json=change, headers={"If-Match": '"2"'})
    assert unchanged.headers["ETag"] == '"2"'

    disabled = (await pseb.patch(path, json={"status": "disabled"}, headers={"If-Match": '"2"'})).json()
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "by_partner")
    enabled = (await pseb.patch(path, json={"status": "active"}, headers={"If-Match": '"3"'})).json()
    assert (enabled["status"], enabled["disabled_reason"]) == ("active", None)

    assert (await pseb.delete(path, headers={"If-Match": '"4"'})).status_code == 204
    assert code(await pseb.get(path)) == (404, "not_found")


async def test_events_of_a_webhook_are_recorded_for_its_partner_alone(
    pseb: Caller, pasha: Caller, receiver: Receiver
) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    await pseb.patch(path, json={"status": "disabled"}, headers=TAG_1)
    await pseb.patch(path, json={"status": "active"}, headers={"If-Match": '"2"'})
    await pseb.post(f"{path}/rotate-secret", headers={"If-Match": '"3"'})
    await pseb.delete(path, headers={"If-Match": '"4"'})
    names = [
        each["name"] for each in await wait_for_event(pseb, "webhook.deleted") if each["name"].startswith("webhook.")
    ]
    assert names == [
        "webhook.created", "webhook.disabled", "webhook.changed", "webhook.secret_rotated", "webhook.deleted",
    ]  # fmt: skip
    await tell(pasha, "bulk_upload.last")
    assert not any(each["name"].startswith("webhook.") for each in await wait_for_event(pasha, "bulk_upload.last"))
