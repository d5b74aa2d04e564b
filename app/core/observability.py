"""Structured logs with a request id that is echoed, and the metrics of HTTP."""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, TextIO, cast

import orjson
import structlog
from fastapi.routing import iter_route_contexts
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from app.core.settings import Settings

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")
# PostgreSQL tells the values of a row that breaks a constraint; this is where they stand in a chain of exceptions
ROW = re.compile(r"\nDETAIL: .*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL)
REQUESTS = Counter("http_requests", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("http_request_duration_seconds", "Time to the end of the answer", ["method", "route"])
log = structlog.get_logger("http")


class _StandardError:
    """The stream that is standard error when a line is written."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure_logging(settings: Settings) -> None:
    """One line an event on standard error, as JSON or for a console; the standard library's logs too."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    console = settings.log_format == "console"
    # pretty tracebacks show the values of variables, and a text that is not quoted can forge a line
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, repr_native_str=True)
    renderer: Any = plain if console else structlog.processors.JSONRenderer(_json)
    rendering: list[Any] = [structlog.processors.format_exc_info, _without_the_row, renderer]
    # straight to the stream: the standard library would make two records of each line
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name], processors=[remove_meta, *rendering]
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    logging.getLogger("uvicorn.access").disabled = True


def _json(event: MutableMapping[str, Any], *, default: Callable[[Any], Any], **_: Any) -> str:
    """An event as JSON in ASCII: no character of a caller's is taken for the end of a line."""
    with suppress(TypeError):  # half a surrogate pair is not for ``orjson``
        if (line := orjson.dumps(event, default=default)).isascii():
            return line.decode()
    return json.dumps(event, default=default)


def _without_the_row(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if "exception" in event:
        event["exception"] = ROW.sub("", event["exception"])
    return event


class ObservingMiddleware:
    """Binds a request id to every log line, echoes it, and counts and times each answer. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._templates: dict[Any, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 499  # the caller went away before an answer began

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-request-id", request_id.encode()))
            await send(message)

        began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, with_id)
        finally:
            _record(scope, self._template_of(scope), status, time.perf_counter() - began)

    def _template_of(self, scope: Scope) -> str:
        """The whole path of the operation that answered; ``scope["route"]`` knows only its own router's part."""
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return "unmatched"
        if endpoint not in self._templates:
            self._templates = {each.endpoint: each.path or "" for each in iter_route_contexts(scope["app"].routes)}
        return self._templates.get(endpoint, "unmatched")


def _request_id(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else str(uuid7())


@lru_cache(maxsize=1_000)
def _metrics(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)


def _record(scope: Scope, route: str, status: int, seconds: float) -> None:
    counter, histogram = _metrics(scope["method"], route, status)
    counter.inc()
    histogram.observe(seconds)
    log.info(
        "answered",
        method=scope["method"],
        path=scope["path"],
        status=status,
        ms=round(seconds * 1000, 1),
        source=scope["client"][0] if scope.get("client") else None,
    )
