"""Making partners and clients, what clients prove themselves by, and issuing access tokens."""

import hashlib
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import OKPKey
from uuid_utils.compat import uuid7

from app.core import login_attempts
from app.core.db import ReadSession, WriteSession
from app.core.doorbell import ring
from app.core.errors import Invalid
from app.core.login_attempts import Way
from app.core.preconditions import IfMatch
from app.core.principal import Principal
from app.core.security import ACCESS, ALGORITHM
from app.events import store as events
from app.events.store import Happening
from app.partners import rules, store
from app.partners.errors import AuthenticatesOtherwise
from app.partners.models import Client, Partner
from app.partners.schemas import OVERLAP_SECONDS, ClientKeys, NewClient, NewPartner

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Issued:
    """A client and its secret, which is shown this once; a client that is held to its keys has none."""

    client: Client
    client_secret: str | None


@dataclass(frozen=True, slots=True)
class Recognised:
    """A client whose secret was right, and until when that secret works, if an end is set."""

    client: Client
    until: datetime | None


async def create_partner(session: WriteSession, actor: Principal | None, body: NewPartner) -> Partner:
    """Make a partner. Raises ``NameTaken``."""
    partner = Partner(**body.model_dump())
    await store.add(session, partner)
    await _record(session, actor, "partner.created", partner.id, partner.id)
    return partner


async def create_client(session: WriteSession, actor: Principal | None, partner: Partner, body: NewClient) -> Issued:
    """Make a client; without scopes it holds all that its partner's kind may. Raises ``NameTaken``, ``Invalid``."""
    scopes = body.scopes or sorted(rules.ALLOWED[partner.kind])
    if refused := rules.refused_scopes(partner.kind, scopes):
        raise Invalid.of(refused)
    secret = None if body.token_endpoint_auth_method else secrets.token_urlsafe(SECRET_BYTES)
    client = Client(
        id=uuid7(),
        partner=partner,
        name=body.name,
        client_id=f"{body.name}.{secrets.token_hex(6)}",
        secret_hash=session.keyring.keyed_hash("client-secret", secret) if secret else None,
        scopes=sorted(set(scopes)),
        **body.keys(),
    )
    await store.add(session, client)
    await _record(session, actor, "client.created", client.id, partner.id)
    return Issued(client, secret)


async def rotate_secret(
    session: WriteSession,
    actor: Principal | None,
    client: Client,
    if_match: IfMatch,
    overlap_seconds: int = OVERLAP_SECONDS,
) -> Issued:
    """Give a client a new secret; the present one goes on for ``overlap_seconds``, any older one stops at once.

    Without an overlap the tokens that it got by them are called back.

    Raises ``VersionMismatch``, and ``AuthenticatesOtherwise`` for a client that is not known by secrets.
    """
    if_match.check(client)
    if client.token_endpoint_auth_method or client.external_issuer:
        raise AuthenticatesOtherwise
    goes_on = overlap_seconds > 0 and client.secret_hash is not None
    client.previous_secret_hash = client.secret_hash if goes_on else None
    client.previous_secret_expires_at = datetime.now(UTC) + timedelta(seconds=overlap_seconds) if goes_on else None
    secret = secrets.token_urlsafe(SECRET_BYTES)
    client.secret_hash = session.keyring.keyed_hash("client-secret", secret)
    if overlap_seconds == 0:
        await _call_tokens_back(session, client)
    await store.changed(session, client)
    await _record(session, actor, "client.rotated", client.id, client.partner_id)
    return Issued(client, secret)


async def set_keys(
    session: WriteSession, actor: Principal | None, client: Client, if_match: IfMatch, keys: ClientKeys
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
    await _call_tokens_back(session, client)
    await store.changed(session, client)
    await _record(session, actor, "client.keys_changed", client.id, client.partner_id)
    return client


async def add_external_client(session: WriteSession, partner: str, issuer: str, subject: str) -> Client | None:
    """The client that stands for a person of an external issuer, made unless it is there; None without the partner.

    It holds no scopes: those come with each token.
    """
    found = await store.find_partner(session, partner)
    if found is None:
        return None
    name = f"external-{hashlib.sha256(f'{found.id} {issuer} {subject}'.encode()).hexdigest()[:16]}"
    made = await store.add_external(session, found.id, name, issuer, subject)
    if made is not None:
        await _record(session, None, "client.created", made, found.id)
    return await store.find_external(session, partner, issuer, subject)


async def disable_client(session: WriteSession, actor: Principal | None, client: Client, if_match: IfMatch) -> Client:
    """Stop a client from getting tokens, and call those back that it holds. Raises ``VersionMismatch``."""
    if_match.check(client)
    if client.disabled_at is None:
        client.disabled_at = datetime.now(UTC)
        await _call_tokens_back(session, client)
        await store.changed(session, client)
        await _record(session, actor, "client.disabled", client.id, client.partner_id)
    return client


async def _call_tokens_back(session: WriteSession, client: Client) -> None:
    """Let no token that was issued so far count any more, in any API process, from seconds after the commit on."""
    client.tokens_not_before = datetime.now(UTC)
    await ring(session, "clients_changed")


async def rotate_signing_key(session: WriteSession) -> str:
    """Make a new signing key, which signs from ten seconds on; gives its id. The one before is trusted for a week."""
    kid = await store.rotate_signing_key(session)
    await ring(session, "clients_changed")
    return kid


async def revoke_signing_key(session: WriteSession, kid: str) -> str:
    """Let nothing that a signing key signed count any more, in any process, from seconds after the commit on.

    Gives the id of the key that signs now: a new one, when the revoked one was in force. Raises ``NotFound``.
    """
    signing = await store.revoke_signing_key(session, kid)
    await events.record(session, None, [Happening("signing_key.revoked", details={"kid": kid, "signing": signing})])
    await ring(session, "clients_changed")
    return signing


async def _record(
    session: WriteSession, actor: Principal | None, name: str, subject_id: UUID, partner_id: UUID
) -> None:
    await events.record(session, actor, [Happening(name, subject_id=subject_id, partner_id=partner_id)])


async def named_client(session: ReadSession, client_id: str) -> Client | None:
    """The client of that id, which may be disabled, if any."""
    if not client_id.isascii() or not client_id.isprintable():
        return None
    return await store.find_client(session, client_id)


async def known_client(session: ReadSession, client_id: str, client_secret: str, way: Way) -> Recognised | None:
    """The enabled client of that id and secret, or None; which of the two was wrong only the log tells."""
    client = await named_client(session, client_id)
    recognised = _recognised(session, client, client_secret) if client and client.disabled_at is None else None
    if recognised is None:
        login_attempts.failed(way, "unknown client, disabled, or wrong secret", client.id if client else None)
    else:
        login_attempts.succeeded(way, str(recognised.client.id), str(recognised.client.partner_id))
    return recognised


def _recognised(session: ReadSession, client: Client, client_secret: str) -> Recognised | None:
    if session.keyring.matches("client-secret", client_secret, client.secret_hash or ""):
        return Recognised(client, None)
    until = client.previous_secret_expires_at
    goes_on = until is not None and until > datetime.now(UTC)
    if goes_on and session.keyring.matches("client-secret", client_secret, client.previous_secret_hash or ""):
        return Recognised(client, until)
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
