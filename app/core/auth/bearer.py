"""Bearer tokens (RFC 6750): verified locally, and the dependency ``require`` that checks scopes."""

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

from app.core.auth import signatures
from app.core.auth.admission import admit
from app.core.auth.auth_events import Method, record_failure
from app.core.errors import Forbidden, TokenExpired, Unauthenticated
from app.core.limits.http import count_client
from app.core.principal import SCOPES, PartnerKind, Principal
from app.core.settings import MAX_TOKEN_SECONDS

ACCESS = "at+jwt"  # RFC 9068, 2.1
REFETCH_SECONDS = 5.0
LEEWAY_SECONDS = 10.0  # between the clocks of two processes
MAX_TOKEN_LENGTH = 16_384
CACHE_SIZE = 10_000


class Verifier(Protocol):
    """Verifies the tokens of one issuer."""

    async def verify(self, token: str) -> Principal:
        """Return the principal of a token. Raises ``Unauthenticated``, or ``Unavailable`` without keys."""
        ...


def decode_unverified(token: str) -> jwt.Token:
    """Decode a token without verification, to choose the key or verifier; header and claims are empty if malformed."""
    try:
        parts = jws.extract_compact(token.encode() if len(token) <= MAX_TOKEN_LENGTH else b"")
        claims = json.loads(parts.payload)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return jwt.Token({}, {})
    return jwt.Token(parts.headers(), claims if isinstance(claims, dict) else {})


class Trust(Protocol):
    """The public keys and revocations that this process knows; only ``refresh`` reads the database."""

    @property
    def keys(self) -> KeySet:
        """The trusted public keys."""
        ...

    async def refresh(self) -> None:
        """Read the database again."""
        ...

    def is_key_revoked(self, kid: str) -> bool:
        """True when the key of that id was revoked."""
        ...

    def is_revoked(self, client_id: UUID, not_before: float) -> bool:
        """True when the client's tokens were revoked after those with this ``not_before`` were issued."""
        ...


class _Claims(BaseModel):
    """The claims of an access token of this service: those of RFC 9068, 2.2, and the partner."""

    sub: UUID
    partner_id: UUID
    partner_kind: PartnerKind
    operator: str | None = None
    scope: str
    exp: FiniteFloat
    iat: FiniteFloat | None = None
    tokens_not_before: FiniteFloat = 0

    def check_times(self) -> None:
        """Raise ``Unauthenticated`` for a token issued in the future, or valid for longer than is ever issued."""
        now = time.time()
        issued = now if self.iat is None else self.iat
        if issued > now + LEEWAY_SECONDS:
            raise Unauthenticated("The access token is not valid: it was issued in the future.")
        if self.exp - issued > MAX_TOKEN_SECONDS:
            raise Unauthenticated(
                f"The access token is not valid: it is valid for more than {MAX_TOKEN_SECONDS} seconds."
            )


@dataclass(frozen=True, slots=True)
class _Verified:
    """The claims of a token whose signature was verified, kept until it expires."""

    principal: Principal
    kid: str
    expires: float
    not_before: float


class TokenVerifier:
    """Verifies access tokens of this service; refreshes ``trust`` for an unknown key id."""

    def __init__(self, issuer: str, trust: Trust) -> None:
        self._trust = trust
        self._refreshed_at = float("-inf")
        self._verified: dict[bytes, _Verified] = {}  # by SHA-256 of the token
        self._claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": issuer},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """Return the principal of a token. Raises ``Unauthenticated``, or ``TokenExpired``."""
        key = sha256(token.encode()).digest()
        verified = self._verified.get(key)
        if verified is None or time.time() >= verified.expires:
            verified = await self._verify_claims(token)
            if len(self._verified) >= CACHE_SIZE:
                self._verified.clear()
            self._verified[key] = verified
        if self._trust.is_key_revoked(verified.kid):
            raise Unauthenticated("The access token is not valid: the key that signed it was revoked.")
        if self._trust.is_revoked(verified.principal.client_id, verified.not_before):
            raise Unauthenticated("The access token is not valid: it has been revoked.")
        return verified.principal

    async def _verify_claims(self, token: str) -> _Verified:
        try:
            decoded = await self._decode(token)
            self._claims.validate({name: value for name, value in decoded.claims.items() if name != "iat"})
            claims = _Claims.model_validate(decoded.claims)
            claims.check_times()
            principal = _principal(decoded, claims)
            return _Verified(principal, str(decoded.header["kid"]), claims.exp, claims.tokens_not_before)
        except ExpiredTokenError:
            raise TokenExpired("The access token is not valid: it has expired.") from None
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unauthenticated(f"The access token is not valid: {_reason(error)}.") from None

    async def _decode(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._trust.keys, registry=signatures.REGISTRY)
        except (JoseError, ValueError):
            if time.monotonic() - self._refreshed_at < REFETCH_SECONDS:
                raise
            await self._trust.refresh()
            self._refreshed_at = time.monotonic()
            return jwt.decode(token, self._trust.keys, registry=signatures.REGISTRY)


def _principal(token: jwt.Token, claims: _Claims) -> Principal:
    if token.header.get("typ") != ACCESS:
        raise ValueError("not an access token: the same keys sign manifests of the feed")
    return Principal(
        client_id=claims.sub,
        partner_id=claims.partner_id,
        partner_kind=claims.partner_kind,
        operator=claims.operator,
        scopes=frozenset(claims.scope.split()),
    )


def _reason(error: Exception) -> str:
    return {"bad_signature": "its signature does not match"}.get(
        getattr(error, "error", ""), "it is malformed or was issued by another service"
    )


oauth2 = OAuth2(
    flows=OAuthFlows(clientCredentials=OAuthFlowClientCredentials(tokenUrl="/oauth/token", scopes=SCOPES)),
    description="OAuth 2.0 client credentials (RFC 6749, 4.4). Access tokens are JWTs that keep to RFC8725.",
    auto_error=False,
)


async def authenticate(
    request: Request, needed: SecurityScopes, authorization: Annotated[str | None, Depends(oauth2)]
) -> Principal:
    """Return the caller of a request, verified once. Raises ``Unauthenticated``, or ``Forbidden`` without a scope."""
    principal: Principal = request.scope.get("principal") or await _authenticate(request, authorization)
    if not principal.scopes.issuperset(needed.scopes):
        missing = sorted(set(needed.scopes) - principal.scopes)
        raise Forbidden(f"The token lacks the scope {' '.join(missing)}.")
    return principal


async def _authenticate(request: Request, authorization: str | None) -> Principal:
    scheme, _, credentials = (authorization or "").partition(" ")
    token = credentials.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("The request has no bearer token.")
    method, verifier = _verifier(request.app.state, token)
    try:
        principal = await verifier.verify(token)
    except Unauthenticated as error:
        record_failure(method, error.detail)
        raise
    admit(request, principal, method)
    await count_client(request, principal.id_texts[0])
    return principal


def _verifier(state: Any, token: str) -> tuple[Method, Verifier]:
    """Return the verifier of the issuer that the token names; that of this service for an unknown one."""
    external: Mapping[str, Verifier] = state.external
    issuer = external.get(str(decode_unverified(token).claims.get("iss"))) if external else None
    return ("external_token", issuer) if issuer else ("token", state.verifier)


def require(*scopes: str) -> Any:
    """Return a dependency on the ``Principal`` of a token with ``scopes``."""
    return Security(authenticate, scopes=list(scopes))


def require_if_sent(*scopes: str) -> Any:
    """Return a dependency on the ``Principal`` of a token with ``scopes``, or None for a request without a token.

    The operation's ``openapi_extra`` is ``WITHOUT_TOKEN``, and it says who may call without one.
    """

    async def authenticate_if_sent(
        request: Request, needed: SecurityScopes, authorization: Annotated[str | None, Depends(oauth2)]
    ) -> Principal | None:
        return None if authorization is None else await authenticate(request, needed, authorization)

    return Security(authenticate_if_sent, scopes=list(scopes))


WITHOUT_TOKEN: dict[str, Any] = {"security": [{}]}


def require_any(scope: str, *others: str) -> Any:
    """Return a dependency on the ``Principal`` of a token with one of the scopes.

    The OpenAPI document gets ``scope`` by it; the operation adds the others, since FastAPI knows no alternatives.
    """
    alternatives = {scope, *others}

    async def authenticate_any(
        request: Request, _needed: SecurityScopes, authorization: Annotated[str | None, Depends(oauth2)]
    ) -> Principal:
        principal = await authenticate(request, SecurityScopes(), authorization)
        if principal.scopes.isdisjoint(alternatives):
            raise Forbidden(f"The token lacks the scope {' or '.join((scope, *others))}.")
        return principal

    return Security(authenticate_any, scopes=[scope])
