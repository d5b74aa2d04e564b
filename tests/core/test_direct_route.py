"""An operation that is called directly is answered as the framework would have answered it."""

from typing import Annotated
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes

from app.core import schemas
from app.core.direct_route import DirectMiddleware, DirectRoute
from app.core.errors import Forbidden
from app.core.exchange import ExchangeMiddleware
from app.core.principal import Principal
from app.core.problems import add_problem_handlers
from app.core.security import oauth2
from tests.support.service import Caller

ID = "019b2f6e-6a00-7c3e-8d55-1b8d7f3e2a11"
PATHS = (
    "/things", "/things?limit=5", "/things?limit=5&limit=7", "/things?limit=x", "/things?other=1", "/things?limit=",
    f"/things/{ID}", "/things/second", f"/things/{ID}/model", f"/things/{ID}/announced", "/things/",
)  # fmt: skip


class Wanted(schemas.Query):
    limit: int = 1


async def _known(
    request: Request, needed: SecurityScopes, authorization: Annotated[str | None, Depends(oauth2)]
) -> Principal:
    if not authorization:
        raise Forbidden(f"{request.url.path} needs {needed.scope_str}.")
    return Principal(uuid4(), uuid4(), "association", authorization, frozenset(needed.scopes))


async def _announce(request: Request) -> None:
    request.state.deprecation = [(b"deprecation", b"@1")]


Reader = Annotated[Principal, Security(_known, scopes=["things:read"])]


def _app(route_class: type[APIRoute]) -> FastAPI:
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
    async def announced(thing_id: UUID, _: Reader) -> Response:
        return Response(f"{thing_id}")

    app = FastAPI(redirect_slashes=False)
    app.add_middleware(DirectMiddleware)
    app.add_middleware(ExchangeMiddleware, https=False)
    add_problem_handlers(app)
    app.include_router(router, prefix="/v1")
    return app


async def _answer(route_class: type[APIRoute], path: str, headers: dict[str, str]) -> tuple[object, ...]:
    transport = httpx.ASGITransport(_app(route_class))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = await client.get(f"/v1{path}", headers={**headers, "X-Request-ID": "the-same"})
    return answer.status_code, answer.text, answer.headers


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer one"}], ids=["unknown", "known"])
@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_is_the_one_that_the_framework_gives(path: str, headers: dict[str, str]) -> None:
    assert await _answer(DirectRoute, path, headers) == await _answer(APIRoute, path, headers)


def test_what_is_documented_is_the_same() -> None:
    assert _app(DirectRoute).openapi() == _app(APIRoute).openapi()


async def test_who_is_not_known_is_told_so_before_what_is_wrong_with_the_question(pseb: Caller) -> None:
    path = "/v1/registrations?limit=many"
    assert (await pseb.service.http.get(path)).status_code == 401
    assert (await pseb.get(path)).status_code == 422
