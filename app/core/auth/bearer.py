"""Who calls: a bearer token, checked locally, gives a Principal; ``require`` asks for a scope."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2, SecurityScopes
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, FiniteFloat

from app.core.auth import auth_events
from app.core.auth.admission import admit
from app.core.auth.auth_events import Way
from app.core.errors import Forbidden, TokenExpired, Unauthenticated
from app.core.limits.http import count_client
from app.core.principal import SCOPES, PartnerKind, Principal
from app.core.settings import MOST_TOKEN_SECONDS

ALGORITHM = "Ed25519"
ACCESS = "at+jwt"  # RFC 9068, 2.1
REFETCH_SECONDS = 5.0
LEEWAY_SECONDS = 10.0  # by which the clocks of two processes may differ
LONGEST_TOKEN = 16_384
MOST_REMEMBERED = 10_000


class Verifier(Protocol):
    """Checks the tokens of one issuer."""

    async def verify(self, token: str) -> Principal:
        """The principal of a token. Raises ``Unauthenticated``, or ``Unavailable`` when it cannot be told now."""
        ...


def unverified(token: str) -> jwt.Token:
    """What a token says before anyone has checked who said it: good for choosing the key to check it with.

    Both halves are empty when it is no token.
    """
    try:
        parts = jws.extract_compact(token.encode() if len(token) <= LONGEST_TOKEN else b"")
        claims = json.loads(parts.payload)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return jwt.Token({}, {})
    return jwt.Token(parts.headers(), claims if isinstance(claims, dict) else {})


class Trust(Protocol):
    """Which tokens count, as far as this process knows; only ``refresh`` waits."""

    @property
    def keys(self) -> KeySet:
        """The keys that are trusted."""
        ...

    async def refresh(self) -> None:
        """Ask the database again."""
        ...

    def is_key_revoked(self, kid: str) -> bool:
        """True when the signing key of that id was revoked."""
        ...

    def is_revoked(self, client_id: UUID, not_before: float) -> bool:
        """True when the client's tokens with this ``tokens_not_before`` are revoked."""
        ...


class _Claims(BaseModel):
    """What an access token of ours says (RFC 9068, 2.2, and of whom it acts for)."""

    sub: UUID
    partner_id: UUID
    partner_kind: PartnerKind
    operator: str | None = None
    scope: str
    exp: FiniteFloat
    iat: FiniteFloat | None = None
    tokens_not_before: FiniteFloat = 0

    def check_times(self) -> None:
        """Raises ``Unauthenticated`` for a token of the future, or one that lasts longer than any is made to."""
        now = time.time()
        issued = now if self.iat is None else self.iat
        if issued > now + LEEWAY_SECONDS:
            raise Unauthenticated("The access token is not valid: it says that it was issued in the future.")
        if self.exp - issued > MOST_TOKEN_SECONDS:
            raise Unauthenticated(f"The access token is not valid: it lasts longer than {MOST_TOKEN_SECONDS} seconds.")


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a token said whose signature was good: that need not be checked again until it ends."""

    principal: Principal
    kid: str
    expires: float
    not_before: float


class TokenVerifier:
    """Checks access tokens by ``trust``, which it refreshes when it meets an unknown key id."""

    def __init__(self, issuer: str, trust: Trust) -> None:
        self._trust = trust
        self._fetched = float("-inf")
        self._verified: dict[bytes, _Verified] = {}  # by the token's hash
        self._claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": issuer},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """The principal of a token. Raises ``Unauthenticated``, ``TokenExpired`` when it was good once."""
        key = sha256(token.encode()).digest()
        verified = self._verified.get(key)
        if verified is None or time.time() >= verified.expires:
            verified = await self._checked(token)
            if len(self._verified) >= MOST_REMEMBERED:
                self._verified.clear()
            self._verified[key] = verified
        if self._trust.is_key_revoked(verified.kid):
            raise Unauthenticated("The access token is not valid: the key that signed it was revoked.")
        if self._trust.is_revoked(verified.principal.client_id, verified.not_before):
            raise Unauthenticated("The access token is not valid: it has been revoked.")
        return verified.principal

    async def _checked(self, token: str) -> _Verified:
        try:
            decoded = await self._decode(token)
            self._claims.validate({name: value for name, value in decoded.claims.items() if name != "iat"})
            claims = _Claims.model_validate(decoded.claims)
            claims.check_times()
            principal = _principal(decoded, claims)
            return _Verified(principal, str(decoded.header["kid"]), claims.exp, claims.tokens_not_before)
        except ExpiredTokenError:
            raise TokenExpired("The access token is not valid: it has expired.") from None
        except (JoseError, ValueError, KeyError, TypeError) as wrong:
            raise Unauthenticated(f"The access token is not valid: {_why(wrong)}.") from None

    async def _decode(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._trust.keys, algorithms=[ALGORITHM])
        except (JoseError, ValueError):
            if time.monotonic() - self._fetched < REFETCH_SECONDS:
                raise
            await self._trust.refresh()
            self._fetched = time.monotonic()
            return jwt.decode(token, self._trust.keys, algorithms=[ALGORITHM])


def _principal(token: jwt.Token, claims: _Claims) -> Principal:
    if token.header.get("typ") != ACCESS:
        raise ValueError("The same keys sign manifests of the feed.")
    return Principal(
        client_id=claims.sub,
        partner_id=claims.partner_id,
        partner_kind=claims.partner_kind,
        operator=claims.operator,
        scopes=frozenset(claims.scope.split()),
    )


def _why(wrong: Exception) -> str:
    return {"bad_signature": "its signature does not match"}.get(
        getattr(wrong, "error", ""), "it is malformed or was issued by another service"
    )


oauth2 = OAuth2(
    flows=OAuthFlows(clientCredentials=OAuthFlowClientCredentials(tokenUrl="/oauth/token", scopes=SCOPES)),
    description="OAuth 2.0 client credentials (RFC 6749, 4.4). Access tokens are JWTs that keep to RFC8725.",
    auto_error=False,
)


async def authenticate(
    request: Request, needed: SecurityScopes, authorization: Annotated[str | None, Depends(oauth2)]
) -> Principal:
    """The caller of a request, verified once for each. Raises ``Unauthenticated``, or ``Forbidden`` without a scope."""
    principal: Principal = request.scope.get("principal") or await _admitted(request, authorization)
    if not principal.scopes.issuperset(needed.scopes):
        missing = sorted(set(needed.scopes) - principal.scopes)
        raise Forbidden(f"The token lacks the scope {' '.join(missing)}.")
    return principal


async def _admitted(request: Request, authorization: str | None) -> Principal:
    scheme, _, sent = (authorization or "").partition(" ")
    token = sent.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("The request carries no bearer token.")
    way, verifier = _verifier(request.app.state, token)
    try:
        principal = await verifier.verify(token)
    except Unauthenticated as refused:
        auth_events.failed(way, refused.detail)
        raise
    admit(request, principal, way)
    await count_client(request, principal.named[0])
    return principal


def _verifier(state: Any, token: str) -> tuple[Way, Verifier]:
    """The verifier of the issuer that the token claims to be from; the service's own unless that one is configured."""
    external: Mapping[str, Verifier] = state.external
    issuer = external.get(str(unverified(token).claims.get("iss"))) if external else None
    return ("external_token", issuer) if issuer else ("token", state.verifier)


def require(*scopes: str) -> Any:
    """A dependency that gives the ``Principal`` of a token that holds ``scopes``."""
    return Security(authenticate, scopes=list(scopes))
