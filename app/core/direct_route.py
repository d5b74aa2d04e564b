"""Plain operations called directly: the framework looks for them, and works out their parameters, anew each time.

What is declared stays what is documented, and what is refused of a request is refused by the framework, in its words.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from re import Pattern
from typing import Any, get_type_hints
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response
from fastapi.params import Depends, Header, Query, Security
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter, ValidationError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core import request_fields, schemas
from app.core.authenticated_route import AuthenticatedRoute, CallerParameter, annotated, caller_parameter
from app.core.json_limits import check_json

METHODS = ("GET", "POST")


class DirectRoute(AuthenticatedRoute):
    """A route for ``APIRouter(route_class=DirectRoute)``, whose plain operations ``DirectMiddleware`` calls.

    These take no more than the request, a ``Principal``, parts of the path, one ``Query`` of single values, one body
    of JSON, and what is made of one header field, and they give a ``Response``. All others are the framework's to call.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked = _asked(self)


class DirectMiddleware:
    """Answers the plain operations of every ``DirectRoute``, and passes on all else. Pure ASGI.

    What they raise is for a middleware further out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._routes: dict[str, list[tuple[Pattern[str], BaseRoute]]] = {}
        self._without_parameters: dict[tuple[str, str], BaseRoute] = {}  # once one was asked for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or pass it on."""
        asked = self._asked_of(scope) if scope["type"] == "http" and scope["method"] in METHODS else None
        if asked is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        caller = await asked.caller.authenticate(request)
        sent = _Sent(request)
        given = await asked.read(request, sent)
        if given is None:
            await self.app(scope, sent.receive, send)
            return
        scope["endpoint"] = asked.endpoint
        given[asked.caller.name] = caller
        if asked.body and not asked.is_valid(given):
            await self.app(scope, sent.receive, send)
            return
        answer = await asked.endpoint(**given)
        await answer(scope, receive, send)

    def _asked_of(self, scope: Scope) -> "_Asked | None":
        """What the operation asks for that the framework would take, when it is one to call directly."""
        route, scope["path_params"] = self._without_parameters.get((scope["method"], scope["path"])), {}
        if route is None:
            route, scope["path_params"] = self._matched(scope)
        return route.asked if isinstance(route, DirectRoute) else None

    def _matched(self, scope: Scope) -> tuple[BaseRoute | None, dict[str, str]]:
        if not self._routes:
            self._routes = {method: list(_routes_of(scope["app"], method)) for method in METHODS}
        for path, route in self._routes[scope["method"]]:
            if found := path.match(scope["path"]):
                parameters = found.groupdict()
                if not parameters:
                    self._without_parameters[scope["method"], scope["path"]] = route
                return route, parameters
        return None, {}


def _routes_of(app: FastAPI, method: str) -> Iterator[tuple[Pattern[str], BaseRoute]]:
    for each in iter_route_contexts(app.routes):
        if method in (each.methods or ()):
            yield each.path_regex, each.original_route


class _Sent:
    """The body of a request, which the framework may have to read again."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._body: bytes | None = None
        self._fault: Exception | None = None

    async def json(self) -> Any:
        """What it says. Raises ``ValueError`` when it is no JSON, or not all of it came, and ``Invalid``."""
        try:
            self._body = await self._request.body()
        except Exception as fault:  # noqa: BLE001 - the framework meets it again
            self._fault = fault
        check_json(self._body or b"")
        return json.loads(self._body or b"")

    async def receive(self) -> Message:
        """As it came."""
        if self._fault is not None:
            raise self._fault
        body, self._body = self._body, None
        if body is None:
            return await self._request.receive()
        return {"type": "http.request", "body": body, "more_body": False}


@dataclass(frozen=True, slots=True)
class _OfField:
    """What a dependency makes of a request and one header field."""

    make: Callable[..., Awaitable[Any]]
    request: str
    parameter: str
    name: bytes
    kind: TypeAdapter[Any]

    async def of(self, request: Request) -> Any:
        """What it makes. Raises ``ValidationError``."""
        value = self.kind.validate_python(request_fields.first(request.scope, self.name))
        return await self.make(**{self.request: request, self.parameter: value})


@dataclass(slots=True)
class _Asked:
    """What an operation asks for, by the names of its parameters."""

    endpoint: Callable[..., Awaitable[Response]]
    caller: CallerParameter
    path: dict[str, TypeAdapter[Any]] = field(default_factory=dict)
    query: dict[str, type[schemas.Query]] = field(default_factory=dict)
    body: dict[str, type[schemas.Body]] = field(default_factory=dict)
    of_fields: dict[str, _OfField] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    async def read(self, request: Request, sent: _Sent) -> dict[str, Any] | None:
        """All but the caller, the body as JSON; None for a request that the framework has to refuse."""
        given: dict[str, Any] = dict.fromkeys(self.requests, request)
        try:
            for name, kind in self.path.items():
                given[name] = kind.validate_python(request.path_params[name])
            for name, model in self.query.items():
                given[name] = _read(model, request.scope["query_string"])
            for name in self.body:
                if request_fields.first(request.scope, b"content-type") != "application/json":
                    return None
                given[name] = await sent.json()
            for name, of_field in self.of_fields.items():  # which may read the body again
                given[name] = await of_field.of(request)
        except (ValueError, RecursionError):  # Pydantic's and JSON's are such
            return None
        return given

    def is_valid(self, given: dict[str, Any]) -> bool:
        """Whether the body is one; then it stands in its place. To be asked once it is known who sends it."""
        try:
            given.update({name: model.model_validate(given[name]) for name, model in self.body.items()})
        except ValidationError:
            return False
        return True


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
    caller = caller_parameter(route.endpoint)
    if (
        caller is None
        or not only_documented
        or hints.pop("return", None) is not Response
        or not set(METHODS).issuperset(route.methods or ())
    ):
        return None
    asked = _Asked(route.endpoint, caller)
    del hints[caller.name]
    for name, hint in hints.items():
        kind, said = annotated(hint)
        if kind is Request:
            asked.requests.append(name)
        elif name in route.param_convertors:
            asked.path[name] = TypeAdapter(hint)
        elif isinstance(said, Query) and not asked.query and issubclass(kind, schemas.Query):
            asked.query[name] = kind
        elif isinstance(said, Depends) and (of_field := _of_field(said)):
            asked.of_fields[name] = of_field
        elif said is None and not asked.body and isinstance(kind, type) and issubclass(kind, schemas.Body):
            asked.body[name] = kind
        else:
            return None
    return asked


def _of_field(said: Depends) -> _OfField | None:
    """A dependency that makes something of the request and one header field; None for any other."""
    if isinstance(said, Security) or said.dependency is None:
        return None
    hints = get_type_hints(said.dependency, include_extras=True)
    hints.pop("return", None)
    requests = [name for name, hint in hints.items() if hint is Request]
    fields = [name for name, hint in hints.items() if isinstance(annotated(hint)[1], Header)]
    if len(hints) != 2 or len(requests) != 1 or len(fields) != 1:
        return None
    ((request,), (parameter,)) = requests, fields
    return _OfField(
        said.dependency, request, parameter, parameter.replace("_", "-").encode(), TypeAdapter(hints[parameter])
    )
