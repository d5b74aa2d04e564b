"""Fast path: calls simple endpoints without FastAPI's dependency resolution for each request (ADR 0026).

An unusual or invalid request goes to FastAPI's own handler. With ``AuthenticatedRoute`` in place of ``FastRoute`` the
service behaves the same, and is slower.
"""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, get_type_hints
from urllib.parse import parse_qs

from fastapi import Request, Response
from fastapi.params import Depends, Header, Query, Security
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.core.headers import announces_body, field_value, fields_of
from app.core.http.authenticated_route import AuthenticatedRoute, CallerParameter, annotated, caller_parameter
from app.core.http.json_limits import check_json
from app.core.http.strict_route import Handler, takes_several
from app.core.validation import schemas

METHODS = ("GET", "POST")
NOT_PLAIN = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


class FastRoute(AuthenticatedRoute):
    """A class for ``APIRouter(route_class=FastRoute)``.

    The fast path is for GET and POST endpoints that return a ``Response`` and take a ``Principal`` and nothing but: the
    request, path parameters, one ``Query`` model, one JSON body, dependencies on the request, and
    dependencies on the request and one header. Other endpoints get FastAPI's handler.
    """

    def get_route_handler(self) -> Handler:
        """Return the fast path before FastAPI's handler, or that handler alone."""
        handle_usually, parameters = super().get_route_handler(), _parameters_of(self)
        if parameters is None:
            return handle_usually

        async def handle(request: Request) -> Response:
            caller = await parameters.caller.authenticate(request)
            values = await parameters.read(request)
            if values is None:
                return await handle_usually(request)
            return await parameters.endpoint(**values, **{parameters.caller.name: caller})

        return handle


@dataclass(frozen=True, slots=True)
class _HeaderDependency:
    """A dependency on the request and one header."""

    dependency: Callable[..., Awaitable[Any]]
    request_parameter: str
    header_parameter: str
    header: bytes
    adapter: TypeAdapter[Any]

    async def solve(self, request: Request) -> Any:
        """Call the dependency for a request. Raises ``ValidationError``."""
        value = self.adapter.validate_python(field_value(request.scope, self.header))
        return await self.dependency(**{self.request_parameter: request, self.header_parameter: value})


@dataclass(slots=True)
class _Parameters:
    """The parameters of an endpoint, by kind and name."""

    endpoint: Callable[..., Awaitable[Response]]
    caller: CallerParameter
    path: dict[str, TypeAdapter[Any]] = field(default_factory=dict)
    query: dict[str, type[schemas.Query]] = field(default_factory=dict)
    body: dict[str, type[schemas.Body]] = field(default_factory=dict)
    header_dependencies: dict[str, _HeaderDependency] = field(default_factory=dict)
    request_dependencies: dict[str, Callable[[Request], Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    async def read(self, request: Request) -> dict[str, Any] | None:
        """Return the values of all parameters but the caller; None for a request that FastAPI has to handle."""
        values: dict[str, Any] = dict.fromkeys(self.requests, request)
        scope = request.scope
        if (not self.query and scope["query_string"]) or (not self.body and announces_body(scope)):
            return None
        try:
            for name, adapter in self.path.items():
                values[name] = adapter.validate_python(request.path_params[name])
            for name, query in self.query.items():
                values[name] = _parse_query(query, scope["query_string"])
            for name, body in self.body.items():
                fields = fields_of(scope)
                if fields.get(b"content-type") != b"application/json" or b"content-encoding" in fields:
                    return None
                text = await request.body()  # cached by the request
                check_json(text)
                values[name] = body.model_validate(json.loads(text))
            for name, dependency in self.header_dependencies.items():
                values[name] = await dependency.solve(request)
        except (ValueError, RecursionError):  # of JSON, of its encoding or its integers, of the models
            return None
        return values | {name: depend(request) for name, depend in self.request_dependencies.items()}


@lru_cache(maxsize=500)
def _parse_query(model: type[schemas.Query], query: bytes) -> schemas.Query:
    """Parse a query string as FastAPI does. Raises ``ValueError`` for one that ``StrictRoute`` refuses, too."""
    given: dict[str, Any] = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    for name, values in given.items():
        if name not in model.model_fields or not takes_several(model.model_fields[name].annotation):
            (given[name],) = values
    return model.model_validate(given)


def _parameters_of(route: APIRoute) -> _Parameters | None:
    """Return the parameters of an endpoint, or None for one that the fast path does not support."""
    hints = get_type_hints(route.endpoint, include_extras=True)
    # a router's Security dependencies only document how to authenticate
    has_dependencies = not all(isinstance(each, Security) for each in route.dependencies)
    caller = caller_parameter(route.endpoint)
    if (
        caller is None
        or has_dependencies
        or hints.pop("return", None) is not Response
        or not set(METHODS).issuperset(route.methods or ())
    ):
        return None
    parameters = _Parameters(route.endpoint, caller)
    del hints[caller.name]
    return parameters if all(_add(parameters, route, name, hint) for name, hint in hints.items()) else None


def _add(parameters: _Parameters, route: APIRoute, name: str, hint: Any) -> bool:
    """Add a parameter; return False for one that the fast path does not support."""
    kind, marker = annotated(hint)
    if kind is Request:
        parameters.requests.append(name)
    elif name in route.param_convertors:
        parameters.path[name] = TypeAdapter(hint)
    elif isinstance(marker, Query) and not parameters.query and issubclass(kind, schemas.Query):
        parameters.query[name] = kind
    elif isinstance(marker, Depends) and (depend := _request_dependency(marker)):
        parameters.request_dependencies[name] = depend
    elif isinstance(marker, Depends) and (dependency := _header_dependency(marker)):
        parameters.header_dependencies[name] = dependency
    elif marker is None and not parameters.body and isinstance(kind, type) and issubclass(kind, schemas.Body):
        parameters.body[name] = kind
    else:
        return False
    return True


def _request_dependency(marker: Depends) -> Callable[[Request], Any] | None:
    """Return a dependency that is a plain function of the request; None for any other."""
    call = marker.dependency
    if isinstance(marker, Security) or call is None or any(is_kind(call) for is_kind in NOT_PLAIN):
        return None
    hints = get_type_hints(call, include_extras=True)
    hints.pop("return", None)
    return call if list(hints.values()) == [Request] and list(hints) == ["request"] else None


def _header_dependency(marker: Depends) -> _HeaderDependency | None:
    """Return a dependency on the request and one header; None for any other."""
    if isinstance(marker, Security) or marker.dependency is None:
        return None
    hints = get_type_hints(marker.dependency, include_extras=True)
    hints.pop("return", None)
    requests = [name for name, hint in hints.items() if hint is Request]
    headers = [name for name, hint in hints.items() if isinstance(annotated(hint)[1], Header)]
    if len(hints) != 2 or len(requests) != 1 or len(headers) != 1:
        return None
    ((request,), (header,)) = requests, headers
    return _HeaderDependency(
        marker.dependency, request, header, header.replace("_", "-").encode(), TypeAdapter(hints[header])
    )
