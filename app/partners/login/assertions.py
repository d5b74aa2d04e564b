"""Claims of a client assertion (RFC 7523, section 3)."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_TYPES = ("jwt", "client-authentication+jwt")
MAX_LIFETIME_SECONDS = 3600  # the default of Authlib
LEEWAY_SECONDS = 10
JTI_LENGTH = 255
_TIMES = jwt.JWTClaimsRegistry(leeway=LEEWAY_SECONDS, exp={"essential": True})


class AssertionRefused(Exception):
    """The assertion does not authenticate the client; ``str()`` is the reason that the caller is told.

    ``reason`` is for the log alone and may hold what the caller must not learn.
    """

    def __init__(self, description: str, *, reason: str = "") -> None:
        super().__init__(description)
        self.reason = reason or description


@dataclass(frozen=True, slots=True)
class AssertionId:
    """The ``jti`` of an assertion, which must not be used again before the assertion expires."""

    jti: str
    expires_at: datetime


def validate_claims(token: jwt.Token, *, client_id: str, audiences: Collection[str]) -> AssertionId:
    """Check the claims of a token that the client signed. Raises ``AssertionRefused``.

    ``audiences`` are the names of this service: the issuer and the URL of the token endpoint (RFC 7523, section 3). An
    assertion that names another service as well is refused, since that service could use it here.
    """
    claims = token.claims
    _check_times(claims)
    if str(token.header.get("typ") or "jwt").lower().removeprefix("application/") not in TOKEN_TYPES:
        raise AssertionRefused("The typ of an assertion is JWT or client-authentication+jwt.")
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise AssertionRefused("The iss and the sub of an assertion are both the client_id.")
    if not _is_addressed(claims.get("aud"), audiences):
        raise AssertionRefused(f"The aud of an assertion is {' or '.join(audiences)}, and nothing else.")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= JTI_LENGTH or not jti.isprintable():
        raise AssertionRefused(f"The jti of an assertion has 1 to {JTI_LENGTH} printable characters.")
    return AssertionId(jti, datetime.fromtimestamp(claims["exp"], UTC))


def _is_addressed(aud: Any, audiences: Collection[str]) -> bool:
    named = aud if isinstance(aud, list) else [aud]
    return bool(named) and all(each in audiences for each in named)


def _check_times(claims: Mapping[str, Any]) -> None:
    try:
        _TIMES.validate({name: claims[name] for name in ("exp", "nbf", "iat") if name in claims})
    except ExpiredTokenError:
        raise AssertionRefused("The assertion has expired.") from None
    except JoseError:
        raise AssertionRefused("An assertion needs an exp; its iat and nbf must not be in the future.") from None
    if claims["exp"] > time.time() + MAX_LIFETIME_SECONDS + LEEWAY_SECONDS:
        raise AssertionRefused(f"The exp of an assertion is at most {MAX_LIFETIME_SECONDS} seconds ahead.")
    if claims.get("iat", claims["exp"]) > claims["exp"]:
        raise AssertionRefused("The iat of an assertion is before its exp.")
