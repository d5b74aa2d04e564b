"""Changes of clients: made at once, or, where one gives a regulator's client more, asked for and then confirmed."""

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
from app.partners.persons import UNNAMED, comparable
from app.partners.rules import ChangeAction, ChangeOutcome, ChangeStatus, PartnerKind
from app.partners.schemas import ClientKeys, ClientPatch, NewClient
from app.partners.service import Issued


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change of a client, as a body asks for it; ``client`` is None for one that is to be made."""

    action: ChangeAction
    client: Client | None
    if_match: IfMatch
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that waits for a second person, and what its asker alone is shown."""

    change: ClientChange
    oauth_client_id: str
    client_secret: str | None


async def make(tx: Transaction, actor: Principal, partner: Partner, wanted: Wanted) -> Issued | Asked:
    """Make a change, or note it as asked for when it gives a client of the regulator more than it has.

    Raises whatever refuses the change, also when it is only asked for.
    """
    if partner.kind == PartnerKind.REGULATOR and _gives_more(wanted):
        return await _ask(tx, actor, partner, wanted)
    return await _perform(tx, actor, partner, wanted)


def _gives_more(wanted: Wanted) -> bool:
    """Tell whether somebody could do more by the changed client, or by its name, than by the present one."""
    client, details = wanted.client, wanted.details
    if client is None:
        return True
    match wanted.action:
        case ChangeAction.CREATE | ChangeAction.ROTATE:
            return True
        case ChangeAction.KEYS:
            held = {"jwks": client.jwks, "jwks_uri": client.jwks_uri}
            return rules.adds_keys(held, ClientKeys.model_validate(details).keys())
        case ChangeAction.CHANGE:
            becomes = service.details_after(client, ClientPatch.model_validate(details))
            return becomes.person != client.person or not set(becomes.scopes) <= set(client.scopes)
    assert_never(wanted.action)


async def _perform(
    tx: Transaction, actor: Principal, partner: Partner, wanted: Wanted, asked: ClientChange | None = None
) -> Issued:
    client, if_match, details = wanted.client, wanted.if_match, wanted.details
    if client is None:
        return await service.create_client(tx, actor, partner, NewClient.model_validate(details), asked)
    match wanted.action:
        case ChangeAction.ROTATE:
            return await service.rotate_secret(tx, actor, client, if_match, details["overlap_seconds"], asked)
        case ChangeAction.KEYS:
            keys = ClientKeys.model_validate(details)
            return Issued(await service.set_keys(tx, actor, client, if_match, keys), None)
        case _:
            patch = ClientPatch.model_validate(details)
            return Issued(await service.change_client(tx, actor, client, if_match, patch), None)


async def _ask(tx: Transaction, actor: Principal, partner: Partner, wanted: Wanted) -> Asked:
    """Try a change and take it back, so that what would refuse it does so now; then note it as asked for."""
    version = wanted.client.version if wanted.client else None
    change = ClientChange(
        id=uuid7(),
        partner_id=partner.id,
        client_version=version,
        action=wanted.action,
        details=dict(wanted.details),
        asked_by=actor.client_id,
        expires_at=datetime.now(UTC) + rules.CHANGE_LASTS,
    )
    savepoint = await tx.begin_nested()
    tried = await _perform(tx, actor, partner, wanted)
    change.client_id, oauth_client_id = tried.client.id, tried.client.client_id
    if wanted.action == ChangeAction.CREATE:
        change.details["scopes"] = tried.client.scopes  # who confirms sees also those that were not named
    await savepoint.rollback()
    secret = tried.client_secret
    change.secret_hash = service.secret_hash(tx, secret) if secret else None
    await store.add_change(tx, change)
    await _record(tx, actor, "asked", change)
    return Asked(change, oauth_client_id, secret)


async def confirm(tx: Transaction, actor: Principal, partner_id: UUID, change_id: UUID) -> ClientChange:
    """Let a change take effect that another person asked for; one that was confirmed stays so.

    Raises ``NotFound``, ``ChangeNotPending``, ``SecondPersonRequired``, and whatever refuses the change by now.
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
        raise ChangeNotPending("The client has changed since this was asked for.")
    partner = await store.get_partner(tx, partner_id)
    wanted = Wanted(ChangeAction(change.action), client, ANY_VERSION, change.details)
    await _perform(tx, actor, partner, wanted, change)
    await store.settle_change(tx, change, ChangeOutcome.CONFIRMED, actor.client_id)
    await _record(tx, actor, "confirmed", change)
    return change


def _refuse_unless_pending(change: ClientChange) -> None:
    if change.status != ChangeStatus.PENDING:
        raise ChangeNotPending(f"The change is {change.status}.")


async def _check_second_person(tx: Transaction, actor: Principal, change: ClientChange) -> None:
    """Raise ``SecondPersonRequired`` unless the caller is a person other than the asker and than the client's."""
    users = await store.users(tx, actor.client_id, [change.asked_by, change.client_id])
    if users.is_disabled(change.asked_by):
        raise ChangeNotPending("The client that asked for the change has been disabled.")
    if not users.name:
        raise SecondPersonRequired(f"Your client names no person. {UNNAMED}")
    if own := users.own_among([change.asked_by]):
        raise SecondPersonRequired(f"You cannot confirm what you asked for yourself. {users.explain(own)}".rstrip())
    becomes = comparable(change.details.get("person"))
    if users.is_surely_own(change.client_id) or (becomes and becomes == users.name):
        raise SecondPersonRequired(
            "The client is your own, or becomes your own; somebody else must confirm the change."
        )


async def withdraw(tx: Transaction, actor: Principal, partner_id: UUID, change_id: UUID) -> ClientChange:
    """End a pending change without making it, by whoever may ask for one; one that was withdrawn stays so.

    Raises ``NotFound``, ``ChangeNotPending``.
    """
    change = await store.get_change(tx, partner_id, change_id, lock=True)
    if change.status != ChangeStatus.WITHDRAWN:
        _refuse_unless_pending(change)
        await store.settle_change(tx, change, ChangeOutcome.WITHDRAWN, actor.client_id)
        await _record(tx, actor, "withdrawn", change)
    return change


async def _record(tx: Transaction, actor: Principal, what: str, change: ClientChange) -> None:
    """Record what happened to a change; a person's name does not go into the log."""
    details: dict[str, Any] = {"action": change.action, "client_id": str(change.client_id)}
    if change.details.get("scopes") is not None:
        details["scopes"] = change.details["scopes"]
    event = NewEvent(f"client_change.{what}", change.id, change.partner_id, details=details)
    await events.record(tx, actor, [event])
