"""Routes that refuse what their operation does not take: unknown and repeated parameters, bodies, content codings."""

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeGuard, get_args, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute

from app.core.errors import Invalid, InvalidValue, UnsupportedEncoding
from app.core.headers import announces_body, field_value
from app.core.http.json_limits import check_json
from app.core.validation.schemas import MAX_ERRORS, Query, unknown_parameter

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A class for ``APIRouter(route_class=StrictRoute)``.

    What an operation does not declare is refused before it acts, since a caller who misspells ``dry_run`` does not mean
    the opposite. A parameter may be repeated when it takes several values, and no body may be sent as ``{}`` too. JSON
    is checked by ``check_json`` before it is parsed.
    """

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler behind the checks."""
        handle, parameters = super().get_route_handler(), _query_parameters(self.dependant)
        takes_model = any(_is_model(each.field_info.annotation) for each in self.dependant.query_params)
        takes_body = self.body_field is not None
        takes_json = self.body_field is not None and not isinstance(self.body_field.field_info, Form)
        reads_stream = "requestBody" in (self.openapi_extra or {})  # and its content coding

        async def handle_strictly(request: Request) -> Response:
            if request.scope["query_string"]:
                _check_query(parameters, request, takes_model=takes_model)
            if takes_body:
                _check_coding(request)
                if takes_json and "json" in (field_value(request.scope, b"content-type") or "").lower():
                    check_json(await request.body())  # cached by the request
            elif not reads_stream and announces_body(request.scope):
                await _check_no_body(request)
            return await handle(request)

        return handle_strictly


def _query_parameters(dependant: Dependant) -> dict[str, bool]:
    """Return the names of an operation's query parameters, each with True when it takes several values."""
    found: dict[str, bool] = {}
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if _is_model(kind):
            found |= {each.alias or name: takes_several(each.annotation) for name, each in kind.model_fields.items()}
        else:
            found[field.alias] = takes_several(kind)
    for each in dependant.dependencies:
        found |= _query_parameters(each)
    return found


def _is_model(annotation: Any) -> TypeGuard[type[Query]]:
    return isinstance(annotation, type) and issubclass(annotation, Query)


def takes_several(annotation: Any) -> bool:
    """True for the type of a parameter that may be repeated, which is ``AnyOf``."""
    return any(get_origin(each) is tuple for each in (annotation, *get_args(annotation)))


def _check_query(parameters: Mapping[str, bool], request: Request, *, takes_model: bool) -> None:
    """Raise ``Invalid`` for query parameters that are repeated without need, or unknown.

    A ``Query`` model refuses unknown ones itself, with all that is wrong in its fields.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, times in given.items() if times > 1 and not parameters.get(name, True)]
    unknown = [] if takes_model else [name for name in given if name not in parameters]
    errors = [
        *(unknown_parameter("query", name) for name in unknown[:MAX_ERRORS]),
        *(InvalidValue.at(f"/query/{name}", f"{name} takes one value. Send it once.") for name in repeated),
    ]
    if errors:
        raise Invalid.of(errors)


def _check_coding(request: Request) -> None:
    coding = (field_value(request.scope, b"content-encoding") or "identity").strip().lower()
    if coding != "identity":
        raise UnsupportedEncoding("This operation takes a body without content coding.", accepted="identity")


async def _check_no_body(request: Request) -> None:
    """Raise ``Invalid`` for a body that says something."""
    if b"".join((await request.body()).split()) not in (b"", b"{}"):
        raise Invalid.of([InvalidValue.at("", "This operation takes no body. Send none, or {}.")])
