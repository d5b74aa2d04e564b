"""Connections to PostgreSQL: one server of several is found, and every call on a connection has a deadline."""

import asyncio
import socket
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from app.core.database.outages import NoServer
from app.core.database_url import Server, parse

CONNECT_SECONDS = 5.0  # of one server, unless the URL has ``connect_timeout``
CLOSE_SECONDS = 0.5
SILENCE_SECONDS = 10  # after which the kernel gives up a peer that acknowledges nothing
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": SILENCE_SECONDS * 1000}
# The same for the server, so that locks of a client that is gone do not last. Sockets of one machine ignore it.
SERVER_KEEPALIVE = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(SILENCE_SECONDS * 1000),
}


class Connection(asyncpg.Connection):
    """A connection whose socket notices a peer that is gone; ``connected_at`` is a monotonic time."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self.connected_at = time.monotonic()
        _notice_silence(transport.get_extra_info("socket"))

    def set_deadline(self, seconds: float) -> None:
        """Set the deadline of each following call."""
        self._config = self._config._replace(command_timeout=seconds)  # type: ignore[has-type]  # not in the stubs

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's signature
        """Say goodbye and close; wait half a second for the server at most."""
        await super().close(timeout=min(CLOSE_SECONDS, timeout or CLOSE_SECONDS))


def _notice_silence(connected: socket.socket) -> None:
    """Let the kernel end a connection whose peer is silent for about ten seconds."""
    if connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not every system has them all
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Connector:
    """Connects to the first server of a URL that is what ``target_session_attrs`` asks for.

    Each server has a deadline of its own. The one found last is tried first, so that a server that is gone delays only
    the first connection.
    """

    def __init__(self, url: str, *, seconds: float, server_settings: Mapping[str, str] | None = None) -> None:
        """``seconds`` is the deadline of each call on a connection. Raises ``ValueError``."""
        self._url = parse(url)
        self._seconds = seconds
        self._settings = {**SERVER_KEEPALIVE, **(server_settings or {})}
        self._servers: list[Server | None] = list(self._url.servers) or [None]  # None: asyncpg's own defaults

    async def connect(self) -> Connection:
        """Return a connection. Raises ``NoServer``, and ``ClientConfigurationError`` for a URL that cannot work."""
        attributes = self._url.attributes
        rounds = ("standby", "any") if attributes == "prefer-standby" else (attributes,)
        failed = dict[str, BaseException]()
        for wanted in rounds:
            for server in tuple(self._servers):  # another connection may change their order meanwhile
                try:
                    connection = await self._connect_to(server, wanted)
                except asyncpg.exceptions.ClientConfigurationError:
                    raise
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
                    failed[str(server or "the default server")] = error
                    continue
                self._servers.remove(server)
                self._servers.insert(0, server)
                return connection
        reasons = "; ".join(f"{place}: {_reason(error)}" for place, error in failed.items())
        raise NoServer(f"no server of the database can be used: {reasons}") from next(reversed(failed.values()))

    async def _connect_to(self, server: Server | None, attributes: str) -> Connection:
        connection: Connection = await asyncpg.connect(
            self._url.dsn,
            host=server.host if server else None,
            port=server.port if server else None,
            timeout=self._url.connect_seconds or CONNECT_SECONDS,
            command_timeout=self._seconds,
            server_settings=self._settings,
            target_session_attrs=SessionAttribute(attributes),
            connection_class=Connection,
        )
        return connection


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return "it is not what target_session_attrs asks for"
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return str(error) or type(error).__name__
