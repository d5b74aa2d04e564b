"""Answers in one shape: JSON with an ETag where there is a version, pages with their link."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from app.core.database.pagination import next_link
from app.core.errors import PreconditionRequired
from app.core.headers import first_header
from app.core.validation.preconditions import HasVersion, IfMatch, etag, etag_of


def json_answer(body: BaseModel, status: int = 200, /, **headers: str) -> Response:
    """``body`` as JSON; header names are written with ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body.model_dump_json(), status, named, media_type="application/json")


def document_answer(version: int, document: str, status: int = 200, *, location: str | None = None) -> Response:
    """``resource_answer`` of a resource that is JSON already."""
    headers = {"ETag": etag(version), **({"Location": location} if location else {})}
    return Response(document, status, headers, media_type="application/json")


def documents_answer(request: Request, items: Sequence[str], next_cursor: str | None) -> Response:
    """``page_answer`` of items that are JSON already."""
    body = f'{{"items":[{",".join(items)}],"next_cursor":{json.dumps(next_cursor)}}}'
    return Response(body, headers=_next(request, next_cursor), media_type="application/json")


def resource_answer(body: Any, status: int = 200, *, location: str | None = None) -> Response:
    """One resource with its ``ETag``, and its ``Location`` when it was just made."""
    headers = {"Location": location} if location else {}
    return json_answer(body, status, ETag=etag_of(body), **headers)


def page_answer(request: Request, page: type[BaseModel], items: Sequence[Any], next_cursor: str | None) -> Response:
    """One page of a list, with ``Link: rel="next"`` unless it is the last."""
    body = page.model_validate({"items": items, "next_cursor": next_cursor}, from_attributes=True)
    return json_answer(body, **_next(request, next_cursor))


def _next(request: Request, cursor: str | None) -> dict[str, str]:
    return {"Link": next_link(request.url.path, request.query_params.multi_items(), cursor)} if cursor else {}


async def _if_match(
    if_match: Annotated[str | None, Header(description="`ETag` of the resource as last read", max_length=500)] = None,
) -> IfMatch:
    if if_match is None or not if_match.strip():
        raise PreconditionRequired
    return IfMatch(if_match)


Precondition = Annotated[IfMatch, Depends(_if_match)]


def not_modified(request: Request, resource: HasVersion) -> Response | None:
    """A 304 when the caller's ``If-None-Match`` names the version it would get (weak comparison)."""
    return unchanged(request, etag_of(resource))


def unchanged(request: Request, tag: str) -> Response | None:
    """A 304 with the entity tag when ``If-None-Match`` holds it, else None."""
    return Response(None, 304, {"ETag": tag}) if is_held(request, tag) else None


def is_held(request: Request, tag: str) -> bool:
    """Whether ``If-None-Match`` holds the entity tag by weak comparison (RFC 9110, 13.1.2)."""
    held = first_header(request.scope, b"if-none-match")
    if not held or held == tag:
        return held == tag
    tags = {each.strip().removeprefix("W/") for each in held.split(",")}
    return tag in tags or "*" in tags
