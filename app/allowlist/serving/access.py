"""Who may read the feed: a bearer token, or HTTP Basic with the client's id and secret."""

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

SCOPE = "allowlist:read"


class _Documented(HTTPBasic):
    """Tells the API's document that Basic is taken; ``_reader`` reads it, and refuses it with its own challenge."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Leave the credentials alone."""


basic = _Documented(scheme_name="HTTPBasic", description="The client's id and secret, for firewalls without OAuth.")


class FeedUnauthenticated(Unauthenticated):
    """The reader did not prove who it is; it may do so either way."""

    challenge: ClassVar[str] = 'Basic realm="ip-registration", Bearer realm="ip-registration"'


def _credentials(encoded: str) -> tuple[str, str]:
    found = decode_credentials(encoded)
    if found is None:
        auth_events.failed("basic", "the credentials cannot be read")
        raise FeedUnauthenticated("The Basic credentials cannot be read.")
    return found


async def _reader(
    request: Request, needed: SecurityScopes, authorization: Annotated[str | None, Depends(oauth2)]
) -> Principal:
    """The reader of a request, verified once for each."""
    scheme, _, rest = (authorization or "").partition(" ")
    try:
        if scheme.lower() != "basic":
            return await authenticate(request, needed, authorization)
        principal: Principal = request.scope.get("principal") or await _admitted(request, rest.strip())
    except TokenExpired as refused:
        if request.app.state.reader.is_stale:
            raise Unavailable("The token has expired, and a new one cannot be had just now.") from None
        raise FeedUnauthenticated(refused.detail) from None
    except Unauthenticated as refused:
        raise FeedUnauthenticated(refused.detail) from None
    if SCOPE not in principal.scopes:
        raise Forbidden(f"The client lacks the scope {SCOPE}.")
    return principal


async def _admitted(request: Request, encoded: str) -> Principal:
    """The client whose id and secret were sent. Raises ``Unauthenticated``, or ``TooManyRequests`` after many."""
    clients: BasicAuthenticator = request.app.state.basic
    client_id, secret = _credentials(encoded)
    try:
        principal = await clients.verify(client_id, secret)
    except Unauthenticated:
        await count_failed_login(request, client_id)
        raise
    admit(request, principal, "basic")
    await count_client(request, principal.named[0])
    return principal


# the second dependency only documents that Basic is taken too
Reader = Annotated[Principal, Security(_reader, scopes=[SCOPE])]
DOCUMENTED_BASIC = Security(basic)
