"""Who calls: a bearer token, checked locally, gives a Principal; ``require`` asks for a scope."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

import structlog
from fastapi import Depends, Request, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2, SecurityScopes
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet

from app.core.errors import Forbidden, TokenExpired, Unauthenticated

PartnerKind = Literal["regulator", "association", "operator"]
ALGORITHM = "Ed25519"
REFETCH_SECONDS = 5.0

SCOPES = {
    "applicants:read": "Read applicants",
    "applicants:write": "Make and change applicants",
    "registrations:read": "Read registrations and their history",
    "registrations:write": "Submit, correct and withdraw registrations, upload files",
    "reviews:read": "Read review decisions",
    "reviews:write": "Claim cases and decide them",
    "allowlist:read": "Read the allowlist feed",
    "allowlist:publish": "Release what the publisher holds",
    "events:read": "Read the event log",
    "partners:admin": "Manage partners and their clients",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The client that acts, and the partner it acts for, as its token says."""

    client_id: UUID
    partner_id: UUID
    partner_kind: PartnerKind
    operator: str | None
    scopes: frozenset[str]

    @property
    def sees_all(self) -> bool:
        """Whether the caller's business is every partner's case."""
        return self.partner_kind == "regulator"


class TokenVerifier:
    """Checks access tokens with the public keys, which it fetches again when it meets an unknown key id."""

    def __init__(self, issuer: str, load_keys: Callable[[], Awaitable[KeySet]]) -> None:
        self._issuer = issuer
        self._load_keys = load_keys
        self._keys = KeySet([])
        self._fetched = float("-inf")
        self._claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": issuer},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """The principal of a token. Raises ``Unauthenticated``, ``TokenExpired`` when it was good once."""
        try:
            decoded = await self._decode(token)
            self._claims.validate(decoded.claims)
            return _principal(decoded.claims)
        except ExpiredTokenError:
            raise TokenExpired("The access token is not valid: it has expired.") from None
        except (JoseError, ValueError, KeyError, TypeError) as wrong:
            raise Unauthenticated(f"The access token is not valid: {_why(wrong)}.") from None

    async def _decode(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._keys, algorithms=[ALGORITHM])
        except (JoseError, ValueError):
            if time.monotonic() - self._fetched < REFETCH_SECONDS:
                raise
            self._keys = await self._load_keys()
            self._fetched = time.monotonic()
            return jwt.decode(token, self._keys, algorithms=[ALGORITHM])


def _principal(claims: dict[str, Any]) -> Principal:
    return Principal(
        client_id=UUID(claims["sub"]),
        partner_id=UUID(claims["partner_id"]),
        partner_kind=claims["partner_kind"],
        operator=claims.get("operator"),
        scopes=frozenset(claims["scope"].split()),
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
    """The caller of a request. Raises ``Unauthenticated``, or ``Forbidden`` when a scope is missing."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The request carries no bearer token.")
    verifier: TokenVerifier = request.app.state.verifier
    principal = await verifier.verify(token.strip())
    structlog.contextvars.bind_contextvars(client_id=str(principal.client_id), partner_id=str(principal.partner_id))
    missing = sorted(set(needed.scopes) - principal.scopes)
    if missing:
        raise Forbidden(f"The token lacks the scope {' '.join(missing)}.")
    return principal


def require(*scopes: str) -> Any:
    """A dependency that gives the ``Principal`` of a token that holds ``scopes``."""
    return Security(authenticate, scopes=list(scopes))
