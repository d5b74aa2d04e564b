"""Delivery of events to webhooks: reads the event log, sends requests, and retries until they are acknowledged."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from app.core.database.engine import Database
from app.core.database.outages import is_outage
from app.core.database.transaction import Transaction
from app.core.outbound.client import TOTAL_SECONDS, Outbound, Unreachable
from app.core.outbound.url_policy import UrlRefused
from app.core.principal import Principal
from app.core.process.loops import attempt
from app.core.validation.schemas import Timestamp
from app.events import store as events
from app.events.schemas import Event
from app.webhooks import rules, service, signing, store
from app.webhooks.models import PREVIOUS_SECRET, PRIVATE_KEY, SECRET, Webhook
from app.webhooks.rules import DeliveryStatus
from app.webhooks.store import AttemptResult, ClaimedDelivery

EVENTS_AT_ONCE = 500
DELIVERIES_AT_ONCE = 5  # to one webhook
LEASE = timedelta(seconds=4 * TOTAL_SECONDS)
RESPONSE_BYTES = 1024
INTERNAL_ERROR = "The service failed during this attempt."
INTERRUPTED = "The service was interrupted during the last attempt."
_random = random.SystemRandom()
log = structlog.get_logger(__name__)


class Payload(BaseModel):
    """Body of a request (Standard Webhooks); ``data`` is the event as ``GET /v1/events`` shows it."""

    type: str
    timestamp: Timestamp
    data: Event


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Claimed deliveries to one webhook, with all that sending them needs."""

    url: str
    partner_id: UUID
    secrets: Sequence[str]
    private_key: str
    deliveries: Sequence[ClaimedDelivery]
    events: Mapping[UUID, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: the response's status and ``Retry-After``, or the reason why there was none."""

    delivery: ClaimedDelivery
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None


class Deliverer:
    """Delivers events; workers share the deliveries by row locks and claims. ``clock`` returns the time in UTC."""

    def __init__(
        self, database: Database, outbound: Outbound, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._outbound = outbound
        self._clock = clock
        self._active: dict[UUID, UUID] = {}  # webhooks that are being sent to, with their partners

    async def run(self, seconds: float) -> None:
        """Deliver until cancelled, polling every ``seconds``."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self.add_deliveries()
                    for webhook_id, partner_id in rules.choose_webhooks(await self._find_due(), self._active):
                        self._active[webhook_id] = partner_id
                        group.create_task(self._send_until_done(webhook_id))
                except (SQLAlchemyError, OSError) as error:
                    log.warning("webhooks failed; retrying", error=repr(error)[:500])
                except Exception:
                    log.exception("webhooks failed; retrying")
                await asyncio.sleep(seconds)

    async def run_once(self) -> None:
        """Add deliveries for new events, and send all that are due."""
        await self.add_deliveries()
        for webhook_id, _ in await self._find_due():
            while await self._send_batch(webhook_id):
                pass

    async def add_deliveries(self) -> None:
        """Add a delivery for each new event to the webhooks that subscribe to it."""
        async with self._database.transaction(read_only=True) as tx:
            behind = await store.find_behind(tx)
        for webhook_id in behind:  # a webhook that fails does not stop the others
            await attempt(f"add deliveries for webhook {webhook_id}", partial(self._add_deliveries_for, webhook_id))

    async def _add_deliveries_for(self, webhook_id: UUID) -> None:
        has_more = True
        while has_more:
            async with self._database.transaction() as tx:
                has_more = await self._add_some(tx, webhook_id)

    async def _add_some(self, tx: Transaction, webhook_id: UUID) -> bool:
        """Add deliveries for the next events of the log; return whether more may follow."""
        webhook = await store.lock_active(tx, webhook_id)
        if webhook is None or webhook.after is None:
            return False
        newest = await events.newest_settled_id(tx, after=webhook.after)
        if newest is None:
            return False
        found = await events.read(tx, _principal_of(webhook), after=webhook.after, limit=EVENTS_AT_ONCE)
        wanted = [(each.id, each.name) for each in found if _wants(webhook, each)]
        await store.add_deliveries(tx, webhook.id, wanted, self._clock())
        has_more = len(found) == EVENTS_AT_ONCE
        # a short page ends at or after the newest event, so the position can move on to it
        webhook.after = found[-1].id if has_more else newest
        return has_more

    async def _find_due(self) -> list[tuple[UUID, UUID]]:
        async with self._database.transaction(read_only=True) as tx:
            found = await store.find_due(tx, self._clock())
        _random.shuffle(found)  # so that no webhook is always first
        return found

    async def _send_until_done(self, webhook_id: UUID) -> None:
        """Send to one webhook until nothing is due; a slow endpoint delays no other."""
        try:
            while await self._send_batch(webhook_id):
                pass
        except (SQLAlchemyError, OSError) as error:
            log.warning("webhook failed; retrying", webhook_id=str(webhook_id), error=repr(error)[:500])
        except Exception:
            log.exception("webhook failed; retrying", webhook_id=str(webhook_id))
        finally:
            del self._active[webhook_id]

    async def _send_batch(self, webhook_id: UUID) -> bool:
        """Claim due deliveries, send them outside a transaction, record the results; return False if none was due."""
        async with self._database.transaction() as tx:
            batch = await self._claim(tx, webhook_id)
        if batch is None:
            return False
        attempts = await asyncio.gather(*(self._attempt(batch, each) for each in batch.deliveries))
        try:
            async with self._database.transaction() as tx:
                await self._record(tx, webhook_id, attempts)
        except Exception as fault:
            if is_outage(fault):
                raise
            log.exception("results of deliveries could not be recorded", webhook_id=str(webhook_id))
            failed = [Attempt(each, error=INTERNAL_ERROR) for each in batch.deliveries]
            async with self._database.transaction() as tx:
                await store.record_attempts(tx, [_result_of(each, self._clock()) for each in failed])
        return True

    async def _claim(self, tx: Transaction, webhook_id: UUID) -> ClaimedBatch | None:
        now = self._clock()
        webhook = await store.lock_active(tx, webhook_id)
        if webhook is None or (webhook.paused_until and webhook.paused_until > now):
            return None
        claimed = await store.claim(tx, webhook_id, now, limit=DELIVERIES_AT_ONCE, lease=LEASE)
        if not claimed:
            return None
        exhausted = [each for each in claimed if each.attempts > rules.ATTEMPTS]
        if exhausted:  # the worker of the last attempt died before it recorded the result
            interrupted = [Attempt(each, error=INTERRUPTED) for each in exhausted]
            await store.record_attempts(tx, [_result_of(each, now) for each in interrupted])
            claimed = [each for each in claimed if each not in exhausted]
        found = await events.read_by_ids(tx, _principal_of(webhook), [each.event_id for each in claimed])
        return ClaimedBatch(
            url=webhook.url,
            partner_id=webhook.partner_id,
            secrets=_secrets(tx, webhook, now),
            private_key=tx.keyring.unseal_text(PRIVATE_KEY, webhook.sealed_private_key),
            deliveries=claimed,
            events={each.id: each for each in found},
        )

    async def _attempt(self, batch: ClaimedBatch, delivery: ClaimedDelivery) -> Attempt:
        """Send a delivery once. Any exception is a failed attempt, so that every attempt counts."""
        found = batch.events.get(delivery.event_id)
        if found is None:
            return Attempt(delivery, error="The event is no longer visible to the partner.")
        try:
            return await self._send(batch, delivery, found)
        except UrlRefused as refused:
            return Attempt(delivery, error=refused.detail)
        except Unreachable as unreachable:
            return Attempt(delivery, error=str(unreachable))
        except Exception:
            log.exception("delivery failed by an internal error", delivery_id=str(delivery.id))
            return Attempt(delivery, error=INTERNAL_ERROR)

    async def _send(self, batch: ClaimedBatch, delivery: ClaimedDelivery, found: Any) -> Attempt:
        event = Event.model_validate(found)
        body = Payload(type=event.type, timestamp=event.occurred_at, data=event).model_dump_json()
        signed = signing.headers(str(event.id), self._clock(), body, whsec=batch.secrets, private_key=batch.private_key)
        response = await self._outbound.request(
            "POST",
            batch.url,
            headers={"Content-Type": "application/json", **signed},
            content=body.encode(),
            limit=RESPONSE_BYTES,
            owner=str(batch.partner_id),
        )
        return Attempt(delivery, response.status, retry_after=response.headers.get("retry-after"))

    async def _record(self, tx: Transaction, webhook_id: UUID, attempts: Sequence[Attempt]) -> None:
        """Record the results of attempts, and pause or disable the webhook by them."""
        now = self._clock()
        webhook = await store.lock_active(tx, webhook_id, wait=True)  # locked first, as by a deletion
        await store.record_attempts(tx, [_result_of(each, now) for each in attempts])
        if webhook is None:
            return
        if any(rules.is_delivered(each.status) for each in attempts):
            webhook.failing_since = None
        elif webhook.failing_since is None:
            webhook.failing_since = now
        pauses = [until for each in attempts if (until := rules.pause_until(each.retry_after, now))]
        webhook.paused_until = max(pauses, default=None)
        reason = rules.reason_to_disable([each.status for each in attempts], webhook.failing_since, now)
        if reason:
            await service.disable(tx, webhook, reason)


def _principal_of(webhook: Webhook) -> Principal:
    """Return a principal that reads the event log as the webhook's partner does."""
    return webhook.partner.principal(webhook.id, ())


def _wants(webhook: Webhook, event: Any) -> bool:
    if event.name == rules.TEST_EVENT:
        return bool(event.subject_id == webhook.id)
    return rules.wants(webhook.event_types, event.name)


def _secrets(tx: Transaction, webhook: Webhook, now: datetime) -> list[str]:
    secrets = [tx.keyring.unseal_text(SECRET, webhook.sealed_secret)]
    if webhook.sealed_previous_secret and webhook.previous_secret_until and webhook.previous_secret_until > now:
        secrets.append(tx.keyring.unseal_text(PREVIOUS_SECRET, webhook.sealed_previous_secret))
    return secrets


def _result_of(sent: Attempt, now: datetime) -> AttemptResult:
    number, next_attempt = sent.delivery.attempts, None
    status = DeliveryStatus.DELIVERED
    if not rules.is_delivered(sent.status):
        next_attempt = rules.next_attempt(number, now, _random.random())
        status = DeliveryStatus.PENDING if next_attempt else DeliveryStatus.FAILED
    settled_at = None if next_attempt else now
    return AttemptResult(sent.delivery.id, number, status, next_attempt, sent.status, sent.error, settled_at)


async def forget_old_deliveries(tx: Transaction) -> None:
    """Delete deliveries that ended more than ``DELIVERIES_KEPT`` ago."""
    await store.delete_ended_before(tx, datetime.now(UTC) - rules.DELIVERIES_KEPT)
