"""Limits of ``clients:manage``: the caller's own partner, and what the scopes of the caller's token permit.

``partners:admin`` has none of these limits.
"""

from collections.abc import Iterable
from uuid import UUID

from app.core.database.transaction import Transaction
from app.core.errors import Forbidden, Invalid, InvalidValue, MissingField, NotFound
from app.core.principal import Principal
from app.partners import rules, service, store
from app.partners.errors import LastManager
from app.partners.models import Client, Partner
from app.partners.schemas import ClientPatch, NewClient


def _is_admin(actor: Principal) -> bool:
    return rules.ADMIN in actor.scopes


def check_partner(actor: Principal, partner_id: UUID) -> None:
    """Raise ``NotFound`` for another partner than the caller's, whether it exists or not."""
    if not _is_admin(actor) and partner_id != actor.partner_id:
        raise NotFound


def check_client(actor: Principal, client: Client) -> None:
    """Raise ``Forbidden`` when the caller could reach, by credentials of this client, more than by its own token."""
    reach = rules.ALLOWED[client.partner.kind] if client.external_issuer else client.scopes
    if not _is_admin(actor) and (beyond := sorted(set(reach) - actor.scopes)):
        raise Forbidden(f"The client may have scopes that your token does not have: {' '.join(beyond)}.")


def limit_new_client(actor: Principal, partner: Partner, body: NewClient) -> NewClient:
    """Return a client to create, by default with those default scopes that the caller's token has.

    Raises ``Invalid`` for other scopes, and when none is left.
    """
    if _is_admin(actor):
        return body
    scopes = body.scopes or [each for each in rules.default_scopes(partner.kind) if each in actor.scopes]
    if not scopes:
        detail = "Name the scopes: your token has none of those that a client has by default."
        raise Invalid.of([MissingField.at("/scopes", detail)])
    _refuse_beyond(actor, scopes)
    return body.model_copy(update={"scopes": scopes})


async def check_change(tx: Transaction, actor: Principal, client: Client, patch: ClientPatch) -> None:
    """Raise ``Invalid`` for scopes that the caller's token does not have, or ``LastManager``."""
    scopes = service.merge_details(client, patch).scopes
    if not _is_admin(actor):
        _refuse_beyond(actor, scopes)
    if rules.MANAGE not in scopes:
        await check_remains_managed(tx, actor, client)


async def check_remains_managed(tx: Transaction, actor: Principal, client: Client) -> None:
    """Raise ``LastManager`` when no other client of the partner could manage its clients without this one.

    Call it with the partner locked, so that two clients do not disable each other.
    """
    is_manager = rules.MANAGE in client.scopes and client.disabled_at is None
    if is_manager and not _is_admin(actor) and await store.managers(tx, client.partner_id) == {client.id}:
        raise LastManager


def _refuse_beyond(actor: Principal, scopes: Iterable[str]) -> None:
    refused = [
        InvalidValue.at(f"/scopes/{index}", f"Your token does not have the scope {scope!r}.")
        for index, scope in enumerate(scopes)
        if scope not in actor.scopes
    ]
    if refused:
        raise Invalid.of(refused)
