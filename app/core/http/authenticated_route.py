"""Routes that settle who calls before they read the body; FastAPI alone reads the body first."""

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

# How every dependency that gives a ``Principal`` is called: with the scopes needed and the field ``Authorization``.
Authentication = Callable[[Request, SecurityScopes, str | None], Awaitable[Principal]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class CallerParameter:
    """The parameter of an operation that takes the caller: its name, and how the caller is authenticated."""

    name: str
    authentication: Authentication
    scopes: SecurityScopes

    async def authenticate(self, request: Request) -> Principal:
        """The caller, from the head of the request.

        Raises ``Unauthenticated``, ``Forbidden`` and ``TooManyRequests``.
        """
        return await self.authentication(request, self.scopes, first_header(request.scope, b"authorization"))


class AuthenticatedRoute(APIRoute):
    """A route for ``APIRouter(route_class=AuthenticatedRoute)``.

    An operation with a parameter of the type ``Principal`` is answered 401, 403 or 429 without its body having been
    read, and the principal goes on to the operation by the scope of the request. JSON is checked before it is parsed.
    """

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, behind the checks."""
        handle, caller = super().get_route_handler(), caller_parameter(self.endpoint)
        takes_json = self.body_field is not None and not isinstance(self.body_field.field_info, Form)

        async def checked(request: Request) -> Response:
            if caller is not None:
                await caller.authenticate(request)
            if takes_json and "json" in (first_header(request.scope, b"content-type") or "").lower():
                check_json(await request.body())  # the request keeps it
            return await handle(request)

        return checked


def caller_parameter(endpoint: Callable[..., Any]) -> CallerParameter | None:
    """The parameter that takes the caller; None for an operation that asks nobody who calls."""
    for name, hint in get_type_hints(endpoint, include_extras=True).items():
        kind, said = annotated(hint)
        if kind is Principal and isinstance(said, Security) and said.dependency:
            return CallerParameter(name, said.dependency, SecurityScopes(list(said.scopes or ())))
    return None


def annotated(hint: Any) -> tuple[Any, Any]:
    """The type of a parameter, and the first thing that its annotation adds."""
    kind, said = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
    return kind, said
