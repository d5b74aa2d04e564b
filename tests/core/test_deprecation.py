"""An operation that will go says so in the document and with every answer."""

from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI, Response

from app.core.deprecation import deprecated
from app.core.errors import NotFound
from app.core.exchange import ExchangeMiddleware
from app.core.problems import add_problem_handlers

SINCE = datetime(2027, 1, 1, tzinfo=UTC)
SUNSET = datetime(2027, 7, 1, tzinfo=UTC)

app = FastAPI()
app.add_middleware(ExchangeMiddleware, https=False)
add_problem_handlers(app)


@app.get("/old", **deprecated(since=SINCE, sunset=SUNSET, instead="/v2/new", explained="/docs#old"))
async def old() -> Response:
    return Response(headers={"Link": '</old?cursor=2>; rel="next"'})


@app.get("/missing", **deprecated(since=SINCE))
async def missing() -> None:
    raise NotFound


@app.get("/new")
async def new() -> None:
    return


async def answer(path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
        return await client.get(path)


def test_an_operation_cannot_stop_before_its_deprecation() -> None:
    with pytest.raises(ValueError, match="RFC 9745"):
        deprecated(since=SUNSET, sunset=SINCE)


async def test_a_problem_of_a_deprecated_operation_says_so_too() -> None:
    refused = await answer("/missing")
    assert refused.status_code == 404
    assert refused.headers["deprecation"] == "@1798761600"
    assert refused.headers["link"] == '</docs>; rel="deprecation"; type="text/html"'
    assert "sunset" not in refused.headers


async def test_an_answer_says_since_when_until_when_and_what_to_use_instead() -> None:
    headers = (await answer("/old")).headers
    assert headers["deprecation"] == "@1798761600"
    assert headers["sunset"] == "Thu, 01 Jul 2027 00:00:00 GMT"
    assert ", ".join(headers.get_list("link")).split(", ") == [
        '</old?cursor=2>; rel="next"',
        '</docs#old>; rel="deprecation"; type="text/html"',
        '</docs#old>; rel="sunset"; type="text/html"',
        '</v2/new>; rel="successor-version"',
    ]


async def test_other_operations_say_nothing_of_it() -> None:
    assert {"deprecation", "sunset", "link"}.isdisjoint((await answer("/new")).headers)


def test_the_document_marks_it() -> None:
    paths = app.openapi()["paths"]
    assert [path for path in paths if paths[path]["get"].get("deprecated")] == ["/old", "/missing"]
