"""Failed deliveries: retries, pauses, and disabled webhooks."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text

from app.core.settings import Settings
from app.webhooks.delivery import INTERNAL_ERROR, INTERRUPTED, Deliverer
from app.webhooks.rules import ATTEMPTS
from tests.support import processes
from tests.support.events import wait_for_event
from tests.support.processes import until
from tests.support.receiver import NO_CONTENT, Receiver, answering
from tests.support.service import Caller, Service
from tests.support.webhooks import Clock, create_webhook, deliveries, tell, types, until_received, until_recorded

BROKEN = b"HTTP/1.1 500 Oh no\r\n\r\n"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def walk(deliverer: Deliverer, clock: Clock, hours: int) -> None:
    """Let hours pass, and deliver after every hour."""
    for _ in range(hours):
        clock.forward(HOUR)
        await deliverer.run_once()


async def test_a_delivery_fails_after_ten_attempts_over_days(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    receiver.respond = answering(BROKEN)
    path = (await create_webhook(pseb, receiver))["path"]
    (event_id,) = await tell(pseb, "bulk_upload.opened")
    await until_received(deliverer, receiver, 1)
    await deliverer.run_once()
    assert receiver.accepted == 1  # not before its time
    await walk(deliverer, clock, 100)
    assert {each.headers["webhook-id"] for each in receiver.received} == {str(event_id)}
    times = [int(each.headers["webhook-timestamp"]) for each in receiver.received]
    assert (len(times), times) == (ATTEMPTS, sorted(set(times)))
    (delivery,) = await deliveries(pseb, path)
    assert (delivery["status"], delivery["attempts"], delivery["response_status"]) == ("failed", ATTEMPTS, 500)
    assert delivery["next_attempt_at"] is None


async def test_a_success_ends_the_retries_and_failing_since(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    receiver.respond = answering(BROKEN)
    path = (await create_webhook(pseb, receiver))["path"]
    await tell(pseb, "bulk_upload.opened")
    await until_received(deliverer, receiver, 1)
    assert (await pseb.get(path)).json()["failing_since"]
    receiver.respond = answering(NO_CONTENT)
    await walk(deliverer, clock, 3)
    (delivery,) = await deliveries(pseb, path)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)
    shown = (await pseb.get(path)).json()
    assert (shown["failing_since"], shown["version"]) == (None, 1)


@pytest.mark.parametrize("raw", [b"not http", b"", b"HTTP/1.1 204 No Content\r\nContent-Le"])
async def test_an_invalid_response_is_a_failed_attempt_with_a_reason(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer, raw: bytes
) -> None:
    receiver.respond = answering(raw)
    path = (await create_webhook(pseb, receiver))["path"]
    await tell(pseb, "bulk_upload.opened")
    await until_received(deliverer, receiver, 1)
    (delivery,) = await deliveries(pseb, path)
    assert (delivery["status"], delivery["response_status"]) == ("pending", None)
    assert delivery["last_error"] in ("The response is not HTTP/1.1.", "The connection was refused or lost.")


ABSURD = [b"Fri, 31 Dec %s 23:59:59 GMT" % (b"9" * 20), b"1e400", b"-1", b"\xd9\xa1"]


@pytest.mark.parametrize("absurd", ABSURD)
async def test_an_absurd_retry_after_is_an_ordinary_failure(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock, absurd: bytes
) -> None:
    receiver.respond = answering(b"HTTP/1.1 503 Busy\r\nRetry-After: %s\r\n\r\n" % absurd)
    path = (await create_webhook(pseb, receiver))["path"]
    await tell(pseb, "bulk_upload.opened")
    await until_received(deliverer, receiver, 1)
    await walk(deliverer, clock, 100)
    (delivery,) = await deliveries(pseb, path)
    assert (delivery["status"], delivery["attempts"], receiver.accepted) == ("failed", ATTEMPTS, ATTEMPTS)


@pytest.mark.parametrize("broken", ["_send", "_record"])
async def test_an_internal_error_is_a_failed_attempt_and_not_retried_for_ever(
    pseb: Caller,
    receiver: Receiver,
    deliverer: Deliverer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    path = (await create_webhook(pseb, receiver))["path"]
    monkeypatch.setattr(deliverer, broken, fail)
    await tell(pseb, "bulk_upload.opened")
    (delivery,) = await until_recorded(deliverer, pseb, path, 1)
    assert (delivery["attempts"], delivery["last_error"]) == (1, INTERNAL_ERROR)
    await walk(deliverer, clock, 100)
    (delivery,) = await deliveries(pseb, path)
    assert (delivery["status"], delivery["attempts"]) == ("failed", ATTEMPTS)


async def test_a_delivery_whose_last_attempt_was_interrupted_is_not_sent_again(
    service: Service, pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    await tell(pseb, "bulk_upload.opened")
    await wait_for_event(pseb, "bulk_upload.opened")
    await deliverer.add_deliveries()
    async with service.database.transaction() as tx:
        await tx.execute(text("UPDATE webhook_deliveries SET attempts = :most"), {"most": ATTEMPTS})
    await deliverer.run_once()
    (delivery,) = await deliveries(pseb, path)
    assert (delivery["status"], delivery["last_error"], receiver.accepted) == ("failed", INTERRUPTED, 0)


async def test_retry_after_pauses_the_whole_webhook(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    receiver.respond = answering(b"HTTP/1.1 429 Slow\r\nRetry-After: 7200\r\n\r\n")
    await create_webhook(pseb, receiver)
    await tell(pseb, "bulk_upload.first")
    await until_received(deliverer, receiver, 1)
    receiver.respond = answering(NO_CONTENT)
    await tell(pseb, "bulk_upload.second")
    await wait_for_event(pseb, "bulk_upload.second")
    await walk(deliverer, clock, 1)
    assert types(receiver.received) == ["bulk_upload.first"]
    await walk(deliverer, clock, 2)
    assert sorted(types(receiver.received)) == ["bulk_upload.first", "bulk_upload.first", "bulk_upload.second"]


async def test_status_410_disables_a_webhook_at_once_with_an_event(
    pseb: Caller, receiver: Receiver, other_receiver: Receiver, deliverer: Deliverer
) -> None:
    receiver.respond = answering(b"HTTP/1.1 410 Gone\r\n\r\n")
    path = (await create_webhook(pseb, receiver))["path"]
    await create_webhook(pseb, other_receiver, event_types=["webhook.disabled"])
    await tell(pseb, "bulk_upload.opened")
    await until_received(deliverer, other_receiver, 1)
    shown = (await pseb.get(path)).json()
    assert (shown["status"], shown["disabled_reason"], shown["version"]) == ("disabled", "gone", 2)
    (event,) = [each for each in await wait_for_event(pseb, "webhook.disabled") if each["name"] == "webhook.disabled"]
    assert (event["subject_id"], event["details"]["reason"]) == (shown["id"], "gone")
    await tell(pseb, "bulk_upload.closed")
    await wait_for_event(pseb, "bulk_upload.closed")
    await deliverer.run_once()
    assert receiver.accepted == 1


async def test_a_webhook_that_fails_for_five_days_is_disabled_and_loses_no_events(
    pseb: Caller, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    receiver.respond = answering(BROKEN)
    path = (await create_webhook(pseb, receiver))["path"]
    sent = 0
    while (shown := (await pseb.get(path)).json())["status"] == "active":
        assert sent < 10
        sent += 1
        await tell(pseb, f"bulk_upload.day_{'x' * sent}")
        await wait_for_event(pseb, f"bulk_upload.day_{'x' * sent}")
        clock.forward(DAY)
        await deliverer.run_once()
    assert (shown["disabled_reason"], sent) == ("failing", 6)
    asked = len(receiver.received)
    clock.forward(30 * DAY)
    await deliverer.run_once()
    assert len(receiver.received) == asked
    receiver.respond = answering(NO_CONTENT)
    await pseb.patch(path, json={"status": "active"}, headers={"If-Match": '"2"'})
    await deliverer.run_once()
    found = await deliveries(pseb, path)
    assert [each["status"] for each in found] == ["delivered"] * sent
    assert (await pseb.get(path)).json()["disabled_reason"] is None


@pytest.mark.slow
async def test_a_worker_that_is_killed_during_an_attempt_loses_no_event(
    pseb: Caller, receiver: Receiver, settings: Settings, deliverer: Deliverer, clock: Clock
) -> None:
    path = (await create_webhook(pseb, receiver))["path"]
    killed: list[bool] = []
    places, ca = '["' + '","'.join(settings.outbound_allowed) + '"]', str(settings.outbound_ca_file)
    environment = processes.environment(settings, OUTBOUND_ALLOWED=places, OUTBOUND_CA_FILE=ca)
    process = processes.start("worker", environment)

    async def kill(*_: object) -> None:
        processes.kill(process)
        killed.append(True)

    receiver.respond = kill
    await tell(pseb, *["bulk_upload.opened"] * 8)

    async def is_killed() -> bool:
        return bool(killed)

    await until(is_killed)
    receiver.respond = answering(NO_CONTENT)
    clock.forward(timedelta(minutes=2))
    await until(partial(_all_delivered, deliverer, pseb, path, 8))
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 8


async def _all_delivered(deliverer: Deliverer, caller: Caller, path: str, number: int) -> bool:
    await deliverer.run_once()
    return [each["status"] for each in await deliveries(caller, path)] == ["delivered"] * number
