"""The fast path responds exactly as FastAPI does."""

from typing import Annotated
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response, Security
from fastapi.security import SecurityScopes

from app.core.auth.bearer import oauth2
from app.core.errors import Forbidden
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.body_limit import BodyLimitMiddleware
from app.core.http.fast_route import FastRoute
from app.core.http.middleware import RequestMiddleware
from app.core.http.problems import add_problem_handlers
from app.core.principal import Principal
from app.core.validation import schemas
from tests.support.service import Caller

ID = "019b2f6e-6a00-7c3e-8d55-1b8d7f3e2a11"
PATHS = (
    "/things", "/things?limit=5", "/things?limit=5&limit=7", "/things?limit=x", "/things?other=1", "/things?limit=",
    f"/things/{ID}", "/things/second", f"/things/{ID}/model", f"/things/{ID}/announced", "/things/",
)  # fmt: skip


class Wanted(schemas.Query):
    limit: int = 1


class Thing(schemas.Body):
    name: schemas.Line100
    size: int = 1


async def _labelled(
    request: Request, label: Annotated[str | None, Header(pattern="^[a-z]+$", examples=["small"])] = None
) -> bytes:
    return await request.body() + (label or "none").encode()


async def _known(
    request: Request, needed: SecurityScopes, authorization: Annotated[str | None, Depends(oauth2)]
) -> Principal:
    if not authorization:
        raise Forbidden(f"{request.url.path} needs {needed.scope_str}.")
    principal = Principal(uuid4(), uuid4(), "association", authorization, frozenset(needed.scopes))
    request.scope["principal"] = principal
    return principal


async def _announce(request: Request) -> None:
    request.state.announced = "yes"


Reader = Annotated[Principal, Security(_known, scopes=["things:read"])]


def _app(route_class: type[AuthenticatedRoute]) -> FastAPI:
    router = APIRouter(prefix="/things", route_class=route_class)

    @router.get("")
    async def listed(request: Request, query: Annotated[Wanted, Query()], caller: Reader) -> Response:
        return Response(f"{request.method} {query.limit} {caller.operator} {caller.scopes}")

    @router.get("/{thing_id}")
    async def one(thing_id: UUID, _: Reader) -> Response:
        return Response(f"{thing_id!r}")

    @router.get("/{thing_id}/model")
    async def modelled(thing_id: UUID, _: Reader) -> Wanted:
        del thing_id
        return Wanted(limit=3)

    @router.get("/{thing_id}/announced", dependencies=[Depends(_announce)])
    async def announced(request: Request, thing_id: UUID, _: Reader) -> Response:
        return Response(f"{thing_id} {request.state.announced}")

    @router.post("", status_code=201)
    async def made(body: Thing, caller: Reader, labelled: Annotated[bytes, Depends(_labelled)]) -> Response:
        return Response(f"{body!r} {caller.operator} {labelled!r}", 201)

    app = FastAPI(redirect_slashes=False)
    app.add_middleware(BodyLimitMiddleware, limit=100_000, seconds=1, streamed={}, min_rate=1, memory=1_000_000)
    app.add_middleware(RequestMiddleware, https=False)
    add_problem_handlers(app)
    app.include_router(router, prefix="/v1")
    return app


async def _answer(
    route_class: type[AuthenticatedRoute], path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[object, ...]:
    transport = httpx.ASGITransport(_app(route_class))
    method = "GET" if body is None else "POST"
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        fields = {**headers, "X-Request-ID": "the-same"}
        answer = await client.request(method, f"/v1{path}", headers=fields, content=body)
    return answer.status_code, answer.text, answer.headers


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer one"}], ids=["unknown", "known"])
@pytest.mark.parametrize("path", PATHS)
async def test_every_response_is_that_of_the_framework(path: str, headers: dict[str, str]) -> None:
    assert await _answer(FastRoute, path, headers) == await _answer(AuthenticatedRoute, path, headers)


JSON = {"Content-Type": "application/json"}
SENT = {
    "right": (201, JSON, b'{"name": " a thing "}'),
    "right and labelled": (201, {**JSON, "Label": "small"}, b'{"name": "a", "size": 2}'),
    "JSON with a character set": (201, {"Content-Type": "application/json; charset=utf-8"}, b'{"name": "a"}'),
    "another JSON": (201, {"Content-Type": "application/merge-patch+json"}, b'{"name": "a"}'),
    "wrong label": (422, {**JSON, "Label": "SMALL"}, b'{"name": "a"}'),
    "wrong size": (422, JSON, b'{"name": "a", "size": "b"}'),
    "unknown field": (422, JSON, b'{"name": "a", "colour": "b"}'),
    "nothing": (422, JSON, b""),
    "null": (422, JSON, b"null"),
    "a list": (422, JSON, b"[]"),
    "half": (422, JSON, b'{"name": '),
    "no text": (422, JSON, b"\xff\xfe\xff"),
    "deep": (422, JSON, b"[" * 50_000),
    "no JSON": (415, {"Content-Type": "text/plain"}, b'{"name": "a"}'),
    "of no type": (415, {}, b'{"name": "a"}'),
    "too large": (413, JSON, b'{"name": "' + b"a" * 100_000 + b'"}'),
}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer one"}], ids=["unknown", "known"])
@pytest.mark.parametrize("sent", SENT)
async def test_a_body_is_read_or_refused_as_by_the_framework(sent: str, headers: dict[str, str]) -> None:
    status, fields, body = SENT[sent]
    answer = await _answer(FastRoute, "/things", {**headers, **fields}, body)
    assert answer == await _answer(AuthenticatedRoute, "/things", {**headers, **fields}, body)
    if headers:
        assert answer[0] == status


async def test_a_body_is_not_validated_before_authentication() -> None:
    assert (await _answer(FastRoute, "/things", JSON, b'{"size": 1}'))[0] == 403


def test_the_document_is_the_same() -> None:
    assert _app(FastRoute).openapi() == _app(AuthenticatedRoute).openapi()


async def test_an_unauthenticated_caller_gets_401_before_422(pseb: Caller) -> None:
    path = "/v1/registrations?limit=many"
    assert (await pseb.service.http.get(path)).status_code == 401
    assert (await pseb.get(path)).status_code == 422
