"""Access tokens of a partner's own identity provider; each of its users is a client of the partner."""

from collections.abc import Mapping
from typing import Any

import structlog
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError

from app.core.auth.bearer import Verifier, decode_unverified
from app.core.database.engine import Database
from app.core.errors import Forbidden, TokenExpired, Unauthenticated, Unavailable
from app.core.external_issuer import ExternalIssuer
from app.core.outbound.client import Outbound
from app.core.principal import Principal
from app.core.settings import Settings
from app.partners import key_sets, rules, service, store
from app.partners.login.remote_keys import KeysUnreachable, RemoteKeys, fetch_json
from app.partners.models import Client

LEEWAY_SECONDS = 10
SUBJECT_LENGTH = 255
TOKEN_TYPES = ("jwt", "at+jwt")
DISCOVERY = "/.well-known/openid-configuration"
log = structlog.get_logger(__name__)


def external_verifiers(settings: Settings, database: Database) -> Mapping[str, Verifier]:
    """Return a verifier for each configured issuer, by the issuer's name."""
    return {
        each.issuer: ExternalTokenVerifier(each, database, _outbound_for(settings, each))
        for each in settings.external_issuers
    }


def _outbound_for(settings: Settings, issuer: ExternalIssuer) -> Outbound:
    """Return an outbound client that may also connect to this issuer's hosts, if it is internal."""
    allowed = (*settings.outbound_allowed, *(issuer.hosts if issuer.internal else ()))
    return Outbound(settings.model_copy(update={"outbound_allowed": allowed}))


class ExternalTokenVerifier:
    """Verifies the tokens of one external issuer."""

    def __init__(self, issuer: ExternalIssuer, database: Database, outbound: Outbound) -> None:
        self._issuer = issuer
        self._database = database
        self._outbound = outbound
        self._keys = RemoteKeys(self._load_keys, issuer.smallest_rsa)
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
            iat={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """Return the principal of a token: the client of its subject, which is created on first use.

        Raises ``Unauthenticated``, ``TokenExpired``, ``Forbidden`` when the claims map to no scope, and
        ``Unavailable`` while the issuer's keys cannot be fetched.
        """
        claims = await self._verified_claims(token)
        scopes = rules.mapped_scopes(self._issuer.scopes, claims, self._issuer.scope_claim)
        if not scopes:
            raise Forbidden("No claim of the token gives its holder a scope in this service.")
        subject = claims.get(self._issuer.subject_claim)
        if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_LENGTH or not subject.isprintable():
            raise Unauthenticated(f"The access token is not valid: it has no {self._issuer.subject_claim}.")
        client = await self._find_or_add_client(subject)
        if not client.has_access:
            raise Unauthenticated("The client of the token's holder, or its partner, is disabled in this service.")
        return client.principal(scopes & rules.ALLOWED[client.partner.kind])

    async def _verified_claims(self, token: str) -> dict[str, Any]:
        kid = decode_unverified(token).header.get("kid")
        try:
            key = await self._keys.find(kid) if isinstance(kid, str) else None
            if key is None:
                raise Unauthenticated("The access token is not valid: its issuer has no such key.")
            decoded = key_sets.decode(token, key)
            self._claims.validate(decoded.claims)
        except KeysUnreachable as failure:
            log.warning("keys of an external issuer cannot be fetched", issuer=self._issuer.issuer, reason=str(failure))
            raise Unavailable("The keys of the token's issuer cannot be fetched at the moment.") from None
        except ExpiredTokenError:
            raise TokenExpired("The access token is not valid: it has expired.") from None
        except (JoseError, ValueError, RecursionError):
            raise Unauthenticated("The access token is not valid: wrong signature or audience.") from None
        if str(decoded.header.get("typ") or "jwt").lower().removeprefix("application/") not in TOKEN_TYPES:
            raise Unauthenticated("The access token is not valid: it has another type.")
        self._check_strength(decoded.claims)
        return decoded.claims

    def _check_strength(self, claims: Mapping[str, Any]) -> None:
        """Raise ``Unauthenticated`` for a token of too long a lifetime or too weak a login (``acr``, ``amr``)."""
        issuer, methods = self._issuer, claims.get("amr")
        if not claims["exp"] <= claims["iat"] + issuer.max_token_seconds:  # written so that NaN is refused
            raise Unauthenticated(f"The access token lasts longer than {issuer.max_token_seconds} seconds.")
        if issuer.acr and claims.get("acr") not in issuer.acr:
            raise Unauthenticated(f"Sign in with one of: {' '.join(issuer.acr)}. The token's acr says otherwise.")
        if not all(isinstance(methods, list) and each in methods for each in issuer.amr):
            raise Unauthenticated(f"Sign in with all of: {' '.join(issuer.amr)}. The token's amr says otherwise.")

    async def _find_or_add_client(self, subject: str) -> Client:
        identity = (self._issuer.partner, self._issuer.issuer, subject)
        async with self._database.transaction(read_only=True) as tx:
            client = await store.find_external(tx, *identity)
        if client is None:
            async with self._database.transaction() as tx:
                client = await service.add_external_client(tx, *identity)
        if client is None:
            log.warning("the partner of an external issuer does not exist", partner=self._issuer.partner)
            raise Unauthenticated("The access token is not valid: the partner of its issuer does not exist.")
        return client

    async def _load_keys(self) -> Any:
        return await self._fetch(self._issuer.jwks_uri or await self._discover_jwks_uri())

    async def _discover_jwks_uri(self) -> str:
        """Return the URL of the keys (OpenID Connect Discovery 1.0, section 4). Raises ``KeysUnreachable``."""
        found = await self._fetch(self._issuer.issuer.rstrip("/") + DISCOVERY)
        if not isinstance(found, dict) or found.get("issuer") != self._issuer.issuer:
            raise KeysUnreachable("The discovery document is of another issuer.")
        return str(found.get("jwks_uri"))

    async def _fetch(self, url: str) -> Any:
        return await fetch_json(self._outbound, url, self._issuer.issuer)
