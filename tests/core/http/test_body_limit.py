"""Bodies that are too large or too slow are refused with a problem, whatever their declared length."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException

from app.core.http.body_limit import BodyMemory
from tests.support import cases
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service

LIMIT = 2_000
UPLOAD_LIMIT = 2 * LIMIT


@pytest.fixture
async def caller(database_url: str) -> AsyncIterator[Caller]:
    """An association at a service with small limits."""
    limits = {"max_body_bytes": LIMIT, "max_upload_bytes": UPLOAD_LIMIT, "body_seconds": 0.5}
    service = Service(settings_for(database_url, **limits, upload_bytes_per_second=500))
    yield await service.caller("pseb")
    await service.close()


async def _in_parts(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 500):
        yield body[at : at + 500]


def _padded(body: object, size: int) -> bytes:
    return json.dumps(body).encode().ljust(size)


async def _post(caller: Caller, content: Any, path: str = "/v1/applicants", **headers: str) -> httpx.Response:
    return await caller.post(path, content=content, headers={"Content-Type": "application/json", **headers})


def _too_large(answer: httpx.Response, limit: int) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    return (answer.status_code, body["code"]) == (413, "payload_too_large") and str(limit) in body["detail"]


async def test_a_body_over_the_limit_is_refused_by_its_length_or_as_it_comes(caller: Caller) -> None:
    body = _padded(cases.company(), LIMIT + 1)
    assert _too_large(await _post(caller, body), LIMIT)
    in_parts = await _post(caller, _in_parts(body))
    assert "content-length" not in in_parts.request.headers
    assert _too_large(in_parts, LIMIT)
    assert (await caller.get("/v1/applicants")).json()["items"] == []


async def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read(caller: Caller) -> None:
    sent: list[bytes] = []

    async def noted() -> AsyncIterator[bytes]:
        sent.append(b"{}")
        yield sent[-1]

    assert _too_large(await _post(caller, noted(), **{"Content-Length": "99999999999999999999"}), LIMIT)
    assert sent == []


async def test_a_length_that_lies_does_not_get_a_body_in(caller: Caller) -> None:
    body = _padded(cases.company(), LIMIT + 1)
    for length in ("1", "-1", "x"):
        assert _too_large(await _post(caller, _in_parts(body), **{"Content-Length": length}), LIMIT), length


async def test_a_body_at_the_limit_is_taken(caller: Caller) -> None:
    assert (await _post(caller, _padded(cases.company(), LIMIT))).status_code == 201
    assert (await _post(caller, _in_parts(_padded(cases.company(), LIMIT)))).status_code == 201


async def test_an_upload_has_a_limit_of_its_own(caller: Caller) -> None:
    at_once, too_much = b"x" * (LIMIT + 1), b"x" * (UPLOAD_LIMIT + 1)
    for content in (too_much, _in_parts(too_much)):
        answer = await _post(caller, content, "/v1/bulk-uploads", **{"Content-Type": "text/csv"})
        assert _too_large(answer, UPLOAD_LIMIT)
    taken = await _post(caller, at_once, "/v1/bulk-uploads", **{"Content-Type": "text/csv"})
    assert taken.status_code != 413


async def test_the_token_endpoint_is_limited_too(caller: Caller) -> None:
    form = b"grant_type=client_credentials&x=" + b"x" * LIMIT
    for content in (form, _in_parts(form)):
        answer = await caller.service.http.post(
            "/oauth/token", content=content, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert _too_large(answer, LIMIT)


async def test_bodies_on_their_way_share_a_budget_and_one_client_has_a_part_of_it(database_url: str) -> None:
    service = Service(settings_for(database_url, max_bodies_bytes=16_000))
    first, second = await service.caller("pseb"), await service.caller("pasha")
    arrived, released = asyncio.Event(), asyncio.Event()

    async def unfinished() -> AsyncIterator[bytes]:
        yield b"{" + b" " * 1_500
        arrived.set()
        await released.wait()

    held = asyncio.create_task(_post(first, unfinished()))
    await arrived.wait()
    refused = await _post(first, b" " * 1_000)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert "Bodies of your client" in refused.json()["detail"]
    assert (await _post(second, _padded(cases.company(), 1_500))).status_code == 201
    released.set()
    assert (await held).status_code == 422
    assert (await _post(first, _padded(cases.company(), 1_500))).status_code == 201
    await service.close()


def test_all_clients_together_have_no_more_than_the_budget() -> None:
    memory = BodyMemory(8_000)
    for client in range(8):
        memory.take(str(client), 1_000)
    with pytest.raises(HTTPException) as full:
        memory.take("8", 1)
    assert full.value.status_code == 503
    memory.give_back("0", 1_000)
    memory.take("8", 1_000)


async def _slowly(parts: int, size: int, seconds: float) -> AsyncIterator[bytes]:
    for _ in range(parts):
        yield b"x" * size
        await asyncio.sleep(seconds)


def _too_slow(answer: httpx.Response) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    return (answer.status_code, answer.json()["code"]) == (408, "request_timeout")


async def test_a_body_that_is_not_whole_in_its_time_is_refused(caller: Caller) -> None:
    assert _too_slow(await _post(caller, _slowly(1, 10, 60)))
    assert _too_slow(await _post(caller, _slowly(600, 1, 0.1)))


async def test_an_upload_may_take_longer_as_long_as_it_comes(caller: Caller) -> None:
    answer = await _post(caller, _slowly(5, 400, 0.15), "/v1/bulk-uploads", **{"Content-Type": "text/csv"})
    assert answer.status_code == 422  # it was read to its end: it is no CSV


async def test_an_upload_that_stops_or_drips_is_refused(caller: Caller) -> None:
    for content in (_slowly(1, 100, 60), _slowly(600, 1, 0.1)):
        assert _too_slow(await _post(caller, content, "/v1/bulk-uploads", **{"Content-Type": "text/csv"}))
