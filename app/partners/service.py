"""Creation and change of partners, clients, their credentials, and signing keys."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.core.auth.signatures import ALGORITHM
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.errors import FieldError, Invalid, InvalidValue
from app.core.principal import Principal
from app.core.settings import SigningAlgorithm
from app.core.validation.preconditions import IfMatch
from app.core.validation.schemas import validate
from app.events import store as events
from app.events.store import NewEvent
from app.partners import rules, store
from app.partners.errors import AuthenticatesOtherwise
from app.partners.models import Client, ClientChange, Partner
from app.partners.schemas import (
    OVERLAP_SECONDS,
    ClientDetails,
    ClientKeys,
    ClientPatch,
    NewClient,
    NewPartner,
    PartnerDetails,
    PartnerPatch,
)

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Issued:
    """A client and its new secret in clear, which is not stored; None for a client that has only keys."""

    client: Client
    client_secret: str | None


async def create_partner(tx: Transaction, actor: Principal | None, body: NewPartner) -> Partner:
    """Create a partner. Raises ``NameTaken``."""
    partner = Partner(**body.model_dump())
    await store.add(tx, partner)
    await _record(tx, actor, "partner.created", partner.id, partner.id)
    return partner


async def change_partner(
    tx: Transaction,
    actor: Principal | None,
    partner: Partner,
    if_match: IfMatch,
    patch: PartnerPatch,
    configured: Collection[str],
) -> Partner:
    """Rename, disable or enable a partner, which is locked; ``configured`` are partners that the settings name.

    Disabling revokes the tokens of its clients. Raises ``VersionMismatch``, ``Invalid``, ``NameTaken``.
    """
    if_match.check(partner)
    was_disabled = partner.disabled_at is not None
    details = validate(PartnerDetails, patch.apply_to({"name": partner.name, "disabled": was_disabled}))
    if refused := _refused_change(partner, details, configured):
        raise Invalid.of(refused)
    if (details.name, details.disabled) == (partner.name, was_disabled):
        return partner
    changes: list[tuple[str, dict[str, Any]]] = []
    if details.name != partner.name:
        changes.append(("partner.renamed", {"name": details.name, "former_name": partner.name}))
        partner.name = details.name
    if details.disabled != was_disabled:
        changes.append(("partner.disabled" if details.disabled else "partner.enabled", {}))
        partner.disabled_at = datetime.now(UTC) if details.disabled else None
    await store.save(tx, partner)
    if details.disabled and not was_disabled:
        await store.revoke_tokens_of(tx, partner.id)
        await notify(tx, "clients_changed")
    await events.record(tx, actor, [NewEvent(name, partner.id, partner.id, details=each) for name, each in changes])
    return partner


def _refused_change(partner: Partner, details: PartnerDetails, configured: Collection[str]) -> list[FieldError]:
    """Return the errors of a change: it may not move an identity provider's users, or disable the regulator."""
    refused: list[FieldError] = []
    if details.name != partner.name and (named := {partner.name, details.name} & set(configured)):
        detail = f"EXTERNAL_ISSUERS names {named.pop()!r}. Change that setting first."
        refused.append(InvalidValue.at("/name", detail))
    if details.disabled and partner.kind == rules.PartnerKind.REGULATOR:
        detail = "A partner of kind regulator cannot be disabled. Disable its clients."
        refused.append(InvalidValue.at("/disabled", detail))
    return refused


async def create_client(
    tx: Transaction,
    actor: Principal | None,
    partner: Partner,
    body: NewClient,
    confirmed: ClientChange | None = None,
) -> Issued:
    """Create a client; its default scopes are those of ``rules.default_scopes``.

    ``confirmed`` is the confirmed change that requested the client. Raises ``NameTaken``, ``Invalid``.
    """
    partner = await store.lock_partner(tx, partner.id, shared=True)  # a partner that is disabled now waits for it
    scopes = body.scopes or rules.default_scopes(partner.kind)
    if refused := rules.refused_scopes(partner.kind, scopes):
        raise Invalid.of(refused)
    id_ = confirmed.client_id if confirmed else uuid7()
    secret, hash_ = (None, None) if body.token_endpoint_auth_method else _new_secret(tx, confirmed)
    client = Client(
        id=id_,
        partner=partner,
        name=body.name,
        person=body.person,
        client_id=f"{body.name}.{id_.hex[-12:]}",
        secret_hash=hash_,
        scopes=sorted(set(scopes)),
        **body.keys(),
    )
    await store.add(tx, client)
    await _record(tx, actor, "client.created", client.id, partner.id)
    return Issued(client, secret)


def _new_secret(tx: Transaction, confirmed: ClientChange | None) -> tuple[str | None, str | None]:
    """Return a new secret and its hash; of a confirmed change only the hash, as its requester has the secret."""
    if confirmed:
        return None, confirmed.secret_hash
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return secret, hash_secret(tx, secret)


def hash_secret(tx: Transaction, secret: str) -> str:
    """Return the keyed hash under which a secret is stored."""
    return tx.keyring.keyed_hash("client-secret", secret)


async def rotate_secret(
    tx: Transaction,
    actor: Principal | None,
    client: Client,
    if_match: IfMatch,
    overlap_seconds: int = OVERLAP_SECONDS,
    confirmed: ClientChange | None = None,
) -> Issued:
    """Give a client a new secret; the current one stays valid for ``overlap_seconds``, an older one ends at once.

    Without an overlap the client's tokens are revoked. ``confirmed`` is the confirmed change that requested this.

    Raises ``VersionMismatch``, and ``AuthenticatesOtherwise`` for a client without secrets.
    """
    if_match.check(client)
    if client.token_endpoint_auth_method or client.external_issuer:
        raise AuthenticatesOtherwise
    overlaps = overlap_seconds > 0 and client.secret_hash is not None
    client.previous_secret_hash = client.secret_hash if overlaps else None
    client.previous_secret_expires_at = datetime.now(UTC) + timedelta(seconds=overlap_seconds) if overlaps else None
    secret, client.secret_hash = _new_secret(tx, confirmed)
    if overlap_seconds == 0:
        await _revoke_tokens(tx, client)
    await store.save(tx, client)
    await _record(tx, actor, "client.rotated", client.id, client.partner_id)
    return Issued(client, secret)


async def set_keys(
    tx: Transaction, actor: Principal | None, client: Client, if_match: IfMatch, keys: ClientKeys
) -> Client:
    """Replace a client's keys and revoke its tokens; with ``private_key_jwt`` its secrets end.

    Raises ``VersionMismatch``, and ``AuthenticatesOtherwise`` for a client of an external issuer.
    """
    if_match.check(client)
    if client.external_issuer:
        raise AuthenticatesOtherwise
    for name, value in keys.keys().items():
        setattr(client, name, value)
    if client.token_endpoint_auth_method:
        client.secret_hash = client.previous_secret_hash = client.previous_secret_expires_at = None
    await _revoke_tokens(tx, client)
    await store.save(tx, client)
    await _record(tx, actor, "client.keys_changed", client.id, client.partner_id)
    return client


async def change_client(
    tx: Transaction, actor: Principal | None, client: Client, if_match: IfMatch, patch: ClientPatch
) -> Client:
    """Change the scopes or the person of a client; its tokens are revoked when it loses a scope.

    Raises ``VersionMismatch``, ``Invalid``, and ``AuthenticatesOtherwise`` for the scopes of an external issuer's
    client, which come with its tokens.
    """
    if_match.check(client)
    details = merge_details(client, patch)
    scopes = sorted(set(details.scopes))
    if refused := rules.refused_scopes(client.partner.kind, scopes):
        raise Invalid.of(refused)
    if client.external_issuer and scopes != client.scopes:
        raise AuthenticatesOtherwise
    if (scopes, details.person) == (client.scopes, client.person):
        return client
    if not set(client.scopes) <= set(scopes):
        await _revoke_tokens(tx, client)
    client.scopes, client.person = scopes, details.person
    await store.save(tx, client)
    await _record(tx, actor, "client.changed", client.id, client.partner_id)
    return client


def merge_details(client: Client, patch: ClientPatch) -> ClientDetails:
    """Return the scopes and person of a client after a patch (RFC 7396). Raises ``Invalid``."""
    return validate(ClientDetails, patch.apply_to({"scopes": client.scopes, "person": client.person}))


async def add_external_client(tx: Transaction, partner: str, issuer: str, subject: str) -> Client | None:
    """Return the client of an external issuer's subject, created if absent; None when there is no such partner.

    It has no scopes of its own; they come with each token.
    """
    found = await store.find_partner(tx, partner)
    if found is None:
        return None
    name = f"external-{hashlib.sha256(f'{found.id} {issuer} {subject}'.encode()).hexdigest()[:16]}"
    added = await store.add_external(tx, found.id, name, issuer, subject)
    if added is not None:
        await _record(tx, None, "client.created", added, found.id)
    return await store.find_external(tx, partner, issuer, subject)


async def disable_client(tx: Transaction, actor: Principal | None, client: Client, if_match: IfMatch) -> Client:
    """Refuse a client new tokens and revoke those it has. Raises ``VersionMismatch``."""
    if_match.check(client)
    if client.disabled_at is None:
        client.disabled_at = datetime.now(UTC)
        await _revoke_tokens(tx, client)
        await store.save(tx, client)
        await _record(tx, actor, "client.disabled", client.id, client.partner_id)
    return client


async def _revoke_tokens(tx: Transaction, client: Client) -> None:
    """Revoke every token issued so far; API processes learn of it within seconds after the commit."""
    client.tokens_not_before = datetime.now(UTC)
    await notify(tx, "clients_changed")


async def rotate_signing_key(tx: Transaction, algorithm: SigningAlgorithm = ALGORITHM) -> str:
    """Add a signing key, used after ten seconds, and return its id; the previous key is trusted for a week."""
    kid = await store.rotate_signing_key(tx, algorithm)
    await notify(tx, "clients_changed")
    return kid


async def revoke_signing_key(tx: Transaction, kid: str, algorithm: SigningAlgorithm = ALGORITHM) -> str:
    """Revoke a signing key and everything it signed; processes learn of it within seconds after the commit.

    Returns the id of the key that signs now, a new one of ``algorithm`` if the revoked key was in use. Revoking a key
    twice changes nothing and records no event. Raises ``NotFound``.
    """
    was_revoked = kid in await store.revoked_keys(tx)
    signing = await store.revoke_signing_key(tx, kid, algorithm)
    if was_revoked:
        return signing
    await events.record(tx, None, [NewEvent("signing_key.revoked", details={"kid": kid, "signing": signing})])
    await notify(tx, "clients_changed")
    return signing


async def _record(tx: Transaction, actor: Principal | None, name: str, subject_id: UUID, partner_id: UUID) -> None:
    await events.record(tx, actor, [NewEvent(name, subject_id=subject_id, partner_id=partner_id)])
