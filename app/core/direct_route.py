"""Plain reads called directly: the framework looks for an operation, and works out its parameters, anew each time.

What is declared stays what is documented, and what is refused of an address is refused by the framework, in its words.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from re import Pattern
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response
from fastapi.params import Query, Security
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import SecurityScopes
from pydantic import TypeAdapter, ValidationError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core import schemas
from app.core.principal import Principal

# How every dependency that gives a ``Principal`` is called: with the scopes needed and the field ``Authorization``.
Authentication = Callable[[Request, SecurityScopes, str | None], Awaitable[Principal]]


class DirectRoute(APIRoute):
    """A route for ``APIRouter(route_class=DirectRoute)``, whose plain reads ``DirectReadsMiddleware`` calls.

    These are operations that take no more than the request, a ``Principal``, parts of the path and one ``Query`` of
    single values, and that give a ``Response``. All others are the framework's to call.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked = _asked(self)


class DirectReadsMiddleware:
    """Answers the plain reads of every ``DirectRoute``, and passes on all else. Pure ASGI.

    What they raise is for a middleware further out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._reads: list[tuple[Pattern[str], BaseRoute]] = []
        self._without_parameters: dict[str, BaseRoute] = {}  # by path, once one was asked for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or pass it on."""
        route = self._route_of(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if route is not None and (answer := await _answer(route, Request(scope, receive))):
            await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _route_of(self, scope: Scope) -> DirectRoute | None:
        """The route that the framework would take, when it is one to call directly."""
        route, scope["path_params"] = self._without_parameters.get(scope["path"]), {}
        if route is None:
            route, scope["path_params"] = self._matched(scope)
        return route if isinstance(route, DirectRoute) else None

    def _matched(self, scope: Scope) -> tuple[BaseRoute | None, dict[str, str]]:
        if not self._reads:
            self._reads = list(_reads_of(scope["app"]))
        for path, route in self._reads:
            if found := path.match(scope["path"]):
                parameters = found.groupdict()
                if not parameters:
                    self._without_parameters[scope["path"]] = route
                return route, parameters
        return None, {}


def _reads_of(app: FastAPI) -> Iterator[tuple[Pattern[str], BaseRoute]]:
    for each in iter_route_contexts(app.routes):
        if "GET" in (each.methods or ()):
            yield each.path_regex, each.original_route


async def _answer(route: DirectRoute, request: Request) -> Response | None:
    """The answer of a plain read; None for an operation or a request that is the framework's."""
    asked = route.asked
    given = asked.read(request) if asked else None
    if asked is None or given is None:
        return None
    request.scope["endpoint"] = route.endpoint
    given[asked.caller] = await asked.authenticate(request, asked.scopes, request.headers.get("authorization"))
    response: Response = await route.endpoint(**given)
    return response


@dataclass(slots=True)
class _Asked:
    """What an operation asks for, by the names of its parameters."""

    path: dict[str, TypeAdapter[Any]] = field(default_factory=dict)
    query: dict[str, type[schemas.Query]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    caller: str = ""
    authenticate: Authentication = field(init=False)
    scopes: SecurityScopes = field(init=False)

    def read(self, request: Request) -> dict[str, Any] | None:
        """All but the caller; None for a request that the framework has to refuse."""
        given: dict[str, Any] = dict.fromkeys(self.requests, request)
        try:
            for name, kind in self.path.items():
                given[name] = kind.validate_python(request.path_params[name])
            for name, model in self.query.items():
                given[name] = _read(model, request.scope["query_string"])
        except ValidationError:
            return None
        return given


@lru_cache(maxsize=500)
def _read(model: type[schemas.Query], query: bytes) -> schemas.Query:
    """The last value of each name, as the framework reads an address; what is asked again and again is read once.

    Raises ``ValidationError``.
    """
    return model.model_validate(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))


def _asked(route: APIRoute) -> _Asked | None:
    """What the operation of a route asks for; None when that is more than ``DirectRoute`` gives."""
    hints = get_type_hints(route.endpoint, include_extras=True)
    only_documented = all(isinstance(each, Security) for each in route.dependencies)
    if not only_documented or hints.pop("return", None) is not Response or route.methods != {"GET"}:
        return None
    asked = _Asked()
    for name, hint in hints.items():
        kind, said = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
        if kind is Request:
            asked.requests.append(name)
        elif kind is Principal and isinstance(said, Security) and said.dependency:
            asked.caller, asked.authenticate = name, said.dependency
            asked.scopes = SecurityScopes(list(said.scopes or ()))
        elif name in route.param_convertors:
            asked.path[name] = TypeAdapter(hint)
        elif isinstance(said, Query) and not asked.query and issubclass(kind, schemas.Query):
            asked.query[name] = kind
        else:
            return None
    return asked if asked.caller else None
