"""Making partners and clients, what clients prove themselves by, and issuing access tokens."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import OKPKey
from uuid_utils.compat import uuid7

from app.core.auth import auth_events
from app.core.auth.auth_events import Method
from app.core.auth.bearer import ACCESS, ALGORITHM
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.errors import Invalid
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.core.validation.schemas import validated
from app.events import store as events
from app.events.store import NewEvent
from app.partners import rules, store
from app.partners.errors import AuthenticatesOtherwise
from app.partners.models import Client, ClientChange, Partner
from app.partners.schemas import OVERLAP_SECONDS, ClientDetails, ClientKeys, ClientPatch, NewClient, NewPartner

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Issued:
    """A client and its secret, which is shown this once; a client that is held to its keys has none."""

    client: Client
    client_secret: str | None


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client whose secret was right, and until when that secret works, if an end is set."""

    client: Client
    until: datetime | None


async def create_partner(tx: Transaction, actor: Principal | None, body: NewPartner) -> Partner:
    """Make a partner. Raises ``NameTaken``."""
    partner = Partner(**body.model_dump())
    await store.add(tx, partner)
    await _record(tx, actor, "partner.created", partner.id, partner.id)
    return partner


async def create_client(
    tx: Transaction,
    actor: Principal | None,
    partner: Partner,
    body: NewClient,
    asked: ClientChange | None = None,
) -> Issued:
    """Make a client; without scopes it holds all that its partner's kind may, but not ``partners:admin``.

    ``asked`` is the change that asked for it, if one did. Raises ``NameTaken``, ``Invalid``.
    """
    scopes = body.scopes or rules.default_scopes(partner.kind)
    if refused := rules.refused_scopes(partner.kind, scopes):
        raise Invalid.of(refused)
    id_ = asked.client_id if asked else uuid7()
    secret, hash_ = (None, None) if body.token_endpoint_auth_method else _secret(tx, asked)
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


def _secret(tx: Transaction, asked: ClientChange | None) -> tuple[str | None, str | None]:
    """A new secret and its keyed hash; of the one that the asker of a change was shown only the hash is known."""
    if asked:
        return None, asked.secret_hash
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return secret, secret_hash(tx, secret)


def secret_hash(tx: Transaction, secret: str) -> str:
    """The keyed hash by which a secret is known."""
    return tx.keyring.keyed_hash("client-secret", secret)


async def rotate_secret(
    tx: Transaction,
    actor: Principal | None,
    client: Client,
    if_match: IfMatch,
    overlap_seconds: int = OVERLAP_SECONDS,
    asked: ClientChange | None = None,
) -> Issued:
    """Give a client a new secret; the present one goes on for ``overlap_seconds``, any older one stops at once.

    Without an overlap the tokens that it got by them are called back. ``asked`` is the change that asked for it, if one
    did.

    Raises ``VersionMismatch``, and ``AuthenticatesOtherwise`` for a client that is not known by secrets.
    """
    if_match.check(client)
    if client.token_endpoint_auth_method or client.external_issuer:
        raise AuthenticatesOtherwise
    goes_on = overlap_seconds > 0 and client.secret_hash is not None
    client.previous_secret_hash = client.secret_hash if goes_on else None
    client.previous_secret_expires_at = datetime.now(UTC) + timedelta(seconds=overlap_seconds) if goes_on else None
    secret, client.secret_hash = _secret(tx, asked)
    if overlap_seconds == 0:
        await _call_tokens_back(tx, client)
    await store.changed(tx, client)
    await _record(tx, actor, "client.rotated", client.id, client.partner_id)
    return Issued(client, secret)


async def set_keys(
    tx: Transaction, actor: Principal | None, client: Client, if_match: IfMatch, keys: ClientKeys
) -> Client:
    """Put ``keys`` in place of those that a client has; one that is held to them loses its secrets.

    The tokens that it got by what it had are called back.

    Raises ``VersionMismatch``, and ``AuthenticatesOtherwise`` for a client of an external issuer.
    """
    if_match.check(client)
    if client.external_issuer:
        raise AuthenticatesOtherwise
    for name, value in keys.keys().items():
        setattr(client, name, value)
    if client.token_endpoint_auth_method:
        client.secret_hash = client.previous_secret_hash = client.previous_secret_expires_at = None
    await _call_tokens_back(tx, client)
    await store.changed(tx, client)
    await _record(tx, actor, "client.keys_changed", client.id, client.partner_id)
    return client


async def change_client(
    tx: Transaction, actor: Principal | None, client: Client, if_match: IfMatch, patch: ClientPatch
) -> Client:
    """Change the scopes or the person of a client. Tokens with scopes that it holds no more are called back.

    Raises ``VersionMismatch``, ``Invalid``, and ``AuthenticatesOtherwise`` for the scopes of an external issuer's
    client, which come with its tokens.
    """
    if_match.check(client)
    wanted = details_after(client, patch)
    scopes = sorted(set(wanted.scopes))
    if refused := rules.refused_scopes(client.partner.kind, scopes):
        raise Invalid.of(refused)
    if client.external_issuer and scopes != client.scopes:
        raise AuthenticatesOtherwise
    if (scopes, wanted.person) == (client.scopes, client.person):
        return client
    if not set(client.scopes) <= set(scopes):
        await _call_tokens_back(tx, client)
    client.scopes, client.person = scopes, wanted.person
    await store.changed(tx, client)
    await _record(tx, actor, "client.changed", client.id, client.partner_id)
    return client


def details_after(client: Client, patch: ClientPatch) -> ClientDetails:
    """The scopes and person that a client has after a patch. Raises ``Invalid``."""
    return validated(ClientDetails, patch.onto({"scopes": client.scopes, "person": client.person}))


async def add_external_client(tx: Transaction, partner: str, issuer: str, subject: str) -> Client | None:
    """The client that stands for a person of an external issuer, made unless it is there; None without the partner.

    It holds no scopes: those come with each token.
    """
    found = await store.find_partner(tx, partner)
    if found is None:
        return None
    name = f"external-{hashlib.sha256(f'{found.id} {issuer} {subject}'.encode()).hexdigest()[:16]}"
    made = await store.add_external(tx, found.id, name, issuer, subject)
    if made is not None:
        await _record(tx, None, "client.created", made, found.id)
    return await store.find_external(tx, partner, issuer, subject)


async def disable_client(tx: Transaction, actor: Principal | None, client: Client, if_match: IfMatch) -> Client:
    """Stop a client from getting tokens, and call those back that it holds. Raises ``VersionMismatch``."""
    if_match.check(client)
    if client.disabled_at is None:
        client.disabled_at = datetime.now(UTC)
        await _call_tokens_back(tx, client)
        await store.changed(tx, client)
        await _record(tx, actor, "client.disabled", client.id, client.partner_id)
    return client


async def _call_tokens_back(tx: Transaction, client: Client) -> None:
    """Let no token that was issued so far count any more, in any API process, from seconds after the commit on."""
    client.tokens_not_before = datetime.now(UTC)
    await notify(tx, "clients_changed")


async def rotate_signing_key(tx: Transaction) -> str:
    """Make a new signing key, which signs from ten seconds on; gives its id. The one before is trusted for a week."""
    kid = await store.rotate_signing_key(tx)
    await notify(tx, "clients_changed")
    return kid


async def revoke_signing_key(tx: Transaction, kid: str) -> str:
    """Let nothing that a signing key signed count any more, in any process, from seconds after the commit on.

    Gives the id of the key that signs now: a new one, when the revoked one was in force. Revoking it again changes
    nothing and is no event. Raises ``NotFound``.
    """
    was_revoked = kid in await store.revoked_keys(tx)
    signing = await store.revoke_signing_key(tx, kid)
    if was_revoked:
        return signing
    await events.record(tx, None, [NewEvent("signing_key.revoked", details={"kid": kid, "signing": signing})])
    await notify(tx, "clients_changed")
    return signing


async def _record(tx: Transaction, actor: Principal | None, name: str, subject_id: UUID, partner_id: UUID) -> None:
    await events.record(tx, actor, [NewEvent(name, subject_id=subject_id, partner_id=partner_id)])


def recognise(keyring: Keyring, client: Client | None, client_secret: str, way: Method) -> AuthenticatedClient | None:
    """The client, when it is enabled and the secret is its own, or None; which of the two was wrong only the log tells.

    The hash is made whether there is such a client or not: the time that it takes does not tell.
    """
    found = _recognised(client, keyring.keyed_hash("client-secret", client_secret))
    if found is None:
        auth_events.record_failure(way, "unknown client, disabled, or wrong secret", client.id if client else None)
    else:
        auth_events.record_success(way, str(found.client.id), str(found.client.partner_id))
    return found


def _recognised(client: Client | None, secret_hash: str) -> AuthenticatedClient | None:
    if client is None or client.disabled_at is not None:
        return None
    if hmac.compare_digest(secret_hash, client.secret_hash or ""):
        return AuthenticatedClient(client, None)
    until = client.previous_secret_expires_at
    goes_on = until is not None and until > datetime.now(UTC)
    if goes_on and hmac.compare_digest(secret_hash, client.previous_secret_hash or ""):
        return AuthenticatedClient(client, until)
    return None


def principal_of(client: Client, scopes: Iterable[str]) -> Principal:
    """Who acts when ``client`` does, with ``scopes``."""
    partner = client.partner
    return Principal(client.id, partner.id, partner.kind, partner.operator, frozenset(scopes))  # type: ignore[arg-type]  # a checked column


def not_before_of(client: Client) -> float:
    """When the client's tokens were last called back, in seconds since the epoch; 0: never."""
    return client.tokens_not_before.timestamp() if client.tokens_not_before else 0.0


def access_token(client: Client, scopes: list[str], key: OKPKey, *, issuer: str, seconds: int) -> str:
    """A signed access token (JWT, RFC 7519 and RFC 9068's claims) that lasts ``seconds``.

    It says when the client's tokens were last called back, as the client proved who it is: a token that is under way
    meanwhile is called back with the others.
    """
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": issuer,
        "sub": str(client.id),
        "client_id": client.client_id,
        "partner_id": str(client.partner_id),
        "partner_kind": client.partner.kind,
        "operator": client.partner.operator,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + seconds,
        "jti": str(uuid7()),
        "tokens_not_before": not_before_of(client),
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": ACCESS}, claims, key, algorithms=[ALGORITHM])
