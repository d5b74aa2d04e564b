"""The end of each request is unambiguous, so no request can be smuggled past a proxy."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from app.core.settings import Settings
from tests.support import processes

SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: register\r\n\r\n"
AMBIGUOUS = {
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"X-Folded: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    "a chunk without a size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "lines without a carriage return": b"X-Bare: a\nContent-Length: 0\n\n",
}


@pytest.fixture
def address(settings: Settings) -> Iterator[tuple[str, int]]:
    with processes.serving(settings, LOG_LEVEL="error") as url:
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


def statuses(address: tuple[str, int], sent: bytes) -> list[bytes]:
    """The status of each answer to what was sent on one connection."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    return [line.split(b" ")[1] for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def test_a_request_whose_end_is_ambiguous_is_refused_with_all_that_follows(address: tuple[str, int]) -> None:
    begun = b"POST /oauth/token HTTP/1.1\r\nHost: register\r\n"
    for name, rest in AMBIGUOUS.items():
        assert statuses(address, begun + rest + SMUGGLED) == [b"400"], name
    assert statuses(address, SMUGGLED) == [b"200"]
