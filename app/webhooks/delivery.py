"""The worker's part: takes events from the log and sends them, again and again until they are taken."""

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

from app.core.database.engine import Database, is_outage
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
from app.webhooks.store import Claimed, Verdict

READ_AT_ONCE = 500
SENT_AT_ONCE = 5  # to one webhook
LEASE = timedelta(seconds=4 * TOTAL_SECONDS)
READ_OF_AN_ANSWER = 1024
OUR_FAULT = "The service failed at this attempt."
NO_END = "The service did not see the last attempt to its end."
_random = random.SystemRandom()
log = structlog.get_logger(__name__)


class Payload(BaseModel):
    """The body of a request, as Standard Webhooks has it; ``data`` is what ``GET /v1/events`` shows."""

    type: str
    timestamp: Timestamp
    data: Event


@dataclass(frozen=True, slots=True)
class Batch:
    """What one turn sends to one webhook, and what it needs for it."""

    url: str
    partner_id: UUID
    secrets: Sequence[str]
    private_key: str
    claimed: Sequence[Claimed]
    events: Mapping[UUID, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt."""

    delivery: Claimed
    status: int | None = None
    error: str | None = None
    retry_after: str | None = None


def partner_of(webhook: Webhook) -> Principal:
    """The webhook's partner as the reader of the log that it is by ``GET /v1/events``."""
    partner = webhook.partner
    return Principal(webhook.id, partner.id, partner.kind, partner.operator, frozenset())  # type: ignore[arg-type]  # a constraint holds the column to the kinds


class Deliverer:
    """Delivers; any number of workers share the work by locks and claims. ``clock`` gives the time in UTC."""

    def __init__(
        self, database: Database, outbound: Outbound, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._outbound = outbound
        self._clock = clock
        self._lanes: dict[UUID, UUID] = {}  # the webhooks that are sent to, and whose each is

    async def run(self, seconds: float) -> None:
        """Deliver until cancelled, looking every so many ``seconds``."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self.take_in()
                    for webhook_id, partner_id in rules.in_turn(await self._due(), self._lanes):
                        self._lanes[webhook_id] = partner_id
                        group.create_task(self._lane(webhook_id))
                except (SQLAlchemyError, OSError) as error:
                    log.warning("webhooks failed; they go on", error=repr(error)[:500])
                except Exception:
                    log.exception("webhooks failed; they go on")
                await asyncio.sleep(seconds)

    async def turn(self) -> None:
        """Take in what happened and send all that is due now, once."""
        await self.take_in()
        for webhook_id, _ in await self._due():
            while await self._send_some(webhook_id):
                pass

    async def take_in(self) -> None:
        """Put what happened since on its way to the webhooks that want it."""
        async with self._database.transaction(read_only=True) as tx:
            behind = await store.behind(tx)
        for webhook_id in behind:  # one that cannot be read for does not keep the others waiting
            await attempt(f"take in for webhook {webhook_id}", partial(self._take_in_for, webhook_id))

    async def _take_in_for(self, webhook_id: UUID) -> None:
        more = True
        while more:
            async with self._database.transaction() as tx:
                more = await self._take_in_some(tx, webhook_id)

    async def _take_in_some(self, tx: Transaction, webhook_id: UUID) -> bool:
        webhook = await store.locked(tx, webhook_id)
        if webhook is None or webhook.after is None:
            return False
        newest = await events.newest_settled_id(tx, after=webhook.after)
        if newest is None:
            return False
        found = await events.read(tx, partner_of(webhook), after=webhook.after, limit=READ_AT_ONCE)
        wanted = [(each.id, each.name) for each in found if _wants(webhook, each)]
        await store.add_deliveries(tx, webhook.id, wanted, self._clock())
        more = len(found) == READ_AT_ONCE
        # a short page ends at or after the newest; from there on nothing before it is read again
        webhook.after = found[-1].id if more else newest
        return more

    async def _due(self) -> list[tuple[UUID, UUID]]:
        async with self._database.transaction(read_only=True) as tx:
            found = await store.due(tx, self._clock())
        _random.shuffle(found)  # so that none comes before another each time
        return found

    async def _lane(self, webhook_id: UUID) -> None:
        """Send to one webhook until nothing is due, beside the other lanes: who is slow waits alone."""
        try:
            while await self._send_some(webhook_id):
                pass
        except (SQLAlchemyError, OSError) as error:
            log.warning("webhook failed; it goes on", webhook_id=str(webhook_id), error=repr(error)[:500])
        except Exception:
            log.exception("webhook failed; it goes on", webhook_id=str(webhook_id))
        finally:
            del self._lanes[webhook_id]

    async def _send_some(self, webhook_id: UUID) -> bool:
        """Claim, send outside of any transaction, settle; whether there was something to send."""
        async with self._database.transaction() as tx:
            batch = await self._claim(tx, webhook_id)
        if batch is None:
            return False
        outcomes = await asyncio.gather(*(self._attempt(batch, each) for each in batch.claimed))
        try:
            async with self._database.transaction() as tx:
                await self._settle(tx, webhook_id, outcomes)
        except Exception as fault:
            if is_outage(fault):
                raise
            log.exception("deliveries could not be settled by their answers", webhook_id=str(webhook_id))
            failed = [Outcome(each, error=OUR_FAULT) for each in batch.claimed]
            async with self._database.transaction() as tx:
                await store.settle(tx, [_verdict(each, self._clock()) for each in failed])
        return True

    async def _claim(self, tx: Transaction, webhook_id: UUID) -> Batch | None:
        now = self._clock()
        webhook = await store.locked(tx, webhook_id)
        if webhook is None or (webhook.paused_until and webhook.paused_until > now):
            return None
        claimed = await store.claim(tx, webhook_id, now, limit=SENT_AT_ONCE, lease=LEASE)
        if not claimed:
            return None
        spent = [each for each in claimed if each.attempts > rules.ATTEMPTS]
        if spent:  # whoever made the last attempt did not live to settle it
            await store.settle(tx, [_verdict(Outcome(each, error=NO_END), now) for each in spent])
            claimed = [each for each in claimed if each not in spent]
        found = await events.read_by_ids(tx, partner_of(webhook), [each.event_id for each in claimed])
        return Batch(
            url=webhook.url,
            partner_id=webhook.partner_id,
            secrets=_secrets(tx, webhook, now),
            private_key=tx.keyring.unseal_text(PRIVATE_KEY, webhook.sealed_private_key),
            claimed=claimed,
            events={each.id: each for each in found},
        )

    async def _attempt(self, batch: Batch, delivery: Claimed) -> Outcome:
        """Send a delivery once. Whatever is raised on the way is a failed attempt, never one that did not count."""
        found = batch.events.get(delivery.event_id)
        if found is None:
            return Outcome(delivery, error="The event is not the partner's business any more.")
        try:
            return await self._send(batch, delivery, found)
        except UrlRefused as refused:
            return Outcome(delivery, error=refused.detail)
        except Unreachable as unreachable:
            return Outcome(delivery, error=str(unreachable))
        except Exception:
            log.exception("a delivery failed by a fault of ours", delivery_id=str(delivery.id))
            return Outcome(delivery, error=OUR_FAULT)

    async def _send(self, batch: Batch, delivery: Claimed, found: Any) -> Outcome:
        event = Event.model_validate(found)
        body = Payload(type=event.name, timestamp=event.occurred_at, data=event).model_dump_json()
        signed = signing.headers(str(event.id), self._clock(), body, whsec=batch.secrets, private_key=batch.private_key)
        answer = await self._outbound.request(
            "POST",
            batch.url,
            headers={"Content-Type": "application/json", **signed},
            content=body.encode(),
            limit=READ_OF_AN_ANSWER,
            owner=str(batch.partner_id),
        )
        return Outcome(delivery, answer.status, retry_after=answer.headers.get("retry-after"))

    async def _settle(self, tx: Transaction, webhook_id: UUID, outcomes: Sequence[Outcome]) -> None:
        now = self._clock()
        webhook = await store.locked(tx, webhook_id, wait=True)  # first, as whoever deletes it does
        await store.settle(tx, [_verdict(each, now) for each in outcomes])
        if webhook is None:
            return
        if any(rules.is_taken(each.status) for each in outcomes):
            webhook.failing_since = None
        elif webhook.failing_since is None:
            webhook.failing_since = now
        pauses = [until for each in outcomes if (until := rules.pause(each.retry_after, now))]
        webhook.paused_until = max(pauses, default=None)
        reason = rules.reason_to_disable([each.status for each in outcomes], webhook.failing_since, now)
        if reason:
            await service.disable(tx, webhook, reason)


def _wants(webhook: Webhook, event: Any) -> bool:
    if event.name == rules.TEST_EVENT:
        return bool(event.subject_id == webhook.id)
    return rules.wants(webhook.event_types, event.name)


def _secrets(tx: Transaction, webhook: Webhook, now: datetime) -> list[str]:
    secrets = [tx.keyring.unseal_text(SECRET, webhook.sealed_secret)]
    if webhook.sealed_previous_secret and webhook.previous_secret_until and webhook.previous_secret_until > now:
        secrets.append(tx.keyring.unseal_text(PREVIOUS_SECRET, webhook.sealed_previous_secret))
    return secrets


def _verdict(outcome: Outcome, now: datetime) -> Verdict:
    attempts = outcome.delivery.attempts
    again = None
    status = DeliveryStatus.DELIVERED
    if not rules.is_taken(outcome.status):
        again = rules.next_attempt(attempts, now, _random.random())
        status = DeliveryStatus.PENDING if again else DeliveryStatus.FAILED
    settled_at = None if again else now
    return Verdict(outcome.delivery.id, attempts, status, again, outcome.status, outcome.error, settled_at)


async def forget_old_deliveries(tx: Transaction) -> None:
    """Drop what was settled longer ago than deliveries are kept."""
    await store.forget_settled_before(tx, datetime.now(UTC) - rules.KEPT)
