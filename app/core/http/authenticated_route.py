"""Routes that authenticate the caller before they read the body; FastAPI alone reads the body first."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.params import Security
from fastapi.security import SecurityScopes

from app.core.headers import field_value
from app.core.http.strict_route import Handler, StrictRoute
from app.core.principal import Principal

# A dependency that returns a ``Principal`` takes the request, the scopes needed, and the ``Authorization`` header.
Authentication = Callable[[Request, SecurityScopes, str | None], Awaitable[Principal]]


@dataclass(frozen=True, slots=True)
class CallerParameter:
    """The parameter of an endpoint that takes the caller, with the dependency that authenticates it."""

    name: str
    authentication: Authentication
    scopes: SecurityScopes

    async def authenticate(self, request: Request) -> Principal:
        """Authenticate the caller by the headers. Raises ``Unauthenticated``, ``Forbidden`` or ``TooManyRequests``."""
        return await self.authentication(request, self.scopes, field_value(request.scope, b"authorization"))


class AuthenticatedRoute(StrictRoute):
    """A class for ``APIRouter(route_class=AuthenticatedRoute)``.

    An endpoint with a ``Principal`` parameter responds 401, 403 or 429 before the body is read; the dependency finds
    the principal in the scope of the request.
    """

    def get_route_handler(self) -> Handler:
        """Return the handler of ``StrictRoute`` behind the authentication."""
        handle, caller = super().get_route_handler(), caller_parameter(self.endpoint)
        if caller is None:
            return handle

        async def handle_authenticated(request: Request) -> Response:
            await caller.authenticate(request)
            return await handle(request)

        return handle_authenticated


def caller_parameter(endpoint: Callable[..., Any]) -> CallerParameter | None:
    """Return the parameter that takes the caller, or None for a public endpoint."""
    for name, hint in get_type_hints(endpoint, include_extras=True).items():
        kind, marker = annotated(hint)
        if kind is Principal and isinstance(marker, Security) and marker.dependency:
            return CallerParameter(name, marker.dependency, SecurityScopes(list(marker.scopes or ())))
    return None


def annotated(hint: Any) -> tuple[Any, Any]:
    """Split a type hint into the type and the first marker of ``Annotated``, or None."""
    kind, marker = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
    return kind, marker
