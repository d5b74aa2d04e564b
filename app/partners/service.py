"""Making partners and clients, and issuing access tokens."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import OKPKey
from uuid_utils.compat import uuid7

from app.core.db import ReadSession, WriteSession
from app.core.errors import Invalid
from app.core.preconditions import IfMatch
from app.core.security import ACCESS, ALGORITHM, Principal
from app.events import store as events
from app.events.store import Happening
from app.partners import rules, store
from app.partners.models import Client, Partner
from app.partners.schemas import NewClient, NewPartner

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Issued:
    """A client and its secret, which is shown this once."""

    client: Client
    client_secret: str


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
    secret = secrets.token_urlsafe(SECRET_BYTES)
    client = Client(
        id=uuid7(),
        partner=partner,
        name=body.name,
        client_id=f"{body.name}.{secrets.token_hex(6)}",
        secret_hash=session.keyring.keyed_hash("client-secret", secret),
        scopes=sorted(set(scopes)),
    )
    await store.add(session, client)
    await _record(session, actor, "client.created", client.id, partner.id)
    return Issued(client, secret)


async def rotate_secret(session: WriteSession, actor: Principal | None, client: Client, if_match: IfMatch) -> Issued:
    """Give a client a new secret; the old one stops at once. Raises ``VersionMismatch``."""
    if_match.check(client)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    client.secret_hash = session.keyring.keyed_hash("client-secret", secret)
    await store.changed(session, client)
    await _record(session, actor, "client.rotated", client.id, client.partner_id)
    return Issued(client, secret)


async def disable_client(session: WriteSession, actor: Principal | None, client: Client, if_match: IfMatch) -> Client:
    """Stop a client from getting tokens; those it holds end within their ten minutes. Raises ``VersionMismatch``."""
    if_match.check(client)
    if client.disabled_at is None:
        client.disabled_at = datetime.now(UTC)
        await store.changed(session, client)
        await _record(session, actor, "client.disabled", client.id, client.partner_id)
    return client


async def _record(
    session: WriteSession, actor: Principal | None, name: str, subject_id: UUID, partner_id: UUID
) -> None:
    await events.record(session, actor, [Happening(name, subject_id=subject_id, partner_id=partner_id)])


async def known_client(session: ReadSession, client_id: str, client_secret: str) -> Client | None:
    """The enabled client of that id and secret, or None; which of the two was wrong is not told."""
    client = await store.find_client(session, client_id)
    expected = client.secret_hash if client else ""
    if not session.keyring.matches("client-secret", client_secret, expected):
        return None
    return client if client and client.disabled_at is None else None


def access_token(client: Client, scopes: list[str], key: OKPKey, *, issuer: str, seconds: int) -> str:
    """A signed access token (JWT, RFC 7519 and RFC 9068's claims) that lasts ``seconds``."""
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
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": ACCESS}, claims, key, algorithms=[ALGORITHM])
