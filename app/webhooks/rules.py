"""Which events a webhook wants, when an attempt is repeated, and when a webhook is given up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from uuid import UUID

TEST_EVENT = "webhook.test"
EVENT_TYPE = r"^(\*|[a-z][a-z_]{0,49}\.(\*|[a-z][a-z_]{0,49}))$"
MOST_WEBHOOKS = 20
# The wait after each failed attempt, as the specification of Standard Webhooks proposes: ten attempts in three days.
WAITS = (
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
ATTEMPTS = len(WAITS) + 1
LANES = 30  # webhooks that a worker sends to at the same time
PARTNER_LANES = 10  # of them, those of one partner
JITTER = 0.2
LONGEST_PAUSE = timedelta(hours=24)
GIVEN_UP_AFTER = timedelta(days=5)
SECRET_OVERLAP = timedelta(hours=24)
KEPT = timedelta(days=30)


class WebhookStatus(StrEnum):
    """Whether a webhook is sent to."""

    ACTIVE = "active"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Why a webhook is not sent to."""

    BY_PARTNER = "by_partner"
    GONE = "gone"
    FAILING = "failing"


class DeliveryStatus(StrEnum):
    """How far a delivery is: on its way, taken by the receiver, or given up after the last attempt."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


def wants(event_types: Iterable[str], name: str) -> bool:
    """Whether one of the types (``registration.approved``, ``registration.*``, ``*``) is that of an event."""
    subject, _, _ = name.partition(".")
    return not {"*", f"{subject}.*", name}.isdisjoint(event_types)


def in_turn(due: Iterable[tuple[UUID, UUID]], busy: Mapping[UUID, UUID]) -> list[tuple[UUID, UUID]]:
    """The webhooks to begin with now, of those that are ``due``, while others are ``busy``; each with its partner.

    No partner has more than ``PARTNER_LANES`` under way, so that its slow receivers leave the others theirs.
    """
    held = Counter(busy.values())
    chosen: list[tuple[UUID, UUID]] = []
    for webhook_id, partner_id in due:
        if webhook_id not in busy and held[partner_id] < PARTNER_LANES and held.total() < LANES:
            held[partner_id] += 1
            chosen.append((webhook_id, partner_id))
    return chosen


def is_taken(status: int | None) -> bool:
    """Whether a response says that the receiver has the event: 2xx, and nothing else."""
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def next_attempt(attempts: int, now: datetime, jitter: float) -> datetime | None:
    """When to try again after ``attempts`` have failed, None: no more.

    ``jitter`` between 0 and 1 says how much of up to ``JITTER`` of the wait is added, so that what failed
    together does not come again together.
    """
    if attempts >= ATTEMPTS:
        return None
    return now + WAITS[attempts - 1] * (1 + JITTER * jitter)


def pause(retry_after: str | None, now: datetime) -> datetime | None:
    """Until when a ``Retry-After`` (RFC 9110, 10.2.3) asks to be left alone; at most a day, None: it does not.

    Whatever the field holds, nothing is raised: what is neither seconds nor a date asks for nothing.
    """
    if not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return now + min(timedelta(seconds=int(retry_after[:9])), LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # a number that no date holds overflows
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(until, now + LONGEST_PAUSE) if until > now else None


def reason_to_disable(statuses: Iterable[int | None], failing_since: datetime | None, now: datetime) -> str | None:
    """Why a webhook is not sent to any more after these responses (None: no response), if so.

    ``failing_since`` is when its first attempt failed since the last success.
    """
    if HTTPStatus.GONE in statuses:
        return DisabledReason.GONE
    if failing_since is not None and now - failing_since >= GIVEN_UP_AFTER:
        return DisabledReason.FAILING
    return None
