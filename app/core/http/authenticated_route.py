"""Routes that authenticate the caller before they read the body; FastAPI alone reads the body first."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.params import Form, Security
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes

from app.core.headers import first_header
from app.core.http.json_limits import check_json
from app.core.principal import Principal

# A dependency that returns a ``Principal`` takes the request, the scopes needed, and the ``Authorization`` header.
Authentication = Callable[[Request, SecurityScopes, str | None], Awaitable[Principal]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class CallerParameter:
    """The parameter of an endpoint that takes the caller, with the dependency that authenticates it."""

    name: str
    authentication: Authentication
    scopes: SecurityScopes

    async def authenticate(self, request: Request) -> Principal:
        """Authenticate the caller by the headers. Raises ``Unauthenticated``, ``Forbidden`` or ``TooManyRequests``."""
        return await self.authentication(request, self.scopes, first_header(request.scope, b"authorization"))


class AuthenticatedRoute(APIRoute):
    """A class for ``APIRouter(route_class=AuthenticatedRoute)``.

    An endpoint with a ``Principal`` parameter responds 401, 403 or 429 before the body is read; the dependency finds
    the principal in the scope of the request. JSON is checked by ``check_json`` before it is parsed.
    """

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler behind the checks."""
        handle, caller = super().get_route_handler(), caller_parameter(self.endpoint)
        takes_json = self.body_field is not None and not isinstance(self.body_field.field_info, Form)

        async def handle_checked(request: Request) -> Response:
            if caller is not None:
                await caller.authenticate(request)
            if takes_json and "json" in (first_header(request.scope, b"content-type") or "").lower():
                check_json(await request.body())  # cached by the request
            return await handle(request)

        return handle_checked


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
