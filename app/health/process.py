"""The port of a worker for metrics and health checks, served by a thread, which answers also when the loop stands."""

from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import orjson
from prometheus_client import make_wsgi_app

from app.core.process.progress import Progress

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
