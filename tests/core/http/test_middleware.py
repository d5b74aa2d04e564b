"""The request middleware completes every response, whatever raised or sent it."""

from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from app.core.http.middleware import RequestMiddleware


async def _sent(app: Any, messages: list[Message], method: str = "GET") -> None:
    """Collect in ``messages`` the messages that ``app`` sends to a request."""
    scope = {"type": "http", "method": method, "path": "/v1/things", "headers": [], "client": ("192.0.2.7", 1)}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await RequestMiddleware(app, https=False)(scope, receive, send)


async def test_no_problem_is_put_behind_an_answer_that_broke_off() -> None:
    async def breaks_off(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half of", "more_body": True})
        raise RuntimeError

    messages: list[Message] = []
    with pytest.raises(RuntimeError):
        await _sent(breaks_off, messages)
    assert [each["type"] for each in messages] == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("before", [True, False], ids=["before the answer", "in the answer"])
async def test_a_caller_that_left_is_no_fault(before: bool) -> None:
    async def is_left(_: Scope, __: Receive, send: Send) -> None:
        if not before:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ClientDisconnect

    messages: list[Message] = []
    await _sent(is_left, messages)
    assert [each["type"] for each in messages] == ([] if before else ["http.response.start"])


async def test_a_fault_before_an_answer_is_one_problem_with_the_fields_of_every_answer() -> None:
    async def fails(_: Scope, __: Receive, ___: Send) -> None:
        raise RuntimeError

    messages: list[Message] = []
    await _sent(fails, messages)
    start, body = messages
    assert (start["status"], b'"code":"internal"' in body["body"]) == (500, True)
    assert {b"x-request-id", b"content-security-policy", b"cache-control"} <= dict(start["headers"]).keys()


async def test_a_head_stops_what_makes_the_content() -> None:
    made: list[int] = []

    async def streams(scope: Scope, _: Receive, send: Send) -> None:
        assert scope["method"] == "GET"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in range(100):
            made.append(part)
            await send({"type": "http.response.body", "body": b"part", "more_body": True})

    messages: list[Message] = []
    await _sent(streams, messages, "HEAD")
    assert made == [0]
    assert [each.get("body") for each in messages] == [None, b""]
