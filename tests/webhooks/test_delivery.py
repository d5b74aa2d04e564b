"""Delivery of events: at least once, to the right webhooks, in the format of Standard Webhooks."""

import asyncio
import json
from datetime import timedelta

from standardwebhooks import Webhook

from app.core.outbound.client import Outbound
from app.core.settings import Settings
from app.events import store as events
from app.events.store import NewEvent
from app.webhooks.delivery import DELIVERIES_AT_ONCE, Deliverer
from app.webhooks.rules import DELIVERIES_KEPT
from app.webhooks.store import delete_ended_before
from tests.support import cases, hostile_urls
from tests.support.events import wait_for_event
from tests.support.receiver import Received, Receiver, answering
from tests.support.service import Caller, Service
from tests.support.webhooks import Clock, create_webhook, deliveries, tell, types, until_received, until_recorded

TAG_1 = {"If-Match": '"1"'}


def ids(received: list[Received]) -> list[str]:
    return [each.headers["webhook-id"] for each in received]


async def test_a_name_of_an_internal_address_is_never_connected_to(
    service: Service, pseb: Caller, receiver: Receiver, settings: Settings, clock: Clock
) -> None:
    webhook = await create_webhook(pseb, receiver, url="https://receiver.example/hook")

    async def inside(_: str, __: int) -> list[str]:
        return [addresses.pop(0) if len(addresses) > 1 else addresses[0]]

    deliverer = Deliverer(service.database, Outbound(settings, inside), clock)
    addresses = list(hostile_urls.ADDRESSES)
    events = len(addresses) * DELIVERIES_AT_ONCE  # deliveries that are sent at once share a look-up
    await tell(pseb, *["bulk_upload.opened"] * events)
    found = await until_recorded(deliverer, pseb, webhook["path"], events)
    assert addresses == list(hostile_urls.ADDRESSES)[-1:]
    assert {each["last_error"] for each in found} == {"The host has an address that is not public."}
    assert {each["response_status"] for each in found} == {None}
    assert receiver.accepted == 0


async def test_a_redirect_is_a_failed_attempt_and_no_body_is_stored(
    pseb: Caller, receiver: Receiver, other_receiver: Receiver, deliverer: Deliverer
) -> None:
    inside = f"https://127.0.0.1:{other_receiver.port}/secret"
    head = f"HTTP/1.1 302 Found\r\nLocation: {inside}\r\nX-Secret: SECRET\r\n\r\nSECRET BODY"
    receiver.respond = answering(head.encode())
    webhook = await create_webhook(pseb, receiver)
    await tell(pseb, "bulk_upload.opened")
    await until_received(deliverer, receiver, 1)
    (delivery,) = await deliveries(pseb, webhook["path"])
    assert (delivery["status"], delivery["response_status"], delivery["last_error"]) == ("pending", 302, None)
    assert other_receiver.accepted == 0
    for path in ("", "/deliveries"):
        assert "SECRET" not in (await pseb.get(webhook["path"] + path)).text


async def test_a_webhook_receives_the_events_that_its_partner_can_read_and_no_others(
    pseb: Caller, pasha: Caller, nayatel: Caller, officer: Caller, receiver: Receiver, other_receiver: Receiver,
    deliverer: Deliverer,
) -> None:  # fmt: skip
    await create_webhook(pasha, other_receiver, event_types=["*"])
    await create_webhook(nayatel, receiver, event_types=["registration.*"])
    case = await cases.submitted(pseb)
    refusal = {"reason_codes": ["other"], "note": "For the registrant alone"}
    await cases.decide(officer, case, "reject", **refusal)
    received = await until_received(deliverer, receiver, 2)
    log = await wait_for_event(nayatel, "registration.rejected")
    payloads = [json.loads(each.body) for each in received]
    assert [each["data"] for each in payloads] == [each for each in log if each["name"].startswith("registration.")]
    assert [(each["type"], each["timestamp"]) for each in payloads] == [
        (each["data"]["name"], each["data"]["occurred_at"]) for each in payloads
    ]
    assert "For the registrant alone" not in str(payloads)
    assert not any("registration" in name for name in types(other_receiver.received))


async def test_a_request_conforms_to_standard_webhooks(pseb: Caller, receiver: Receiver, deliverer: Deliverer) -> None:
    webhook = await create_webhook(pseb, receiver)
    (event_id,) = await tell(pseb, "bulk_upload.opened", note="\u067e\u0627\u06a9")
    (request,) = await until_received(deliverer, receiver, 1)
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == str(event_id)
    versions = [each.partition(",")[0] for each in request.headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1a"]
    payload = Webhook(webhook["secret"]).verify(request.body, request.headers)
    assert payload.keys() == {"type", "timestamp", "data"}
    (delivery,) = await deliveries(pseb, webhook["path"])
    assert (delivery["event_id"], delivery["event_type"]) == (str(event_id), "bulk_upload.opened")
    assert (delivery["status"], delivery["attempts"], delivery["response_status"]) == ("delivered", 1, 204)
    assert delivery["next_attempt_at"] is None


async def test_only_subscribed_types_are_sent_and_no_events_from_before_the_webhook(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer
) -> None:
    await tell(pseb, "bulk_upload.before")
    await create_webhook(pseb, receiver, event_types=["bulk_upload.*", "applicant.changed"])
    others = ("applicant.created", "bulk_uploading.done")
    await tell(pseb, "bulk_upload.opened", *others, "applicant.changed", "bulk_upload.closed")
    received = await until_received(deliverer, receiver, 3)
    assert sorted(types(received)) == ["applicant.changed", "bulk_upload.closed", "bulk_upload.opened"]


async def test_each_kind_of_partner_receives_test_events_and_events_of_its_webhooks(
    pseb: Caller, nayatel: Caller, officer: Caller, receiver: Receiver, other_receiver: Receiver, deliverer: Deliverer
) -> None:
    paths = {}
    for caller in (pseb, nayatel, officer):
        paths[caller] = (await create_webhook(caller, receiver, event_types=["webhook.*"]))["path"]
        await create_webhook(caller, other_receiver, event_types=["signing_key.revoked"])
    sent = [(await each.post(f"{path}/test")).json()["event_id"] for each, path in paths.items()]
    received = await until_received(deliverer, receiver, 6)
    tests = [each.headers["webhook-id"] for each in received if json.loads(each.body)["type"] == "webhook.test"]
    assert sorted(tests) == sorted(sent)
    for caller, path in paths.items():
        names = [each["event_type"] for each in await deliveries(caller, path)]
        assert sorted(names) == ["webhook.created", "webhook.test"]


async def test_an_event_that_commits_late_is_not_skipped(
    service: Service, pseb: Caller, receiver: Receiver, deliverer: Deliverer
) -> None:
    await create_webhook(pseb, receiver)
    event = NewEvent("bulk_upload.late", partner_id=pseb.credentials.partner_id)
    async with service.database.transaction() as tx:
        await events.record(tx, None, [event])
        await tell(pseb, "bulk_upload.early")
        for _ in range(3):
            await deliverer.run_once()
        assert receiver.received == []
    await until_received(deliverer, receiver, 2)
    await deliverer.run_once()
    assert sorted(types(receiver.received)) == ["bulk_upload.early", "bulk_upload.late"]


async def test_several_workers_share_the_work_and_send_nothing_twice(
    service: Service, settings: Settings, pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    await create_webhook(pseb, receiver)
    told_ids = await tell(pseb, *["bulk_upload.opened"] * 40)
    others = [Deliverer(service.database, Outbound(settings), clock) for _ in range(2)]
    async with asyncio.timeout(30):
        while len(receiver.received) < 40:
            await asyncio.gather(*(each.run_once() for each in (deliverer, *others)))
    await deliverer.run_once()
    assert sorted(ids(receiver.received)) == sorted(map(str, told_ids))


async def test_a_test_event_goes_to_its_webhook_alone_whatever_its_types(
    pseb: Caller, receiver: Receiver, other_receiver: Receiver, deliverer: Deliverer
) -> None:
    webhook = await create_webhook(pseb, receiver)
    await create_webhook(pseb, other_receiver, event_types=["*"])
    answer = await pseb.post(f"{webhook['path']}/test")
    assert answer.status_code == 202
    await until_received(deliverer, receiver, 1)
    assert ids(receiver.received) == [answer.json()["event_id"]]
    assert types(receiver.received) == ["webhook.test"]
    await tell(pseb, "bulk_upload.last")
    while "bulk_upload.last" not in types(other_receiver.received):
        await deliverer.run_once()
    assert "webhook.test" not in types(other_receiver.received)


async def test_a_replay_delivers_later_events_again_with_the_same_ids(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer
) -> None:
    (before,) = await tell(pseb, "bulk_upload.before")
    path = (await create_webhook(pseb, receiver))["path"]
    told_ids = [str(each) for each in await tell(pseb, *["bulk_upload.opened"] * 3)]
    await until_received(deliverer, receiver, 3)
    again = await pseb.post(f"{path}/replay", json={"after": told_ids[0]})
    assert (again.status_code, again.headers["ETag"]) == (202, '"1"')
    await until_received(deliverer, receiver, 5)
    assert sorted(ids(receiver.received)[3:]) == told_ids[1:]
    receiver.received.clear()
    await pseb.post(f"{path}/replay", json={"after": str(before)})
    await until_received(deliverer, receiver, 3)
    await deliverer.run_once()
    assert sorted(ids(receiver.received)) == told_ids
    assert [each["status"] for each in await deliveries(pseb, path)] == ["delivered"] * 3


async def test_the_previous_secret_also_signs_for_a_day(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    webhook = await create_webhook(pseb, receiver)
    old = Webhook(webhook["secret"])
    answer = await pseb.post(f"{webhook['path']}/rotate-secret", headers=TAG_1)
    new = Webhook(answer.json()["secret"])
    assert answer.json()["previous_secret_until"]
    await tell(pseb, "bulk_upload.opened")
    (request,) = await until_received(deliverer, receiver, 1)
    assert old.verify(request.body, request.headers) == new.verify(request.body, request.headers)
    clock.forward(timedelta(hours=25))
    await tell(pseb, "bulk_upload.opened")
    later = (await until_received(deliverer, receiver, 2))[1]
    assert [each.partition(",")[0] for each in later.headers["webhook-signature"].split(" ")] == ["v1", "v1a"]


async def test_a_webhook_that_is_enabled_again_receives_the_events_in_between(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer
) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    await pseb.patch(path, json={"status": "disabled"}, headers=TAG_1)
    await tell(pseb, "bulk_upload.meanwhile")
    await wait_for_event(pseb, "bulk_upload.meanwhile")
    await deliverer.run_once()
    assert receiver.accepted == 0
    await pseb.patch(path, json={"status": "active"}, headers={"If-Match": '"2"'})
    await until_received(deliverer, receiver, 1)
    assert types(receiver.received) == ["bulk_upload.meanwhile"]


async def test_deleting_a_webhook_during_a_delivery_does_not_affect_others(
    pseb: Caller, receiver: Receiver, other_receiver: Receiver, deliverer: Deliverer
) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    await create_webhook(pseb, other_receiver)

    async def vanish(_: Received, writer: asyncio.StreamWriter) -> None:
        await pseb.delete(path, headers={"If-Match": "*"})
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    receiver.respond = vanish
    await tell(pseb, "bulk_upload.opened")
    await until_received(deliverer, other_receiver, 1)
    assert (await pseb.get(path)).status_code == 404


async def test_deliveries_are_listed_newest_first_by_status_and_by_event(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer
) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    told_ids = [str(each) for each in await tell(pseb, "bulk_upload.one", "bulk_upload.two", "bulk_upload.three")]
    await until_received(deliverer, receiver, 3)
    first = (await pseb.get(f"{path}/deliveries?limit=2")).json()
    rest = (await pseb.get(f"{path}/deliveries?limit=2&cursor={first['next_cursor']}")).json()
    assert [each["event_id"] for each in [*first["items"], *rest["items"]]] == told_ids[::-1]
    assert rest["next_cursor"] is None
    (one,) = await deliveries(pseb, path, f"&event_id={told_ids[1]}&status=delivered")
    assert one["event_type"] == "bulk_upload.two"
    assert await deliveries(pseb, path, "&status=failed") == []


async def test_deliveries_that_ended_long_ago_are_deleted(
    service: Service, pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    await tell(pseb, "bulk_upload.old")
    await until_received(deliverer, receiver, 1)
    clock.forward(DELIVERIES_KEPT + timedelta(hours=1))
    receiver.respond = answering(b"HTTP/1.1 500 Oh\r\n\r\n")
    await tell(pseb, "bulk_upload.new")
    await until_received(deliverer, receiver, 2)
    async with service.database.transaction() as tx:
        await delete_ended_before(tx, clock() - DELIVERIES_KEPT)
    assert [each["event_type"] for each in await deliveries(pseb, path)] == ["bulk_upload.new"]


async def test_a_disabled_partner_is_told_nothing_and_what_happened_meanwhile_once_it_is_enabled(
    pseb: Caller, admin: Caller, receiver: Receiver, deliverer: Deliverer
) -> None:
    await create_webhook(pseb, receiver, event_types=["bulk_upload.*"])
    await tell(pseb, "bulk_upload.opened")
    await deliverer.add_deliveries()  # one waits to be sent, one is not prepared yet
    path = f"/v1/partners/{pseb.credentials.partner_id}"
    assert (await admin.patch(path, json={"disabled": True}, headers=TAG_1)).status_code == 200
    await tell(pseb, "bulk_upload.closed")
    await deliverer.run_once()
    assert receiver.accepted == 0
    assert (await admin.patch(path, json={"disabled": False}, headers={"If-Match": '"2"'})).status_code == 200
    await until_received(deliverer, receiver, 2)
    assert types(receiver.received) == ["bulk_upload.opened", "bulk_upload.closed"]
