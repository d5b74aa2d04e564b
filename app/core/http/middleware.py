"""The outermost middleware: request id, unhandled errors, rate limit and security headers, access log."""

import time

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http.access_log import AccessLog, assign_request_id
from app.core.http.problems import problem_for, problem_response
from app.core.http.public_path import own_scope, set_prefix, show_prefix
from app.core.http.security_headers import add_security_headers
from app.core.limits.http import finish_counting
from app.core.limits.rate_limits import Counted

CLIENT_DISCONNECTED = 499  # logged when the caller left before the response began


class RequestMiddleware:
    """Surrounds everything else, as pure ASGI.

    Each request gets an id for its log lines and response. An unhandled error becomes a problem. The status of the
    response decides what counts against rate limits. HEAD is served as GET without the content (RFC 9110, 9.3.2), so
    that every operation that has GET has HEAD. ``prefix`` is the path of PUBLIC_URL (``public_path``).
    """

    def __init__(self, app: ASGIApp, *, https: bool, prefix: str = "") -> None:
        self.app = app
        self._prefix = prefix
        self._https = https
        self._access_log = AccessLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and add to and record its response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        prefix = self._prefix or scope.get("root_path", "")
        set_prefix(prefix)
        if prefix:
            scope = own_scope(scope, prefix)
        is_head = scope["method"] == "HEAD"
        if is_head:
            scope = _as_get(scope)
        response = _Response(scope, send, https=self._https, prefix=prefix, is_head=is_head)
        try:
            await self.app(scope, receive, response.send)
        except ClientDisconnect:
            return
        except Exception as error:
            if response.has_begun:
                raise
            problem = await problem_for(Request(scope), error)
            await problem(scope, receive, response.send)
        finally:
            if is_head:
                scope["method"] = "HEAD"  # as the log names it
            self._access_log.record(scope, response.status, time.perf_counter() - began)


def _as_get(scope: Scope) -> Scope:
    """Return the scope of the same request by GET, without ``Range``, which is defined for GET alone (RFC 9110, 14.2).

    It is a copy: by its own scope the server knows that no content is to be sent.
    """
    return {**scope, "method": "GET", "headers": [each for each in scope["headers"] if each[0] != b"range"]}


class _Response:
    """The response to one request while it is sent."""

    __slots__ = (
        "_counted", "_https", "_is_head", "_is_replaced", "_prefix", "_request_id", "_scope", "_send", "status",
    )  # fmt: skip

    def __init__(self, scope: Scope, send: Send, *, https: bool, prefix: str, is_head: bool) -> None:
        self.status = CLIENT_DISCONNECTED
        self._scope = scope
        self._send = send
        self._https = https
        self._prefix = prefix
        self._is_head = is_head
        self._is_replaced = False
        self._request_id = assign_request_id(scope)
        self._counted: list[Counted] = []
        scope["counted"] = self._counted

    @property
    def has_begun(self) -> bool:
        """True once the status has been sent."""
        return self.status != CLIENT_DISCONNECTED

    async def send(self, message: Message) -> None:
        """Send a part of the response, adding headers to its start."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._is_head:
            await self._end(message)
        elif not self._is_replaced:
            await self._send(message)

    async def _end(self, message: Message) -> None:
        """End a response without its content. Raises ``ClientDisconnect`` to stop what makes more of it."""
        await self._send({"type": "http.response.body", "body": b""})
        if message.get("more_body", False):
            raise ClientDisconnect

    async def _start(self, message: Message) -> None:
        limits, refusal = finish_counting(self._counted, message["status"])
        if refusal is not None:
            problem = problem_response(refusal, self._scope["path"])
            await self._send_start(problem.status_code, [*problem.raw_headers, *limits])
            if not self._is_head:
                self._is_replaced = True
                await self._send({"type": "http.response.body", "body": problem.body})
        else:
            await self._send_start(message["status"], [*message.get("headers", ()), *limits])

    async def _send_start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        add_security_headers(status, headers, self._scope["path"], https=self._https)
        if self._prefix:
            show_prefix(headers, self._prefix)
        headers.append((b"x-request-id", self._request_id))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
