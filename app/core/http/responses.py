"""Responses: resources with an ``ETag``, pages with a ``Link``, and the ``If-Match`` of a change."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from app.core.database.pagination import next_link
from app.core.errors import PreconditionRequired
from app.core.validation.preconditions import IfMatch, etag_of


class JsonResource(NamedTuple):
    """A resource that is JSON text already, with its version."""

    version: int
    text: str


def json_response(body: BaseModel, status: int = 200, /, **headers: str) -> Response:
    """Respond with ``body`` as JSON; names of headers are written with ``_`` for ``-``."""
    return _json(body.model_dump_json(), status, {name.replace("_", "-"): value for name, value in headers.items()})


def resource_response(resource: Any, status: int = 200, *, location: str | None = None) -> Response:
    """Respond with a resource and its ``ETag``, and its ``Location`` when it was created.

    ``resource`` is a model with a ``version``, or a ``JsonResource``.
    """
    text = resource.text if isinstance(resource, JsonResource) else resource.model_dump_json()
    return _json(text, status, {"ETag": etag_of(resource), **({"Location": location} if location else {})})


def page_response(request: Request, page: type[BaseModel], items: Sequence[Any], next_cursor: str | None) -> Response:
    """Respond with a page of a list, and ``Link: rel="next"`` unless it is the last.

    ``items`` have the attributes of the items of ``page``, or are all JSON texts.
    """
    if items and isinstance(items[0], str):
        text = f'{{"items":[{",".join(items)}],"next_cursor":{json.dumps(next_cursor)}}}'
    else:
        body = page.model_validate({"items": items, "next_cursor": next_cursor}, from_attributes=True)
        text = body.model_dump_json()
    if next_cursor is None:
        return _json(text, 200, {})
    return _json(text, 200, {"Link": next_link(request.url.path, request.query_params.multi_items(), next_cursor)})


def _json(text: str, status: int, headers: dict[str, str]) -> Response:
    return Response(text, status, headers, media_type="application/json")


async def _if_match(
    if_match: Annotated[
        str | None, Header(description="`ETag` of the resource as last read", max_length=500, examples=['"1"'])
    ] = None,
) -> IfMatch:
    if if_match is None or not if_match.strip():
        raise PreconditionRequired
    return IfMatch(if_match)


Precondition = Annotated[IfMatch, Depends(_if_match)]
