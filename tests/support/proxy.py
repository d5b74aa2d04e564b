"""The network between the service and PostgreSQL: a TCP proxy that falls silent, and a host that drops packets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import parse_qs, urlsplit


def _socket_of(url: str) -> str:
    return f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"


class Proxy:
    """Relays connections to the server of a URL, which listens on a Unix socket.

    While it is silent, it acknowledges and keeps what it gets, as the end of a half-open connection does.
    """

    def __init__(self, url: str) -> None:
        self._upstream = _socket_of(url)
        self._database = urlsplit(url).path
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.place = ""

    @property
    def url(self) -> str:
        """The URL of the database through this proxy."""
        return f"postgresql://postgres@{self.place}{self._database}?sslmode=disable"

    def silence(self) -> None:
        """Relay nothing from now on, on no connection."""
        self._speaking.clear()

    def speak(self) -> None:
        """Relay again, also what came meanwhile."""
        self._speaking.set()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        ends = [writer]
        try:
            await self._speaking.wait()
            there, back = await asyncio.open_unix_connection(self._upstream)
            ends.append(back)
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in ends:
                each.transport.abort()
            self._tasks.discard(task)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            await self._speaking.wait()
            sink.write(data)
            await sink.drain()
        sink.close()

    async def close(self) -> None:
        """End every connection."""
        for each in list(self._tasks):
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_of(url: str) -> AsyncIterator[Proxy]:
    """A proxy to the server of ``url`` on a port of its own."""
    proxy = Proxy(url)
    listening = await asyncio.start_server(proxy._relay, "127.0.0.1", 0)
    proxy.place = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.close()


@contextmanager
def dropping_host() -> Iterator[str]:
    """A host and port that answer no packet of a new connection: its queue of connections is full."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for each in (first, second):
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.connect(listening.getsockname())
        yield f"127.0.0.1:{listening.getsockname()[1]}"
