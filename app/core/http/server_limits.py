"""Limits on connections, on the head of a request and on the pace of an answer, where the server reads and writes.

The parser that the server uses has no limits of its own: an endless head would fill the memory, and an unfinished one
would hold its connection for ever. The server itself waits for ever for a caller that does not take its answer.
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
from app.core.http.security_headers import add_security_headers
from app.core.settings import Settings

# After a refusal, how long the rest of what the caller is sending is read, so that it gets to read the answer.
LINGER_SECONDS = 2.0
LONGEST_ECHO = 200
LIVENESS = "/health/live"
RESERVE = 100  # connections beyond the limit: on these, liveness is answered, and all else 503
OTHER_FILES = 500  # that a process opens beside its connections
SLICE_BYTES = 128 * 1024  # of an answer, handed to the system at a time; it holds about as many unsent
HOST = re.compile(rb"[\w.~!$&'()*+,;=:%\[\]-]*")  # RFC 3986, 3.2.2, and a port


def limited_protocol(settings: Settings) -> type[HttpToolsProtocol]:
    """The server's HTTP protocol with the limits of ``settings``."""
    shared = {
        "limits": settings,
        "table": ConnectionTable(settings.max_answers_bytes),
        "overloaded": RequestMiddleware(_overloaded, https=settings.is_https),
    }
    return type("LimitedProtocol", (_LimitedProtocol,), shared)


def allow_open_files(settings: Settings) -> None:
    """Raise the process's own limit of open files to what ``max_connections`` needs, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + RESERVE + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 503 in place of the application."""
    refusal = errors.Unavailable("There are too many connections just now.")
    await problem_response(refusal, scope["path"], {"Connection": "close"})(scope, receive, send)


class _LimitedProtocol(HttpToolsProtocol):
    """One connection with its clocks.

    The first runs from the beginning, and from the first byte of each further request, to the end of the head; from an
    answer that came before the end of the body to that end; and while a closed connection has bytes to send. The second
    runs while more of an answer waits to be sent than the caller takes.
    """

    limits: Settings
    table: ConnectionTable
    overloaded: ASGIApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._answer_deadline: asyncio.TimerHandle | None = None
        self._patience = self.limits.answer_seconds
        self._stopped_taking = (0.0, 0)  # when, and how many bytes waited
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
        self._application, self.app = self.app, self._answer
        _bound_system(transport, self.limits.answer_seconds)
        now = self.loop.time()
        if self._is_over_limit() and not self.table.make_room(now):
            self._is_extra = True
            if self._is_over_limit(RESERVE):
                self.abort("room")
                return
        self.table.awaits_caller(self, now)
        self._close_in(self.limits.header_seconds)

    def _is_over_limit(self, reserve: int = 0) -> bool:
        return len(self.connections) > self.limits.max_connections + reserve

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._stop_clock()
        self._stop_answer_clock()
        self.table.remove(self)
        super().connection_lost(exc)

    def abort(self, reason: str) -> None:
        """Close the connection at once; what it has not sent is lost."""
        CLOSED.labels(reason).inc()
        self._is_lost = True  # the transport tells so only later, and takes nothing more by then
        self.table.remove(self)
        self.connections.discard(self)
        self.transport.abort()

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
        if self.cycle is None or self.cycle.response_complete:
            self.table.awaits_caller(self, self.loop.time())
        elif self.cycle.more_body:
            self.table.awaits_caller(self, self.loop.time())
            self.flow.pause_reading()  # until the application asks for more
        else:
            self.table.is_served(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        now = self.loop.time()
        self._stopped_taking = now, self.transport.get_write_buffer_size()
        self.table.stops_taking(self, now)
        self._answer_deadline = self.loop.call_later(self._patience, self.abort, "slow_reader")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_answer_clock()
        self.table.goes_on_taking(self)
        since, waited = self._stopped_taking
        taken = waited - self.transport.get_write_buffer_size()
        earned = taken / self.limits.answer_bytes_per_second - (self.loop.time() - since)
        self._patience = min(self.limits.answer_seconds, self._patience + earned)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application. Of a large body no more is sent at a time than the caller takes."""

        async def send_slices(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= SLICE_BYTES:
                await self._send_unless_lost(send, message)
                return
            whole, goes_on = memoryview(body), message.get("more_body", False)
            with self.table.sending(self, body):
                for at in range(0, len(body), SLICE_BYTES):
                    end = at + SLICE_BYTES
                    part = {**message, "body": whole[at:end], "more_body": goes_on or end < len(body)}
                    await self._send_unless_lost(send, part)

        is_refused = self._is_extra and self._is_over_limit() and scope["path"] != LIVENESS
        await (self.overloaded if is_refused else self._application)(scope, receive, send_slices)

    async def _send_unless_lost(self, send: Send, message: Message) -> None:
        """Send a part of an answer; a transport that is closed under it is a caller that left, and no fault."""
        if self._is_lost:
            return
        try:
            await send(message)
        except RuntimeError:  # uvloop's, between the closing and the moment that it is told
            if not self.transport.is_closing():
                raise
            self._is_lost = True

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._stop_clock()
        self._in_head = False
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(self.url) > self.limits.max_url_bytes:
            said = f"The address has {len(self.url)} bytes; {self.limits.max_url_bytes} are allowed."
            self._refusal = errors.UrlTooLong(said)
        elif (
            len(self.headers) > self.limits.max_headers
            or sum(map(len, chain.from_iterable(self.headers))) > self.limits.max_header_bytes
        ):
            self._refusal = self._too_large()
        elif len(hosts) != 1 and (hosts or self.parser.get_http_version() == "1.1"):  # RFC 9112, 3.2
            self._refusal = errors.MalformedRequest(f"The request has {len(hosts)} Host fields; send one.")
        elif hosts and not HOST.fullmatch(hosts[0]):
            self._refusal = errors.MalformedRequest("The Host field names no host.")
        if self._refusal:
            raise self._refusal  # the parser stops, and ``send_400_response`` is called
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > self.limits.max_body_bytes:
                self._close()

    def on_message_complete(self) -> None:
        self._stop_clock()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_lost or not self.cycle.response_complete:  # one that was sent ahead has just begun
            return
        self.table.awaits_caller(self, self.loop.time())
        if self.cycle.more_body:
            self.cycle.body, self._discarded_bytes = bytearray(), 0
            self._close_in(self.limits.body_seconds)
        elif self.transport.is_closing():
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._close()

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
        add_security_headers(answer.status_code, headers, path, https=self.limits.is_https)
        fields = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[answer.status_code] + fields + b"\r\n" + bytes(answer.body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._close_in(LINGER_SECONDS)

    def _close(self) -> None:
        """Close the connection once what waits has been sent, and in any case in the time that an answer has."""
        self.transport.close()
        self._close_in(self.limits.answer_seconds)

    def _close_in(self, seconds: float) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(seconds, self._time_is_up)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_answer_clock(self) -> None:
        if self._answer_deadline is not None:
            self._answer_deadline.cancel()
            self._answer_deadline = None

    def _time_is_up(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            self.abort("slow_reader")
        elif self.cycle is not None and not self.cycle.response_complete:
            self._close_in(self.limits.header_seconds)  # a request sent ahead waits for the answer before it
        elif self._in_head and not self._refused:
            seconds = self.limits.header_seconds
            self._refuse(errors.RequestTimeout(f"The head of the request had not arrived after {seconds:g} seconds."))
        else:
            self._close()


def _bound_system(transport: asyncio.Transport, seconds: float) -> None:
    """Let the system hold little unsent, and give up a connection whose other end takes nothing for so long.

    So what waits is seen here, and what is left of a closed connection goes too.
    """
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, SLICE_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
