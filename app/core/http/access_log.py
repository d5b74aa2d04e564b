"""The access log: request ids, the log line of each response, and the HTTP metrics."""

import logging
import re
from functools import lru_cache

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import Scope
from uuid_utils import uuid7

from app.core.headers import field_value
from app.core.process import logs

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
REQUESTS = Counter("http_requests", "Responses", ["method", "route", "status"])
SECONDS = Histogram("http_request_duration_seconds", "Seconds to the end of the response", ["method", "route"])


def assign_request_id(scope: Scope) -> bytes:
    """Return the caller's ``X-Request-ID`` or a new id, and add it to the log lines of the request."""
    given = field_value(scope, b"x-request-id")
    request_id = given if given and REQUEST_ID.fullmatch(given) else str(uuid7())
    logs.begin_context(request_id=request_id)
    return request_id.encode()


class AccessLog:
    """Logs, counts and times responses by the path template of their operation."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("http").bind()

    def record(self, scope: Scope, status: int, seconds: float) -> None:
        """Record a response that took ``seconds`` to its end."""
        counter, histogram = _metrics(scope["method"], _route_template(scope), status)
        counter.inc()
        histogram.observe(seconds)
        if self._log.is_enabled_for(logging.INFO):
            client = scope.get("client")
            fields = {
                "event": "answered",
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(seconds * 1000, 1),
                "source": client[0] if client else None,
            }
            logs.write(self._log, "info", fields)


def _route_template(scope: Scope) -> str:
    """Return the template of the whole path; ``scope["route"]`` has it without the prefixes of routers."""
    route = scope.get("route")
    if route is None:
        return "unmatched"
    own: list[str] = route.path.split("/")[1:]
    path = scope["path"].split("/")
    return "/".join([*path[: len(path) - len(own)], *own])


@lru_cache(maxsize=1_000)
def _metrics(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)
