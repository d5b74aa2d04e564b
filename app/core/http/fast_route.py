"""Fast path: answers simple endpoints without FastAPI's per-request dependency resolution.

Anything unusual about a request falls back to FastAPI's own handler, which refuses it in its own words. With
``AuthenticatedRoute`` in its place the service is the same, and slower.
"""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, get_type_hints
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.params import Depends, Header, Query, Security
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from app.core.headers import first_header
from app.core.http.authenticated_route import AuthenticatedRoute, CallerParameter, Handler, annotated, caller_parameter
from app.core.http.json_limits import check_json
from app.core.validation import schemas

METHODS = ("GET", "POST")


class FastRoute(AuthenticatedRoute):
    """A route for ``APIRouter(route_class=FastRoute)``.

    Its fast path is for operations that take no more than the request, a ``Principal``, parts of the path, one
    ``Query`` of single values, one body of JSON, dependencies on the request alone, and dependencies on the request and
    one header field, and that give a ``Response``.
    """

    def get_route_handler(self) -> Handler:
        """The fast path before FastAPI's handler, for an operation that it can serve."""
        usual, parameters = super().get_route_handler(), _parameters_of(self)
        if parameters is None:
            return usual

        async def handle(request: Request) -> Response:
            caller = await parameters.caller.authenticate(request)
            given = await parameters.read(request)
            if given is None:
                return await usual(request)
            return await parameters.endpoint(**given, **{parameters.caller.name: caller})

        return handle


@dataclass(frozen=True, slots=True)
class _HeaderDependency:
    """A dependency on the request and one header field."""

    make: Callable[..., Awaitable[Any]]
    request: str
    parameter: str
    name: bytes
    kind: TypeAdapter[Any]

    async def solve(self, request: Request) -> Any:
        """Its value for a request. Raises ``ValidationError``."""
        value = self.kind.validate_python(first_header(request.scope, self.name))
        return await self.make(**{self.request: request, self.parameter: value})


@dataclass(slots=True)
class _Parameters:
    """The parameters of an operation, by their names."""

    endpoint: Callable[..., Awaitable[Response]]
    caller: CallerParameter
    path: dict[str, TypeAdapter[Any]] = field(default_factory=dict)
    query: dict[str, type[schemas.Query]] = field(default_factory=dict)
    body: dict[str, type[schemas.Body]] = field(default_factory=dict)
    header_dependencies: dict[str, _HeaderDependency] = field(default_factory=dict)
    request_dependencies: dict[str, Callable[[Request], Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    async def read(self, request: Request) -> dict[str, Any] | None:
        """The values of all but the caller; None for a request that FastAPI has to refuse."""
        given: dict[str, Any] = dict.fromkeys(self.requests, request)
        try:
            for name, kind in self.path.items():
                given[name] = kind.validate_python(request.path_params[name])
            for name, query in self.query.items():
                given[name] = _query(query, request.scope["query_string"])
            for name, body in self.body.items():
                if first_header(request.scope, b"content-type") != "application/json":
                    return None
                sent = await request.body()  # the request keeps it
                check_json(sent)
                given[name] = body.model_validate(json.loads(sent))
            for name, dependency in self.header_dependencies.items():
                given[name] = await dependency.solve(request)
        except (ValidationError, json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return None
        return given | {name: solve(request) for name, solve in self.request_dependencies.items()}


@lru_cache(maxsize=500)
def _query(model: type[schemas.Query], query: bytes) -> schemas.Query:
    """The last value of each name, as FastAPI reads a query; one that is asked again and again is read once.

    Raises ``ValidationError``.
    """
    return model.model_validate(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))


def _parameters_of(route: APIRoute) -> _Parameters | None:
    """The parameters of a route's operation; None when it takes more than the fast path gives."""
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
    found = _Parameters(route.endpoint, caller)
    del hints[caller.name]
    return found if all(_is_added(found, route, name, hint) for name, hint in hints.items()) else None


def _is_added(found: _Parameters, route: APIRoute, name: str, hint: Any) -> bool:
    """Add a parameter to those found; False when the fast path has nothing for it."""
    kind, said = annotated(hint)
    if kind is Request:
        found.requests.append(name)
    elif name in route.param_convertors:
        found.path[name] = TypeAdapter(hint)
    elif isinstance(said, Query) and not found.query and issubclass(kind, schemas.Query):
        found.query[name] = kind
    elif isinstance(said, Depends) and (solve := _request_dependency(said)):
        found.request_dependencies[name] = solve
    elif isinstance(said, Depends) and (dependency := _header_dependency(said)):
        found.header_dependencies[name] = dependency
    elif said is None and not found.body and isinstance(kind, type) and issubclass(kind, schemas.Body):
        found.body[name] = kind
    else:
        return False
    return True


def _request_dependency(said: Depends) -> Callable[[Request], Any] | None:
    """A dependency on the request alone that nothing awaits; None for any other."""
    solve = said.dependency
    if isinstance(said, Security) or solve is None or inspect.iscoroutinefunction(solve) or inspect.isgenerator(solve):
        return None
    hints = get_type_hints(solve, include_extras=True)
    hints.pop("return", None)
    return solve if list(hints.values()) == [Request] and list(hints) == ["request"] else None


def _header_dependency(said: Depends) -> _HeaderDependency | None:
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
    return _HeaderDependency(
        said.dependency, request, parameter, parameter.replace("_", "-").encode(), TypeAdapter(hints[parameter])
    )
