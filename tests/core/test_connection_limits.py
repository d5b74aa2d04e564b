"""A request whose head is too long, too large or too slow gets a problem, and nobody holds a connection for ever."""

import asyncio
import json
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
}
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
FORM = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real API process with small limits; none of them needs its database."""
    with processes.serving(settings_for("postgresql://nobody@127.0.0.1:1/none"), **LIMITS) as url:
        yield int(url.rpartition(":")[2])


class Connection:
    """A connection that says what it is told to, and hears the answers."""

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
        """Go on for ever, slowly."""
        while True:
            await self.send(drop)
            await asyncio.sleep(0.2)

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """The status, header fields and JSON of the next answer."""
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
    assert (await connection.answer())[0] == 200
    connection.writer.close()


@pytest.mark.parametrize("length", [1_001, 70_000, 3_000_000])
async def test_an_address_over_the_limit_is_refused(port: int, length: int) -> None:
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


async def test_a_connection_that_says_nothing_is_closed_without_a_word(port: int) -> None:
    connection = await Connection.to(port)
    assert await connection.reader.read() == b""
    connection.writer.close()


async def test_a_connection_that_says_no_more_is_closed(port: int) -> None:
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


async def test_a_connection_over_the_limit_is_told_to_come_again(port: int) -> None:
    held = [await Connection.to(port) for _ in range(int(LIMITS["MAX_CONNECTIONS"]))]
    over = await Connection.to(port)
    await over.send(LIVE + b"\r\n")
    status, fields, problem = await over.answer()
    assert (status, problem["code"], fields["connection"]) == (503, "unavailable", "close")
    assert "x-request-id" in fields
    assert int(fields["retry-after"]) > 0
    await over.ends()
    for each in held:
        await each.ends()
    again = await Connection.to(port)
    await again.send(LIVE + b"\r\n")
    assert (await again.answer())[0] == 200
    again.writer.close()
