"""The uploader's client tries again what may yet succeed, with the same key, and no more than that."""

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
    """A server that gives the answers it was told, in turn, and keeps what it was asked."""

    url: str
    answers: list[Answer]
    tokens: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str | None, bytes]] = field(default_factory=list)


@contextmanager
def scripted(*answers: Answer) -> Iterator[Scripted]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/oauth/token":
                status, headers, sent = script.tokens.pop(0) if script.tokens else TOKEN
            else:
                script.asked.append((self.path, self.headers["Idempotency-Key"], body))
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
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script = Scripted(f"http://127.0.0.1:{server.server_port}", list(answers))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield script
        server.shutdown()
        thread.join()


def client_of(script: Scripted, tell: Callable[[str], None] = print, patience: float = 30) -> ServiceClient:
    return ServiceClient(script.url, ("id", "secret"), patience=patience, tell=tell)


def post(script: Scripted, patience: float = 30) -> object:
    with client_of(script, patience=patience) as client:
        return client.post("/v1/bulk-uploads")


@pytest.mark.parametrize("status", [400, 403, 404, 413, 415, 422])
def test_what_was_refused_is_not_sent_again_and_says_why(status: int) -> None:
    problem = b'{"detail": "Not so.", "errors": [{"pointer": "/columns/1", "detail": "No such column."}]}'
    with (
        scripted((status, {}, problem)) as script,
        pytest.raises(Refused, match=r"Not so\.\n  /columns/1: No such") as no,
    ):
        post(script)
    assert (no.value.status, len(script.asked)) == (status, 1)


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b""])
def test_an_answer_that_is_no_problem_is_told_by_its_status(body: bytes) -> None:
    with scripted((403, {}, body)) as script, pytest.raises(Refused, match="403"):
        post(script)


def test_credentials_that_are_wrong_are_told_as_such() -> None:
    with scripted() as script:
        script.tokens = [(401, {}, b'{"error": "invalid_client"}')]
        with pytest.raises(Refused, match=r"invalid_client.*CLIENT_SECRET"):
            post(script)
    assert script.asked == []


def test_it_gives_up_when_its_patience_ends() -> None:
    with scripted(*[BUSY] * 50) as script, pytest.raises(Unreachable, match="503"):
        post(script, patience=0.5)


def test_it_does_not_wait_longer_than_its_patience_because_it_was_asked_to() -> None:
    with scripted((429, {"Retry-After": "3600"}, b"")) as script, pytest.raises(Unreachable, match="429"):
        post(script)


@pytest.mark.parametrize(
    "failure",
    [(0, {}, b""), BUSY, (500, {}, b"oops"), (429, {}, b""), (409, {}, b'{"code": "request_in_progress"}')],
    ids=["connection lost", "503", "500", "429", "first request in progress"],
)
def test_what_may_yet_succeed_is_met_with_the_same_request(failure: Answer) -> None:
    told: list[str] = []
    with scripted(failure, DONE) as script, client_of(script, told.append) as client:
        assert client.post("/v1/x", {"Content-Length": "2"}, lambda: iter([b"a", b"b"])) == {"id": "1"}
    (path, key, body), again = script.asked
    assert (path, key, body) == again == ("/v1/x", key, b"ab")
    assert key
    assert len(told) == 1


def test_two_requests_have_two_keys() -> None:
    with scripted(DONE, DONE) as script, client_of(script) as client:
        client.post("/v1/x")
        client.post("/v1/x")
    first, second = (key for _, key, _ in script.asked)
    assert first != second


def test_a_token_that_is_refused_is_renewed_once() -> None:
    with scripted(DONE, (401, {}, b""), DONE, (401, {}, b""), (401, {}, b"")) as script, client_of(script) as client:
        assert client.post("/v1/x") == client.post("/v1/x") == {"id": "1"}
        with pytest.raises(Refused) as refused:
            client.post("/v1/x")
    assert refused.value.status == 401


@pytest.mark.parametrize(("said", "seconds"), [("7", 7), (" 0 ", 0), ("soon", None), ("", None), ("-1", None)])
def test_retry_after_is_seconds_or_a_date(said: str, seconds: float | None) -> None:
    assert calling._seconds(said) == seconds
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert calling._seconds(later) == pytest.approx(60, abs=5)
    assert calling._seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
