"""Rules of webhooks: subscribed events, retries, concurrency, and when a webhook is disabled."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from uuid import UUID

TEST_EVENT = "webhook.test"
MAX_WEBHOOKS = 20
# the schedule that the Standard Webhooks specification proposes: ten attempts in three days
RETRY_DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
ATTEMPTS = len(RETRY_DELAYS) + 1
CONCURRENT_WEBHOOKS = 30  # in one worker
CONCURRENT_WEBHOOKS_OF_A_PARTNER = 10
JITTER = 0.2
MAX_PAUSE = timedelta(hours=24)
DISABLED_AFTER = timedelta(days=5)
SECRET_OVERLAP = timedelta(hours=24)
DELIVERIES_KEPT = timedelta(days=30)


class WebhookStatus(StrEnum):
    """Status of a webhook; nothing is sent to a disabled one."""

    ACTIVE = "active"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Reason why a webhook is disabled: its partner, status 410, or days of failures."""

    BY_PARTNER = "by_partner"
    GONE = "gone"
    FAILING = "failing"


class DeliveryStatus(StrEnum):
    """Status of a delivery; ``failed`` after its last attempt."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


def wants(event_types: Iterable[str], name: str) -> bool:
    """True when one of the types (``registration.approved``, ``registration.*``, ``*``) matches an event's name."""
    subject, _, _ = name.partition(".")
    return not {"*", f"{subject}.*", name}.isdisjoint(event_types)


def choose_webhooks(due: Iterable[tuple[UUID, UUID]], active: Mapping[UUID, UUID]) -> list[tuple[UUID, UUID]]:
    """Return the ``due`` webhooks to start sending to, beside the ``active`` ones; each with its partner.

    A limit for each partner keeps slow endpoints of one from using all the concurrency.
    """
    counts = Counter(active.values())
    chosen: list[tuple[UUID, UUID]] = []
    for webhook_id, partner_id in due:
        is_below = counts[partner_id] < CONCURRENT_WEBHOOKS_OF_A_PARTNER and counts.total() < CONCURRENT_WEBHOOKS
        if webhook_id not in active and is_below:
            counts[partner_id] += 1
            chosen.append((webhook_id, partner_id))
    return chosen


def is_delivered(status: int | None) -> bool:
    """True for a 2xx response, which alone acknowledges a delivery."""
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def next_attempt(attempts: int, now: datetime, jitter: float) -> datetime | None:
    """Return the time of the next attempt after ``attempts`` failed ones, or None after the last.

    ``jitter`` from 0 to 1 adds up to ``JITTER`` of the delay, so that deliveries that failed together spread out.
    """
    if attempts >= ATTEMPTS:
        return None
    return now + RETRY_DELAYS[attempts - 1] * (1 + JITTER * jitter)


def pause_until(retry_after: str | None, now: datetime) -> datetime | None:
    """Return the time that a ``Retry-After`` header (RFC 9110, section 10.2.3) asks to wait until, at most a day ahead.

    None without the header, and for one that is neither seconds nor a future date.
    """
    if not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return now + min(timedelta(seconds=int(retry_after[:9])), MAX_PAUSE)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # raised for numbers beyond the range of dates
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(until, now + MAX_PAUSE) if until > now else None


def reason_to_disable(statuses: Iterable[int | None], failing_since: datetime | None, now: datetime) -> str | None:
    """Return the reason to disable a webhook after responses of these statuses (None: no response), or None.

    ``failing_since`` is the time of its first failed attempt since the last success.
    """
    if HTTPStatus.GONE in statuses:
        return DisabledReason.GONE
    if failing_since is not None and now - failing_since >= DISABLED_AFTER:
        return DisabledReason.FAILING
    return None
