"""Limits of the server: number of connections, size of URL and headers, time of requests and responses.

httptools limits nothing, so an endless head would fill the memory. uvicorn waits without a timeout for the rest of a
request, and for a caller that does not read its response.
"""

import asyncio
import re
import resource
import socket
from itertools import chain
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.core import errors
from app.core.errors import DomainError
from app.core.http.connection_table import CLOSED, ConnectionTable
from app.core.http.middleware import RequestMiddleware
from app.core.http.problems import problem_response
from app.core.http.public_path import own_path
from app.core.http.security_headers import add_security_headers
from app.core.settings import Settings

# Time for which the rest of a refused request is read, so that the caller can read the response.
LINGER_SECONDS = 2.0
ECHO_BYTES = 200  # of a refused URL, in the problem
LIVENESS = "/health/live"
RESERVE = 100  # connections over the limit, which get 503 unless they ask for liveness
OTHER_FILES = 500  # open files of a process besides connections
SLICE_BYTES = 128 * 1024  # of a response, written at a time; the kernel buffers about as many
HOST = re.compile(rb"[\w.~!$&'()*+,;=:%\[\]-]*")  # RFC 3986, 3.2.2, and a port


def limited_protocol(settings: Settings) -> type[HttpToolsProtocol]:
    """Return uvicorn's HTTP protocol class with the limits of ``settings``."""
    shared = {
        "limits": settings,
        "table": ConnectionTable(settings.max_answers_bytes),
        "overloaded": RequestMiddleware(_overloaded, https=settings.is_https, prefix=settings.path_prefix),
    }
    return type("LimitedProtocol", (_LimitedProtocol,), shared)


def allow_open_files(settings: Settings) -> None:
    """Raise the soft limit of open files to what ``max_connections`` needs, within the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + RESERVE + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond 503 in place of the application."""
    refusal = errors.Unavailable("Too many connections are open.")
    await problem_response(refusal, scope["path"], {"Connection": "close"})(scope, receive, send)


class _LimitedProtocol(HttpToolsProtocol):
    """A connection with two timers.

    The first limits the head of a request from its first byte (of the first request, from the connection), the rest of
    a body after the response to it, and the sending of what a closed connection has buffered. The second runs while the
    send buffer is full.
    """

    limits: Settings
    table: ConnectionTable
    overloaded: ASGIApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._send_seconds = self.limits.answer_seconds  # left for a full send buffer
        self._buffer_filled = (0.0, 0)  # time, and bytes in the buffer
        self.url = b""
        self._head_bytes = 0
        self._discarded_bytes = 0
        self._in_head = False
        self._refusal: DomainError | None = None
        self._refused = False
        self._is_extra = False
        self._is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._application, self.app = self.app, self._respond
        _limit_kernel_buffer(transport, self.limits.answer_seconds)
        now = self.loop.time()
        if self._is_over_limit() and not self.table.make_room(now):
            self._is_extra = True
            if self._is_over_limit(RESERVE):
                self.abort("room")
                return
        self.table.mark_idle(self, now)
        self._close_in(self.limits.header_seconds)

    def _is_over_limit(self, reserve: int = 0) -> bool:
        return len(self.connections) > self.limits.max_connections + reserve

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._cancel_timer()
        self._cancel_send_timer()
        self.table.remove(self)
        super().connection_lost(exc)

    def abort(self, reason: str) -> None:
        """Close the connection at once, and drop its unsent bytes."""
        CLOSED.labels(reason).inc()
        self._is_lost = True  # ``connection_lost`` is called only later
        self.table.remove(self)
        self.connections.discard(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and not self._refused:  # the head is incomplete
            if self._head_bytes > self.limits.max_url_bytes + self.limits.max_header_bytes:
                self._refuse(self._too_large())
            elif self._timer is None:
                self._close_in(self.limits.header_seconds)
        if self.cycle is None or self.cycle.response_complete:
            self.table.mark_idle(self, self.loop.time())
        elif self.cycle.more_body:
            self.table.mark_idle(self, self.loop.time())
            self.flow.pause_reading()  # until the application asks for more
        else:
            self.table.mark_busy(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        now = self.loop.time()
        self._buffer_filled = now, self.transport.get_write_buffer_size()
        self.table.mark_slow_reader(self, now)
        self._send_timer = self.loop.call_later(self._send_seconds, self.abort, "slow_reader")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_send_timer()
        self.table.unmark_slow_reader(self)
        since, buffered = self._buffer_filled
        sent = buffered - self.transport.get_write_buffer_size()
        gained = sent / self.limits.answer_bytes_per_second - (self.loop.time() - since)
        self._send_seconds = min(self.limits.answer_seconds, self._send_seconds + gained)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and send large bodies in slices, as fast as the caller reads."""

        async def send_slices(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= SLICE_BYTES:
                await self._send_unless_lost(send, message)
                return
            view, more_body = memoryview(body), message.get("more_body", False)
            with self.table.sending(self, body):
                for at in range(0, len(body), SLICE_BYTES):
                    end = at + SLICE_BYTES
                    part = {**message, "body": view[at:end], "more_body": more_body or end < len(body)}
                    await self._send_unless_lost(send, part)

        is_refused = self._is_extra and self._is_over_limit() and scope["path"] != LIVENESS
        await (self.overloaded if is_refused else self._application)(scope, receive, send_slices)

    async def _send_unless_lost(self, send: Send, message: Message) -> None:
        """Send a part of a response; ignore the error of a transport that the caller has closed."""
        if self._is_lost:
            return
        try:
            await send(message)
        except RuntimeError:  # uvloop raises it between the close and ``connection_lost``
            if not self.transport.is_closing():
                raise
            self._is_lost = True

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._cancel_timer()
        self._in_head = False
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(self.url) > self.limits.max_url_bytes:
            detail = f"The URL has {len(self.url)} bytes; {self.limits.max_url_bytes} are allowed."
            self._refusal = errors.UrlTooLong(detail)
        elif (
            len(self.headers) > self.limits.max_headers
            or sum(map(len, chain.from_iterable(self.headers))) > self.limits.max_header_bytes
        ):
            self._refusal = self._too_large()
        elif len(hosts) != 1 and (hosts or self.parser.get_http_version() == "1.1"):  # RFC 9112, 3.2
            self._refusal = errors.MalformedRequest(f"The request has {len(hosts)} Host headers; send one.")
        elif hosts and not HOST.fullmatch(hosts[0]):
            self._refusal = errors.MalformedRequest("The Host header is not a host name.")
        if self._refusal:
            raise self._refusal  # stops the parser, and uvicorn calls ``send_400_response``
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > self.limits.max_body_bytes:
                self._close()

    def on_message_complete(self) -> None:
        self._cancel_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_lost or not self.cycle.response_complete:  # a pipelined request has begun
            return
        self.table.mark_idle(self, self.loop.time())
        if self.cycle.more_body:
            self.cycle.body, self._discarded_bytes = bytearray(), 0
            self._close_in(self.limits.body_seconds)
        elif self.transport.is_closing():
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._close()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is malformed or over a limit."""
        self._refuse(self._refusal or errors.MalformedRequest(msg))

    def _too_large(self) -> DomainError:
        most = f"{self.limits.max_headers} headers of {self.limits.max_header_bytes} bytes together"
        return errors.HeadTooLarge(f"At most {most} are allowed.")

    def _refuse(self, refusal: DomainError) -> None:
        """Respond with a problem, and read on for a moment: closing at once would reset the connection."""
        self._refused = True
        path = self.url.partition(b"?")[0][:ECHO_BYTES].decode("ascii", "replace")
        path = own_path(path, self.limits.path_prefix)
        problem = problem_response(refusal, path, {"Connection": "close"})
        headers = [*problem.raw_headers]
        add_security_headers(problem.status_code, headers, path, https=self.limits.is_https)
        fields = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[problem.status_code] + fields + b"\r\n" + bytes(problem.body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._close_in(LINGER_SECONDS)

    def _close(self) -> None:
        """Close the connection once its buffer is sent, at the latest after the time of a response."""
        self.transport.close()
        self._close_in(self.limits.answer_seconds)

    def _close_in(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self.loop.call_later(seconds, self._on_timeout)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            self.abort("slow_reader")
        elif self.cycle is not None and not self.cycle.response_complete:
            self._close_in(self.limits.header_seconds)  # a pipelined request waits for the response before it
        elif self._in_head and not self._refused:
            seconds = self.limits.header_seconds
            self._refuse(errors.RequestTimeout(f"The headers had not arrived after {seconds:g} seconds."))
        else:
            self._close()


def _limit_kernel_buffer(transport: asyncio.Transport, seconds: float) -> None:
    """Limit the kernel's send buffer and the time for which it waits for acknowledgements (``tcp(7)``).

    So slow readers are noticed here first, and a closed connection does not linger: the kernel waits twice as long.
    """
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, SLICE_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2 * seconds * 1000))
