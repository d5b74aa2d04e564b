"""What is seen of a request from outside: its id, what its log lines say of it, and the metrics of HTTP."""

import re
from collections.abc import MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import structlog
from fastapi.routing import iter_route_contexts
from prometheus_client import Counter, Histogram
from starlette.types import Scope
from uuid_utils import uuid7

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")
REQUESTS = Counter("http_requests", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("http_request_duration_seconds", "Time to the end of the answer", ["method", "route"])
log = structlog.get_logger("http")
_told: ContextVar[dict[str, str]] = ContextVar("told")  # what every log line of a request says of it


def identified(scope: Scope) -> bytes:
    """The id of a request that begins, the caller's own or a new one; each of its log lines carries it from now on."""
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    request_id = given.decode() if REQUEST_ID.fullmatch(given) else str(uuid7())
    _told.set({"request_id": request_id})
    return request_id.encode()


def tell(**facts: str) -> None:
    """Say this of the request in each of its further log lines."""
    _told.get({}).update(facts)


def with_circumstances(_: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A log line's event with its level, its time and what was said of its request: a processor of ``structlog``."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {**_told.get({}), **event, "level": level, "timestamp": now}


class Recorder:
    """Counts, times and logs answers, by the whole path of the operation that answered."""

    def __init__(self) -> None:
        self._templates: dict[Any, str] = {}

    def record(self, scope: Scope, status: int, seconds: float) -> None:
        """Record an answer, and how long it took to its end."""
        counter, histogram = _metrics(scope["method"], self._template_of(scope), status)
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

    def _template_of(self, scope: Scope) -> str:
        """The template of the whole path; ``scope["route"]`` knows only its own router's part."""
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return "unmatched"
        if endpoint not in self._templates:
            self._templates = {each.endpoint: each.path or "" for each in iter_route_contexts(scope["app"].routes)}
        return self._templates.get(endpoint, "unmatched")


@lru_cache(maxsize=1_000)
def _metrics(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)
