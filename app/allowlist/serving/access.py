"""Authentication of the feed's clients: by a bearer token, or by HTTP Basic with the client's id and secret."""

from typing import Annotated, ClassVar

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBasic, SecurityScopes
from starlette.requests import HTTPConnection

from app.core.auth import auth_events
from app.core.auth.admission import admit
from app.core.auth.bearer import authenticate, oauth2
from app.core.errors import Forbidden, TokenExpired, Unauthenticated, Unavailable
from app.core.limits.http import count_client, count_failed_login
from app.core.principal import Principal
from app.partners.login.basic import BasicAuthenticator, decode_credentials


class _BasicScheme(HTTPBasic):
    """Declares HTTP Basic in the OpenAPI document; ``_authenticate`` verifies the credentials."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Do nothing."""


basic = _BasicScheme(scheme_name="HTTPBasic", description="The client's id and secret, for firewalls without OAuth.")


class FeedUnauthenticated(Unauthenticated):
    """The client is not authenticated; the challenges offer both schemes."""

    challenge: ClassVar[str] = 'Basic realm="ip-registration", Bearer realm="ip-registration"'


async def _authenticate(
    request: Request, needed: SecurityScopes, authorization: Annotated[str | None, Depends(oauth2)]
) -> Principal:
    """Authenticate the client of a request by either scheme, once per request."""
    scheme, _, rest = (authorization or "").partition(" ")
    try:
        if scheme.lower() != "basic":
            return await authenticate(request, needed, authorization)
        principal: Principal = request.scope.get("principal") or await _authenticate_basic(request, rest.strip())
    except TokenExpired as refused:
        if request.app.state.reader.is_stale:  # the database is down, so the client cannot get a new token
            raise Unavailable("The token has expired, and new tokens are not available at the moment.") from None
        raise FeedUnauthenticated(refused.detail) from None
    except Unauthenticated as refused:
        raise FeedUnauthenticated(refused.detail) from None
    if not principal.scopes.issuperset(needed.scopes):
        raise Forbidden(f"The client lacks the scope {' '.join(sorted(set(needed.scopes) - principal.scopes))}.")
    return principal


async def _authenticate_basic(request: Request, encoded: str) -> Principal:
    """Verify Basic credentials. Raises ``Unauthenticated``, or ``TooManyRequests`` after many failures."""
    clients: BasicAuthenticator = request.app.state.basic
    if (sent := decode_credentials(encoded)) is None:
        auth_events.record_failure("basic", "the credentials cannot be read")
        raise FeedUnauthenticated("The Basic credentials cannot be read.")
    client_id, secret = sent
    try:
        principal = await clients.verify(client_id, secret)
    except Unauthenticated:
        await count_failed_login(request, client_id)
        raise
    admit(request, principal, "basic")
    await count_client(request, principal.id_texts[0])
    return principal


FeedClient = Annotated[Principal, Security(_authenticate, scopes=["allowlist:read"])]
Enforcer = Annotated[Principal, Security(_authenticate, scopes=["allowlist:confirm"])]
# adds the scheme to an operation in the OpenAPI document, and nothing else
BASIC_SCHEME = Security(basic)
