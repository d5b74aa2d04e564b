"""A route that calls plain reads itself: the framework works out anew, for each request, what their parameters are.

What is declared stays what is documented, and what is refused of an address is refused by the framework, in its words.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.params import Query, Security
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.types import Receive, Scope, Send

from app.core.principal import Principal

# How every dependency that gives a ``Principal`` is called: with the scopes needed and the field ``Authorization``.
Authentication = Callable[[Request, SecurityScopes, str | None], Awaitable[Principal]]


class DirectRoute(APIRoute):
    """A route for ``APIRouter(route_class=DirectRoute)``.

    It calls operations that take no more than the request, a ``Principal``, parts of the path and one model of single
    values for the query, and that give a ``Response``. All others are the framework's to call.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asked = _asked(self)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what is raised is for the application's handlers of exceptions."""
        asked, request = self._asked, Request(scope, receive, send)
        given = asked.read(request) if asked else None
        if asked is None or given is None:
            await super().handle(scope, receive, send)
            return
        given[asked.caller] = await asked.authenticate(request, asked.scopes, request.headers.get("authorization"))
        response: Response = await self.endpoint(**given)
        await response(scope, receive, send)


@dataclass(slots=True)
class _Asked:
    """What an operation asks for, by the names of its parameters."""

    path: dict[str, TypeAdapter[Any]] = field(default_factory=dict)
    query: dict[str, type[BaseModel]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    caller: str = ""
    authenticate: Authentication = field(init=False)
    scopes: SecurityScopes = field(init=False)

    def read(self, request: Request) -> dict[str, Any] | None:
        """All but the caller; None for a request that the framework has to refuse."""
        if request.method != "GET":
            return None
        given: dict[str, Any] = dict.fromkeys(self.requests, request)
        try:
            for name, kind in self.path.items():
                given[name] = kind.validate_python(request.path_params[name])
            for name, model in self.query.items():
                given[name] = model.model_validate(dict(request.query_params))
        except ValidationError:
            return None
        return given


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
        elif isinstance(said, Query) and not asked.query and issubclass(kind, BaseModel):
            asked.query[name] = kind
        else:
            return None
    return asked if asked.caller else None
