"""The served process as an attack finds it: connections to it, and the memory that it takes."""

import asyncio
import socket
from contextlib import suppress

import psutil

MIB = 1024 * 1024


def memory_of(url: str) -> float:
    """The MiB that the API process at ``url`` holds."""
    port = int(url.rpartition(":")[2])
    (serving,) = (each for each in psutil.Process().children() if _listens(each, port))
    return float(serving.memory_info().rss) / MIB


def _listens(process: psutil.Process, port: int) -> bool:
    return any(each.laddr.port == port for each in process.net_connections() if each.status == psutil.CONN_LISTEN)


async def connected(url: str, window: int | None = None) -> socket.socket:
    """A connection to the process; its system takes about ``window`` bytes that nobody reads."""
    opened = socket.socket()
    if window is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    opened.setblocking(False)
    host, _, port = url.removeprefix("http://").rpartition(":")
    await asyncio.get_running_loop().sock_connect(opened, (host, int(port)))
    return opened


async def send(connection: socket.socket, data: bytes) -> None:
    """Send all of it, unless the other end closes."""
    with suppress(OSError):
        await asyncio.get_running_loop().sock_sendall(connection, data)


async def status_of(connection: socket.socket, seconds: float = 30) -> int:
    """The status of the answer; 0 when the connection was closed without one."""
    try:
        async with asyncio.timeout(seconds):
            head = await asyncio.get_running_loop().sock_recv(connection, 65_536)
    except OSError:
        return 0
    return int(head.split()[1]) if head else 0
