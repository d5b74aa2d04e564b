"""Requests that are too long, too large or too slow get a problem, and connections are limited."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support import processes
from tests.support.postgres import settings_for

LIMITS = {
    "MAX_URL_BYTES": "1000",
    "MAX_HEADER_BYTES": "2000",
    "MAX_HEADERS": "20",
    "MAX_CONNECTIONS": "5",
    "HEADER_SECONDS": "1",
    "BODY_SECONDS": "1",
    "KEEP_ALIVE_SECONDS": "1",
    "ANSWER_SECONDS": "1",
    "ANSWER_BYTES_PER_SECOND": "30000",
    "MAX_BODY_BYTES": "10000",
}
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
FORM = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real API process with small limits; none of them needs its database."""
    with processes.serving(settings_for("postgresql://nobody@127.0.0.1:1/none"), **LIMITS) as url:
        yield int(url.rpartition(":")[2])


class Connection:
    """A raw connection that sends bytes and reads responses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with suppress(OSError):
            await self.writer.drain()

    async def drip(self, drop: bytes) -> None:
        """Send bytes slowly, without an end."""
        while True:
            await self.send(drop)
            await asyncio.sleep(0.2)

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Read the status, header fields and JSON of the next response."""
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        fields = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await self.reader.readexactly(int(fields["content-length"]))
        return int(status.split()[1]), fields, json.loads(body)

    async def refusal(self) -> tuple[int, str]:
        """The status and code of a problem after which the connection is closed."""
        status, fields, problem = await self.answer()
        assert (fields["content-type"], fields["connection"]) == ("application/problem+json", "close")
        assert problem["status"] == status
        assert (fields["x-content-type-options"], fields["referrer-policy"]) == ("nosniff", "no-referrer")
        assert "frame-ancestors 'none'" in fields["content-security-policy"]
        await self.ends()
        return status, problem["code"]

    async def ends(self) -> None:
        """Return when the other side has closed."""
        async with asyncio.timeout(30):
            with suppress(OSError):
                while await self.reader.read(65_536):
                    pass
        self.writer.close()


async def refused(port: int, *parts: bytes) -> tuple[int, str]:
    connection = await Connection.to(port)
    for part in parts:
        await connection.send(part)
    return await connection.refusal()


async def test_a_head_within_the_limits_is_answered(port: int) -> None:
    connection = await Connection.to(port)
    url = b"/health/live?" + b"q" * 900
    await connection.send(b"GET " + url + b" HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 1900 + b"\r\n\r\n")
    assert (await connection.answer())[0] == 422  # by the operation, which has no such parameter
    connection.writer.close()


@pytest.mark.parametrize("length", [1_001, 70_000, 3_000_000])
async def test_a_url_over_the_limit_is_refused(port: int, length: int) -> None:
    target = b"/health/live?".ljust(length, b"q")
    status = await refused(port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status in {(414, "address_too_long"), (431, "head_too_large")}
    assert status[0] == 414 or length > 70_000


@pytest.mark.parametrize(
    "more",
    [b"X-Long: " + b"x" * 2_000 + b"\r\n\r\n", b"X: y\r\n" * 30 + b"\r\n", b"X-Endless: " + b"x" * 3_000_000],
    ids=["too long", "too many", "endless"],
)
async def test_header_fields_over_the_limit_are_refused(port: int, more: bytes) -> None:
    assert await refused(port, LIVE + more) == (431, "head_too_large")


async def test_what_is_not_http_is_refused(port: int) -> None:
    assert await refused(port, b"\x16\x03\x01 hello\r\n\r\n") == (400, "malformed_request")


async def test_a_head_that_comes_drop_by_drop_is_not_waited_for(port: int) -> None:
    connection = await Connection.to(port)
    await connection.send(LIVE)
    dripping = asyncio.create_task(connection.drip(b"X: y\r\n"))
    assert await connection.refusal() == (408, "request_timeout")
    dripping.cancel()


async def test_a_silent_connection_is_closed_without_a_response(port: int) -> None:
    connection = await Connection.to(port)
    assert await connection.reader.read() == b""
    connection.writer.close()


async def test_an_idle_connection_is_closed(port: int) -> None:
    connection = await Connection.to(port)
    await connection.send(LIVE + b"\r\n")
    assert (await connection.answer())[0] == 200
    assert await connection.reader.read() == b""
    connection.writer.close()


async def test_a_second_request_that_stops_in_its_head_is_not_waited_for(port: int) -> None:
    connection = await Connection.to(port)
    await connection.send(LIVE + b"\r\n")
    assert (await connection.answer())[0] == 200
    await connection.send(LIVE)
    assert await connection.refusal() == (408, "request_timeout")


@pytest.mark.parametrize(
    "length", [b"Content-Length: 1000\r\n\r\ngrant", b"Transfer-Encoding: chunked\r\n\r\n5\r\ngrant"]
)
async def test_a_body_that_does_not_arrive_is_not_waited_for(port: int, length: bytes) -> None:
    assert await refused(port, FORM + length) == (408, "request_timeout")


async def test_the_rest_of_a_refused_body_does_not_hold_the_connection(port: int) -> None:
    connection = await Connection.to(port)
    await connection.send(b"POST /v1/bulk-uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert (await connection.answer())[0] == 401

    dripping = asyncio.create_task(connection.drip(b"x"))
    await connection.ends()
    dripping.cancel()


async def test_requests_sent_ahead_are_all_answered(port: int) -> None:
    connection = await Connection.to(port)
    await connection.send((LIVE + b"\r\n") * 10)
    assert [(await connection.answer())[0] for _ in range(10)] == [200] * 10
    connection.writer.close()


async def test_for_a_connection_over_the_limit_the_longest_idle_one_is_closed(port: int) -> None:
    held = [await Connection.to(port) for _ in range(int(LIMITS["MAX_CONNECTIONS"]))]
    await asyncio.sleep(0.3)
    for each in held[1:]:
        await each.send(LIVE)
    over = await Connection.to(port)
    await over.send(LIVE + b"\r\n")
    assert (await over.answer())[0] == 200
    await held[0].ends()
    await held[4].send(b"\r\n")
    assert (await held[4].answer())[0] == 200
    for each in (over, *held):
        each.writer.close()


async def test_where_no_connection_can_be_closed_all_but_liveness_gets_503(port: int) -> None:
    held = [await Connection.to(port) for _ in range(int(LIMITS["MAX_CONNECTIONS"]))]
    over, alive = await Connection.to(port), await Connection.to(port)
    await over.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    status, fields, problem = await over.answer()
    assert (status, problem["code"], fields["connection"]) == (503, "unavailable", "close")
    assert "x-request-id" in fields
    assert int(fields["retry-after"]) > 0
    await over.ends()
    await alive.send(LIVE + b"\r\n")
    assert (await alive.answer())[0] == 200
    for each in (alive, *held):
        await each.ends()
    again = await Connection.to(port)
    await again.send(LIVE + b"\r\n")
    assert (await again.answer())[0] == 200
    again.writer.close()


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        (b"1.1", b"", 400),
        (b"1.1", b"Host: x\r\nHost: x\r\n", 400),
        (b"1.1", b"Host: x\r\nhost: y\r\n", 400),
        (b"1.1", b"Host: a b\r\n", 400),
        (b"1.1", b"Host: a/b\r\n", 400),
        (b"1.1", b"Host: [2001:db8::1]:8000\r\n", 200),
        (b"1.1", b"Host:\r\n", 200),
        (b"1.0", b"", 200),
        (b"1.0", b"Host: x\r\nHost: x\r\n", 400),
    ],
)
async def test_a_request_names_one_host(port: int, version: bytes, hosts: bytes, status: int) -> None:
    connection = await Connection.to(port)
    await connection.send(b"GET /health/live HTTP/" + version + b"\r\n" + hosts + b"\r\n")
    if status == 200:
        assert (await connection.answer())[0] == 200
    else:
        assert await connection.refusal() == (400, "malformed_request")
    connection.writer.close()


DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"


async def reading(port: int, request: bytes = DOCUMENT, window: int = 4_096) -> Connection:
    """Return a connection with a small receive buffer that has requested a large response."""
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    slow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", port))
    connection = Connection(*await asyncio.open_connection(sock=slow, limit=1_024))
    await connection.send(request)
    return connection


async def closed(port: int, reason: str) -> float:
    """Return the metric of connections closed for a reason."""
    asking = await Connection.to(port)
    await asking.send(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = (await asking.reader.read(-1)).decode()
    asking.writer.close()
    found = re.search(rf'connections_closed_total{{reason="{reason}"}} (\S+)', text)
    return float(found[1]) if found else 0.0


async def test_a_caller_that_does_not_take_its_answer_is_not_waited_for(port: int) -> None:
    before = await closed(port, "slow_reader")
    requests = (
        DOCUMENT,
        b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        (LIVE + b"\r\n") * 3_000,
    )
    held = [await reading(port, each) for each in requests]

    async def are_closed() -> bool:
        return await closed(port, "slow_reader") >= before + len(requests)

    await processes.until(are_closed)
    for each in held:
        each.writer.close()


async def test_a_caller_that_takes_its_answer_slowly_gets_it_whole(port: int) -> None:
    connection = await reading(port, window=32_768)
    head = await connection.reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]  # it is there
    taken = b""
    while len(taken) < length:  # in longer than ANSWER_SECONDS, at some eight times the pace that is asked for
        taken += await connection.reader.read(4_096)
        await asyncio.sleep(0.015)
    assert json.loads(taken)["openapi"].startswith("3.1")
    connection.writer.close()


async def test_a_caller_that_drips_its_answer_out_is_not_waited_for(port: int) -> None:
    before = await closed(port, "slow_reader")
    connection = await reading(port)

    async def drip() -> None:
        with suppress(OSError):
            while await connection.reader.read(10):  # noqa: ASYNC110 - slowness is the point
                await asyncio.sleep(0.2)

    dripping = asyncio.create_task(drip())

    async def is_closed() -> bool:
        return await closed(port, "slow_reader") > before

    await processes.until(is_closed)
    dripping.cancel()
    connection.writer.close()


async def test_of_an_unread_body_no_more_than_the_limit_is_received(port: int) -> None:
    connection = await Connection.to(port)
    head = b"POST /v1/bulk-uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 400000000\r\n\r\n"
    await connection.send(head)
    assert (await connection.answer())[0] == 401
    sent = 0
    with suppress(OSError):
        while sent < 100_000_000 and not connection.reader.at_eof():
            connection.writer.write(b"x" * 65_536)
            await connection.writer.drain()
            await asyncio.sleep(0)
            sent += 65_536
    assert sent < 50_000_000
    connection.writer.close()
