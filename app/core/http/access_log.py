"""What is seen of a request from outside: its id, the log line of its answer, and the metrics of HTTP."""

import logging
import re
from functools import lru_cache

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import Scope
from uuid_utils import uuid7

from app.core.headers import first_header
from app.core.process import logs

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
REQUESTS = Counter("http_requests", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("http_request_duration_seconds", "Time to the end of the answer", ["method", "route"])


def identified(scope: Scope) -> bytes:
    """The id of a request that begins, the caller's own or a new one; each of its log lines carries it from now on."""
    given = first_header(scope, b"x-request-id")
    request_id = given if given and REQUEST_ID.fullmatch(given) else str(uuid7())
    logs.tell_first(request_id=request_id)
    return request_id.encode()


class Recorder:
    """Counts, times and logs answers, by the whole path of the operation that answered."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("http").bind()

    def record(self, scope: Scope, status: int, seconds: float) -> None:
        """Record an answer, and how long it took to its end."""
        counter, histogram = _metrics(scope["method"], _template_of(scope), status)
        counter.inc()
        histogram.observe(seconds)
        if self._log.is_enabled_for(logging.INFO):
            client = scope.get("client")
            answered = {
                "event": "answered",
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(seconds * 1000, 1),
                "source": client[0] if client else None,
            }
            logs.write(self._log, "info", answered)


def _template_of(scope: Scope) -> str:
    """The template of the whole path: ``scope["route"]`` has only its own router's part, without the prefixes."""
    route = scope.get("route")
    if route is None:
        return "unmatched"
    own: list[str] = route.path.split("/")[1:]
    asked = scope["path"].split("/")
    return "/".join([*asked[: len(asked) - len(own)], *own])


@lru_cache(maxsize=1_000)
def _metrics(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)
