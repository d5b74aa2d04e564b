"""What every request and its answer pass, in one place: id, net, quota, header fields, log line and metrics."""

import time

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http import access_log
from app.core.http.problems import answer_to, problem_response
from app.core.http.security_headers import add_security_headers
from app.core.limits.http import finish_counting
from app.core.limits.rate_limits import Counted

WENT_AWAY = 499  # the caller was gone before an answer began


class RequestMiddleware:
    """Stands around everything else. Pure ASGI.

    A request gets an id, which its log lines and its answer carry. What nobody caught becomes a problem. What was
    counted is settled by the answer's status, and the answer gets the header fields of every answer.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self._https = https
        self._recorder = access_log.Recorder()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and see its answer off."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        exchange = _Exchange(scope, send, https=self._https)
        try:
            await self.app(scope, receive, exchange.send)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            if exchange.has_begun:
                raise
            answer = await answer_to(Request(scope), error)
            await answer(scope, receive, exchange.send)
        finally:
            self._recorder.record(scope, exchange.status, time.perf_counter() - began)


class _Exchange:
    """One request, and its answer on its way out."""

    __slots__ = ("_counted", "_https", "_is_replaced", "_request_id", "_scope", "_send", "status")

    def __init__(self, scope: Scope, send: Send, *, https: bool) -> None:
        self.status = WENT_AWAY
        self._scope = scope
        self._send = send
        self._https = https
        self._is_replaced = False
        self._request_id = access_log.identified(scope)
        self._counted: list[Counted] = []
        scope["counted"] = self._counted

    @property
    def has_begun(self) -> bool:
        """Whether the beginning of an answer was sent."""
        return self.status != WENT_AWAY

    async def send(self, message: Message) -> None:
        """Send a part of the answer, its beginning with what every answer has."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif not self._is_replaced:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        settled, refusal = finish_counting(self._counted, message["status"])
        if refusal is not None:
            self._is_replaced = True
            answer = problem_response(refusal, self._scope["path"])
            await self._start(answer.status_code, [*answer.raw_headers, *settled])
            await self._send({"type": "http.response.body", "body": answer.body})
        else:
            await self._start(message["status"], [*message.get("headers", ()), *settled])

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        add_security_headers(status, headers, self._scope["path"], https=self._https)
        headers.append((b"x-request-id", self._request_id))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
