"""Limits on connections and on the head of a request, where the server reads it: before there is a request to answer.

The parser that the server uses has no limits of its own: an endless head would fill the memory, and an unfinished one
would hold its connection for ever.
"""

import asyncio
from itertools import chain
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.core import errors
from app.core.errors import DomainError
from app.core.exchange import ExchangeMiddleware
from app.core.problems import problem_response
from app.core.response_headers import add_ours
from app.core.settings import Settings

# After a refusal, how long the rest of what the caller is sending is read, so that it gets to read the answer.
LINGER_SECONDS = 2.0
LONGEST_ECHO = 200


def limited_protocol(settings: Settings) -> type[HttpToolsProtocol]:
    """The server's HTTP protocol with the limits of ``settings``."""
    return type("LimitedProtocol", (_LimitedProtocol,), {"limits": settings})


async def _overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 503 in place of the application."""
    refusal = errors.Unavailable("There are too many connections just now.")
    await problem_response(refusal, scope["path"], {"Connection": "close"})(scope, receive, send)


class _LimitedProtocol(HttpToolsProtocol):
    """One connection with its clock.

    The clock runs from the beginning, and from the first byte of each further request, to the end of the head; and
    from an answer that came before the end of the body to that end.
    """

    limits: Settings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self.url = b""
        self._head_bytes = 0
        self._in_head = False
        self._refusal: DomainError | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self.app = ExchangeMiddleware(_overloaded, https=self.limits.is_https)
        self._close_in(self.limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and not self._refused:  # a head that came whole needs no clock
            if self._head_bytes > self.limits.max_url_bytes + self.limits.max_header_bytes:
                self._refuse(self._too_large())
            elif self._deadline is None:
                self._close_in(self.limits.header_seconds)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._stop_clock()
        self._in_head = False
        if len(self.url) > self.limits.max_url_bytes:
            said = f"The address has {len(self.url)} bytes; {self.limits.max_url_bytes} are allowed."
            self._refusal = errors.AddressTooLong(said)
        elif (
            len(self.headers) > self.limits.max_headers
            or sum(map(len, chain.from_iterable(self.headers))) > self.limits.max_header_bytes
        ):
            self._refusal = self._too_large()
        if self._refusal:
            raise self._refusal  # the parser stops, and ``send_400_response`` is called
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stop_clock()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        is_last = self.cycle.response_complete  # else it is one that was sent ahead and has just begun
        if is_last and self.cycle.more_body:
            self._close_in(self.limits.body_seconds)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, or is over a limit."""
        self._refuse(self._refusal or errors.MalformedRequest(msg))

    def _too_large(self) -> DomainError:
        most = f"{self.limits.max_headers} header fields and {self.limits.max_header_bytes} bytes of them"
        return errors.HeadTooLarge(f"At most {most} are allowed.")

    def _refuse(self, refusal: DomainError) -> None:
        """Answer with a problem, and read on for a moment: closing at once would take the answer back."""
        self._refused = True
        path = self.url.partition(b"?")[0][:LONGEST_ECHO].decode("ascii", "replace")
        answer = problem_response(refusal, path, {"Connection": "close"})
        headers = [*answer.raw_headers]
        add_ours(answer.status_code, headers, path, https=self.limits.is_https)
        fields = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[answer.status_code] + fields + b"\r\n" + bytes(answer.body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._close_in(LINGER_SECONDS)

    def _close_in(self, seconds: float) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(seconds, self._time_is_up)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_is_up(self) -> None:
        self._deadline = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._close_in(self.limits.header_seconds)  # a request sent ahead waits for the answer before it
        elif self._in_head and not self._refused:
            seconds = self.limits.header_seconds
            self._refuse(errors.RequestTimeout(f"The head of the request had not arrived after {seconds:g} seconds."))
        else:
            self.transport.close()
