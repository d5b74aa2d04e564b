"""The uploader's client retries only requests that may still succeed, with the same key."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.uploader import client as calling
from app.uploader.client import Refused, ServiceClient, Unreachable

Answer = tuple[int, dict[str, str], bytes]
TOKEN: Answer = (200, {}, b'{"access_token": "t", "expires_in": 600}')
DONE: Answer = (200, {}, b'{"id": "1"}')
BUSY: Answer = (503, {"Retry-After": "0"}, b"")


@dataclass
class Scripted:
    """A server with scripted responses, which keeps the requests."""

    url: str
    answers: list[Answer]
    tokens: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, str | None, bytes]] = field(default_factory=list)


@contextmanager
def scripted(*answers: Answer) -> Iterator[Scripted]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/oauth/token":
                status, headers, sent = script.tokens.pop(0) if script.tokens else TOKEN
            else:
                script.requests.append((self.path, self.headers["Idempotency-Key"], body))
                status, headers, sent = script.answers.pop(0)
            if status == 0:  # the connection is lost
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(sent))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script = Scripted(f"http://127.0.0.1:{server.server_port}", list(answers))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield script
        server.shutdown()
        thread.join()


def client_of(script: Scripted, on_retry: Callable[[str], None] = print, retry_seconds: float = 30) -> ServiceClient:
    return ServiceClient(script.url, ("id", "secret"), retry_seconds=retry_seconds, on_retry=on_retry)


def post(script: Scripted, retry_seconds: float = 30) -> object:
    with client_of(script, retry_seconds=retry_seconds) as client:
        return client.post("/v1/bulk-uploads")


@pytest.mark.parametrize("status", [400, 403, 404, 413, 415, 422])
def test_a_refused_request_is_not_retried_and_says_why(status: int) -> None:
    problem = b'{"detail": "Not so.", "errors": [{"pointer": "/columns/1", "detail": "No such column."}]}'
    with (
        scripted((status, {}, problem)) as script,
        pytest.raises(Refused, match=r"Not so\.\n  /columns/1: No such") as no,
    ):
        post(script)
    assert (no.value.status, len(script.requests)) == (status, 1)


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b""])
def test_a_response_without_a_problem_is_reported_by_its_status(body: bytes) -> None:
    with scripted((403, {}, body)) as script, pytest.raises(Refused, match="403"):
        post(script)


def test_wrong_credentials_are_reported_as_such() -> None:
    with scripted() as script:
        script.tokens = [(401, {}, b'{"error": "invalid_client"}')]
        with pytest.raises(Refused, match=r"invalid_client.*CLIENT_SECRET"):
            post(script)
    assert script.requests == []


def test_retries_end_after_their_time() -> None:
    with scripted(*[BUSY] * 50) as script, pytest.raises(Unreachable, match="503"):
        post(script, retry_seconds=0.5)


def test_a_long_retry_after_does_not_extend_the_retries() -> None:
    with scripted((429, {"Retry-After": "3600"}, b"")) as script, pytest.raises(Unreachable, match="429"):
        post(script)


@pytest.mark.parametrize(
    "failure",
    [(0, {}, b""), BUSY, (500, {}, b"oops"), (429, {}, b""), (409, {}, b'{"code": "request_in_progress"}')],
    ids=["connection lost", "503", "500", "429", "first request in progress"],
)
def test_a_request_that_may_succeed_is_sent_again_with_the_same_key(failure: Answer) -> None:
    messages: list[str] = []
    with scripted(failure, DONE) as script, client_of(script, messages.append) as client:
        assert client.post("/v1/x", {"Content-Length": "2"}, lambda: iter([b"a", b"b"])) == {"id": "1"}
    (path, key, body), again = script.requests
    assert (path, key, body) == again == ("/v1/x", key, b"ab")
    assert key
    assert len(messages) == 1


def test_each_request_has_a_key_of_its_own() -> None:
    with scripted(DONE, DONE) as script, client_of(script) as client:
        client.post("/v1/x")
        client.post("/v1/x")
    first, second = (key for _, key, _ in script.requests)
    assert first != second


def test_a_token_that_is_refused_is_renewed_once() -> None:
    with scripted(DONE, (401, {}, b""), DONE, (401, {}, b""), (401, {}, b"")) as script, client_of(script) as client:
        assert client.post("/v1/x") == client.post("/v1/x") == {"id": "1"}
        with pytest.raises(Refused) as refused:
            client.post("/v1/x")
    assert refused.value.status == 401


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), (" 0 ", 0), ("soon", None), ("", None), ("-1", None)])
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert calling._parse_retry_after(value) == seconds
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert calling._parse_retry_after(later) == pytest.approx(60, abs=5)
    assert calling._parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
