"""The served process as an attack finds it: connections to it, and the memory that it takes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from typing import TypeVar

import httpx
import psutil

from tests.attacks.witness import Report
from tests.support.service import Caller

MIB = 1024 * 1024
TRIES = 3
Outcome = TypeVar("Outcome")


def memory_of(url: str) -> float:
    """Return the memory of the API process at ``url``, in MiB."""
    port = int(url.rpartition(":")[2])
    (serving,) = (each for each in psutil.Process().children(recursive=True) if _listens(each, port))
    return float(serving.memory_info().rss) / MIB


def _listens(process: psutil.Process, port: int) -> bool:
    return any(each.laddr.port == port for each in process.net_connections() if each.status == psutil.CONN_LISTEN)


async def survive(
    witness: Callable[[], AbstractContextManager[Report]], attack: Callable[[], Awaitable[Outcome]]
) -> Outcome:
    """The outcome of an attack during which the service answered in time; one that fails is tried twice more.

    A machine that does much else is slow for a while; a service that stands still is so each time.
    """
    for left in reversed(range(TRIES)):
        with witness() as report:
            outcome = await attack()
        longest = [round(max(each, default=0.0), 2) for each in (report.liveness, report.submissions)]
        print(f"longest liveness and submission {longest} s, {len(report.failures)} failures; {outcome}")  # noqa: T201 - pytest shows it with -s
        try:
            report.assert_served()
        except AssertionError:
            if not left:
                raise
        else:
            return outcome
    raise AssertionError


def token(url: str, caller: Caller) -> str:
    """Return a token of the served process."""
    known = caller.credentials
    answer = httpx.post(
        f"{url}/oauth/token", data={"grant_type": "client_credentials"}, auth=(known.client_id, known.client_secret)
    )
    given: str = answer.raise_for_status().json()["access_token"]
    return given


async def connected(url: str, window: int | None = None) -> socket.socket:
    """Connect to the process, with a receive buffer of about ``window`` bytes."""
    opened = socket.socket()
    if window is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    opened.setblocking(False)
    host, _, port = url.removeprefix("http://").rpartition(":")
    await asyncio.get_running_loop().sock_connect(opened, (host, int(port)))
    return opened


async def send(connection: socket.socket, data: bytes) -> None:
    """Send all bytes, unless the other end closes."""
    with suppress(OSError):
        await asyncio.get_running_loop().sock_sendall(connection, data)


async def status_of(connection: socket.socket, seconds: float) -> int | None:
    """Read the status of the response: 0 when the connection was closed without one, None after a timeout."""
    try:
        async with asyncio.timeout(seconds):
            head = await asyncio.get_running_loop().sock_recv(connection, 65_536)
    except TimeoutError:
        return None
    except OSError:
        return 0
    return int(head.split()[1]) if head else 0
