"""The worker's own port, served by a thread, which answers also when the loop stands; and a metric of the event log."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import orjson
import structlog
from prometheus_client import Gauge, make_wsgi_app

from app.core.database.engine import Database
from app.core.process.progress import Progress
from app.health import store

HELD_BACK_SECONDS = 10.0  # transactions of the service itself are shorter
HELD_BACK = Gauge(
    "events_held_back_seconds",
    "For which the newest events have been waiting for a transaction, which the labels name; absent when none does",
    ["process", "database", "login", "application"],
)
log = structlog.get_logger(__name__)
Start = Callable[..., Any]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002  # the name of the base class
        """Log nothing."""


def serve_health(host: str, port: int, progress: Progress) -> None:
    """Serve ``/health/live``, ``/health/ready`` and the metrics until the process ends. Raises ``OSError``."""
    metrics = make_wsgi_app()
    checks = {"/health/live": lambda: progress.problem, "/health/ready": lambda: progress.life_problem}

    def respond(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        check = checks.get(environ["PATH_INFO"])
        return _result(check(), start) if check else metrics(environ, start)

    server = make_server(host, port, respond, _Server, _Quiet)
    Thread(target=server.serve_forever, daemon=True).start()


def _result(problem: str, start: Start) -> Iterable[bytes]:
    if problem:
        start("503 Service Unavailable", [("Content-Type", "application/problem+json")])
        return [orjson.dumps({"title": "The worker is not healthy", "status": 503, "detail": problem})]
    start("200 OK", [("Content-Type", "application/json")])
    return [orjson.dumps({"status": "healthy"})]


async def update_held_back_metric(database: Database) -> None:
    """Set the metric to how long a transaction has been holding back the event log, and log its name."""
    async with database.transaction(read_only=True) as tx:
        found = await store.find_held_back(tx)
    HELD_BACK.clear()
    if found and found.seconds >= HELD_BACK_SECONDS:
        holder = asdict(found)
        seconds = holder.pop("seconds")
        HELD_BACK.labels(**holder).set(seconds)
        log.warning("a transaction holds back the event log", seconds=round(seconds), **holder)
