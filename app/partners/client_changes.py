"""Changes of clients; those that extend the access of a regulator's client need a second person's confirmation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_never
from uuid import UUID

from uuid_utils.compat import uuid7

from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.core.validation.preconditions import ANY_VERSION, IfMatch
from app.events import store as events
from app.events.store import NewEvent
from app.partners import rules, service, store
from app.partners.errors import ChangeNotPending, SecondPersonRequired
from app.partners.models import Client, ClientChange, Partner
from app.partners.persons import UNNAMED, normalise_person
from app.partners.rules import ChangeAction, ChangeOutcome, ChangeStatus, PartnerKind
from app.partners.schemas import ClientKeys, ClientPatch, NewClient
from app.partners.service import Issued


@dataclass(frozen=True, slots=True)
class RequestedChange:
    """A change as a request describes it; ``client`` is None for a new client, ``details`` is the body."""

    action: ChangeAction
    client: Client | None
    if_match: IfMatch
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A stored change that awaits its confirmation, and the credentials that only its requester is shown."""

    change: ClientChange
    oauth_client_id: str
    client_secret: str | None


async def apply_or_defer(
    tx: Transaction, actor: Principal, partner: Partner, requested: RequestedChange
) -> Issued | PendingChange:
    """Apply a change, or store it for confirmation when it extends the access of a regulator's client.

    Raises the errors of the change in both cases.
    """
    if partner.kind == PartnerKind.REGULATOR and _extends_access(requested):
        return await _defer(tx, actor, partner, requested)
    return await _apply(tx, actor, partner, requested)


def _extends_access(requested: RequestedChange) -> bool:
    """True when somebody can do more with the changed client, or in its name, than with the current one."""
    client, details = requested.client, requested.details
    if client is None:
        return True
    match requested.action:
        case ChangeAction.CREATE | ChangeAction.ROTATE:
            return True
        case ChangeAction.KEYS:
            current = {"jwks": client.jwks, "jwks_uri": client.jwks_uri}
            return rules.adds_keys(current, ClientKeys.model_validate(details).keys())
        case ChangeAction.CHANGE:
            merged = service.merge_details(client, ClientPatch.model_validate(details))
            return merged.person != client.person or not set(merged.scopes) <= set(client.scopes)
    assert_never(requested.action)


async def _apply(
    tx: Transaction,
    actor: Principal,
    partner: Partner,
    requested: RequestedChange,
    confirmed: ClientChange | None = None,
) -> Issued:
    client, if_match, details = requested.client, requested.if_match, requested.details
    if client is None:
        return await service.create_client(tx, actor, partner, NewClient.model_validate(details), confirmed)
    match requested.action:
        case ChangeAction.ROTATE:
            return await service.rotate_secret(tx, actor, client, if_match, details["overlap_seconds"], confirmed)
        case ChangeAction.KEYS:
            keys = ClientKeys.model_validate(details)
            return Issued(await service.set_keys(tx, actor, client, if_match, keys), None)
        case _:
            patch = ClientPatch.model_validate(details)
            return Issued(await service.change_client(tx, actor, client, if_match, patch), None)


async def _defer(tx: Transaction, actor: Principal, partner: Partner, requested: RequestedChange) -> PendingChange:
    """Apply a change and roll it back, so that its errors are raised now; then store it as requested."""
    version = requested.client.version if requested.client else None
    change = ClientChange(
        id=uuid7(),
        partner_id=partner.id,
        client_version=version,
        action=requested.action,
        details=dict(requested.details),
        asked_by=actor.client_id,
        expires_at=datetime.now(UTC) + rules.CHANGE_LIFETIME,
    )
    async with tx.dry_run():
        applied = await _apply(tx, actor, partner, requested)
        change.client_id, oauth_client_id = applied.client.id, applied.client.client_id
        if requested.action == ChangeAction.CREATE:
            change.details["scopes"] = applied.client.scopes  # the second person also sees the default scopes
    secret = applied.client_secret
    change.secret_hash = service.hash_secret(tx, secret) if secret else None
    await store.add_change(tx, change)
    await _record(tx, actor, "asked", change)
    return PendingChange(change, oauth_client_id, secret)


async def confirm(tx: Transaction, actor: Principal, partner_id: UUID, change_id: UUID) -> ClientChange:
    """Apply a change that another person requested; a confirmed change is returned as it is.

    Raises ``NotFound``, ``ChangeNotPending``, ``SecondPersonRequired``, and the errors of the change itself.
    """
    change = await store.get_change(tx, partner_id, change_id, lock=True)
    if change.status == ChangeStatus.CONFIRMED:
        return change
    _refuse_unless_pending(change)
    client = None
    if change.action != ChangeAction.CREATE:
        client = await store.get_client(tx, partner_id, change.client_id, lock=True)
    await _check_second_person(tx, actor, change)
    if client and client.version != change.client_version:
        raise ChangeNotPending("The client has changed since the change was requested.")
    partner = await store.get_partner(tx, partner_id)
    requested = RequestedChange(ChangeAction(change.action), client, ANY_VERSION, change.details)
    await _apply(tx, actor, partner, requested, change)
    await store.end_change(tx, change, ChangeOutcome.CONFIRMED, actor.client_id)
    await _record(tx, actor, "confirmed", change)
    return change


def _refuse_unless_pending(change: ClientChange) -> None:
    if change.status != ChangeStatus.PENDING:
        raise ChangeNotPending(f"The change is {change.status}.")


async def _check_second_person(tx: Transaction, actor: Principal, change: ClientChange) -> None:
    """Raise ``SecondPersonRequired`` unless the caller is neither the requester nor the client's person."""
    users = await store.client_users(tx, actor.client_id, [change.asked_by, change.client_id])
    if users.is_disabled(change.asked_by):
        raise ChangeNotPending("The client that requested the change is disabled.")
    if not users.name:
        raise SecondPersonRequired(f"Your client has no person. {UNNAMED}")
    if own := users.possibly_own([change.asked_by]):
        raise SecondPersonRequired(f"You cannot confirm a change that you requested. {users.explain(own)}".rstrip())
    new_person = normalise_person(change.details.get("person"))
    if users.is_surely_own(change.client_id) or (new_person and new_person == users.name):
        raise SecondPersonRequired("The client is yours, or becomes yours; another person must confirm the change.")


async def withdraw(tx: Transaction, actor: Principal, partner_id: UUID, change_id: UUID) -> ClientChange:
    """End a pending change without applying it; a withdrawn change is returned as it is.

    Raises ``NotFound``, ``ChangeNotPending``.
    """
    change = await store.get_change(tx, partner_id, change_id, lock=True)
    if change.status != ChangeStatus.WITHDRAWN:
        _refuse_unless_pending(change)
        await store.end_change(tx, change, ChangeOutcome.WITHDRAWN, actor.client_id)
        await _record(tx, actor, "withdrawn", change)
    return change


async def _record(tx: Transaction, actor: Principal, verb: str, change: ClientChange) -> None:
    """Record an event of a change, without the person's name."""
    details: dict[str, Any] = {"action": change.action, "client_id": str(change.client_id)}
    if change.details.get("scopes") is not None:
        details["scopes"] = change.details["scopes"]
    event = NewEvent(f"client_change.{verb}", change.id, change.partner_id, details=details)
    await events.record(tx, actor, [event])
