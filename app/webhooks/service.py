"""Operations on webhooks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from app.core.database.transaction import Transaction
from app.core.errors import Invalid, InvalidValue
from app.core.outbound.client import Outbound
from app.core.outbound.url_policy import UrlRefused
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.core.validation.schemas import validate
from app.events import store as events
from app.events.store import NewEvent
from app.webhooks import rules, signing, store
from app.webhooks.errors import WebhookDisabled, WebhookLimit
from app.webhooks.models import PREVIOUS_SECRET, PRIVATE_KEY, SECRET, Webhook
from app.webhooks.rules import DisabledReason, WebhookStatus
from app.webhooks.schemas import NewWebhook, WebhookChange, WebhookDetails


@dataclass(frozen=True, slots=True)
class Issued:
    """A webhook and its new secret in clear, which is shown only once."""

    webhook: Webhook
    secret: str


async def create(tx: Transaction, principal: Principal, outbound: Outbound, body: NewWebhook) -> Issued:
    """Create a webhook that receives events from now on. Raises ``WebhookLimit``, ``Invalid``."""
    _check_url(outbound, body.url)
    if await store.count_webhooks(tx, principal.partner_id) >= rules.MAX_WEBHOOKS:
        raise WebhookLimit(f"A partner has at most {rules.MAX_WEBHOOKS} webhooks.")
    secret, private_key = signing.new_secret(), signing.new_private_key()
    webhook = Webhook(
        id=uuid7(),
        partner_id=principal.partner_id,
        **body.model_dump(),
        sealed_secret=tx.keyring.seal_text(SECRET, secret),
        sealed_private_key=tx.keyring.seal_text(PRIVATE_KEY, private_key),
        public_key=signing.public_key_of(private_key),
    )
    await store.add(tx, webhook)
    webhook.after = await _record(tx, principal, "webhook.created", webhook)
    return Issued(webhook, secret)


def _check_url(outbound: Outbound, url: str) -> None:
    try:
        outbound.check(url)
    except UrlRefused as refused:
        raise Invalid.of([UrlRefused.at("/url", refused.detail)]) from None


async def _record(tx: Transaction, actor: Principal | None, name: str, webhook: Webhook) -> UUID:
    """Record an event of a webhook and return the event's id."""
    details = {"url": webhook.url, "status": webhook.status, "reason": webhook.disabled_reason}
    event = NewEvent(name, webhook.id, webhook.partner_id, details=details)
    (event_id,) = await events.record(tx, actor, [event])
    return event_id


async def change(
    tx: Transaction,
    principal: Principal,
    outbound: Outbound,
    webhook_id: UUID,
    if_match: IfMatch,
    patch: WebhookChange,
) -> Webhook:
    """Apply a merge patch to a webhook. Raises ``NotFound``, ``VersionMismatch``, ``Invalid``."""
    webhook = await store.get(tx, principal, webhook_id, lock=True)
    if_match.check(webhook)
    current = {name: getattr(webhook, name) for name in WebhookDetails.model_fields}
    details = validate(WebhookDetails, patch.apply_to(current)).model_dump()
    _check_url(outbound, details["url"])
    if details == current:
        return webhook
    for name, value in details.items():
        setattr(webhook, name, value)
    if details["status"] != current["status"]:
        disabled = details["status"] == WebhookStatus.DISABLED
        webhook.disabled_reason = DisabledReason.BY_PARTNER if disabled else None
    webhook.failing_since = webhook.paused_until = None
    await store.save(tx, webhook)
    name = "webhook.disabled" if webhook.status != current["status"] == WebhookStatus.ACTIVE else "webhook.changed"
    await _record(tx, principal, name, webhook)
    return webhook


async def rotate_secret(tx: Transaction, principal: Principal, webhook_id: UUID, if_match: IfMatch) -> Issued:
    """Give a webhook a new secret; the previous one also signs for a day. Raises ``NotFound``, ``VersionMismatch``."""
    webhook = await store.get(tx, principal, webhook_id, lock=True)
    if_match.check(webhook)
    secret = signing.new_secret()
    old = tx.keyring.unseal_text(SECRET, webhook.sealed_secret)
    webhook.sealed_previous_secret = tx.keyring.seal_text(PREVIOUS_SECRET, old)
    webhook.previous_secret_until = datetime.now(UTC) + rules.SECRET_OVERLAP
    webhook.sealed_secret = tx.keyring.seal_text(SECRET, secret)
    await store.save(tx, webhook)
    await _record(tx, principal, "webhook.secret_rotated", webhook)
    return Issued(webhook, secret)


async def delete(tx: Transaction, principal: Principal, webhook_id: UUID, if_match: IfMatch) -> None:
    """Delete a webhook. Raises ``NotFound``, ``VersionMismatch``."""
    webhook = await store.get(tx, principal, webhook_id, lock=True)
    if_match.check(webhook)
    await store.remove(tx, webhook)
    await _record(tx, principal, "webhook.deleted", webhook)


async def send_test(tx: Transaction, principal: Principal, webhook_id: UUID) -> UUID:
    """Record an event for this webhook alone and return its id. Raises ``NotFound``, ``WebhookDisabled``."""
    webhook = await store.get(tx, principal, webhook_id)
    if webhook.status == WebhookStatus.DISABLED:
        raise WebhookDisabled
    return await _record(tx, principal, rules.TEST_EVENT, webhook)


async def replay(tx: Transaction, principal: Principal, webhook_id: UUID, after: UUID) -> Webhook:
    """Deliver the events after ``after`` again. Raises ``NotFound``, ``Invalid`` without such an event."""
    webhook = await store.get(tx, principal, webhook_id, lock=True)
    try:
        await events.read(tx, principal, after=after, limit=1)
    except Invalid:
        raise Invalid.of([InvalidValue.at("/after", "There is no event with this id.")]) from None
    await store.delete_ended_after(tx, webhook, after)
    webhook.after = after
    await tx.flush()
    return webhook


async def disable(tx: Transaction, webhook: Webhook, reason: str) -> None:
    """Disable a webhook and record it in its partner's log."""
    webhook.status, webhook.disabled_reason = WebhookStatus.DISABLED, reason
    await store.save(tx, webhook)
    await _record(tx, None, "webhook.disabled", webhook)
