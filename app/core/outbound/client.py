"""Outbound requests to URLs that partners give, made to public addresses only."""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpcore

from app import __version__
from app.core.outbound.name_resolution import LOOKUP_SECONDS, NameResolver, NameUnanswered, Resolve, resolve
from app.core.outbound.url_policy import AllowedTargets, Target, UrlRefused, is_address, parse_target
from app.core.settings import Settings

TOTAL_SECONDS = 15.0
CONNECT_SECONDS = 5.0
TIMEOUTS = {"connect": CONNECT_SECONDS}
MAX_BODY_BYTES = 64 * 1024


class Unreachable(Exception):
    """No response was received; ``str()`` is a reason that may be shown to the owner of the URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with header names in lower case; ``cut`` is True when the body was longer than the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves a host once, and connects to these addresses if all are allowed.

    It does not resolve the name again to connect, so DNS rebinding is of no use.
    """

    def __init__(self, allowed: AllowedTargets, resolve: Resolve, network: httpcore.AsyncNetworkBackend) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._network = network
        self._opened: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that accepts the connection."""
        failure: Exception = httpcore.ConnectError("The name has no address.")
        for address in await self._addresses(host, port):
            try:
                self._opened.append(await self._network.connect_tcp(address, port, *args, **kwargs))
                return self._opened[-1]
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        addresses = [host] if is_address(host) else list(dict.fromkeys(await self._resolve(host, port)))
        if not self._allowed.allows_host(host, port) and not all(map(self._allowed.allows_address, addresses)):
            raise UrlRefused("The host has an address that is not public.")
        return addresses

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Refuse."""
        raise UrlRefused("Requests are not sent to Unix sockets.")

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close all connections; httpcore leaks one whose TLS handshake is cancelled."""
        for stream in self._opened:
            await stream.aclose()


@cache  # loading the certificates takes 40 ms
def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context: ssl.SSLContext = httpcore.default_ssl_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class Outbound:
    """Sends requests to URLs that partners give.

    It follows no redirects, keeps no cookies, uses no proxy of the environment, decompresses nothing, and opens a
    connection for each request. Tests replace ``resolve`` and ``network``.
    """

    def __init__(
        self,
        settings: Settings,
        resolve: Resolve = resolve,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allowed = AllowedTargets(settings.outbound_allowed)
        self._names = NameResolver(resolve)
        self._network = network or httpcore.AnyIOBackend()
        self._tls = _tls_context(settings.outbound_ca_file)

    def check(self, url: str) -> None:
        """Raise ``UrlRefused`` for a URL that is refused whatever the addresses of its host."""
        parse_target(url, self._allowed)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        limit: int = MAX_BODY_BYTES,
        seconds: float = TOTAL_SECONDS,
        owner: str = "",
    ) -> Answer:
        """Send a request and return its response, reading up to ``limit`` bytes within ``seconds``.

        ``owner`` gave the URL: names that do not resolve hold up only its own requests. Raises ``UrlRefused`` before it
        connects, and ``Unreachable``.
        """
        target = parse_target(url, self._allowed)
        try:
            async with asyncio.timeout(seconds):
                return await self._send(method, target, headers or {}, content, limit, owner)
        except TimeoutError:
            raise Unreachable(f"There was no complete response within {seconds:g} seconds.") from None
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise Unreachable(_reason(error)) from error

    async def _send(
        self, method: str, target: Target, headers: Mapping[str, str], content: bytes, limit: int, owner: str
    ) -> Answer:
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        sent = {"Host": target.authority, "User-Agent": f"ip-registration/{__version__}", "Accept": "*/*", **headers}
        if content:
            sent["Content-Length"] = str(len(content))
        network = _CheckedNetwork(self._allowed, partial(self._names.addresses, owner=owner), self._network)
        try:
            async with (
                httpcore.AsyncConnectionPool(self._tls, network_backend=network) as pool,
                pool.stream(
                    method, url, headers=list(sent.items()), content=content, extensions={"timeout": TIMEOUTS}
                ) as response,
            ):
                return await _read(response, limit)
        finally:
            await network.close()


async def _read(response: httpcore.Response, limit: int) -> Answer:
    body = bytearray()
    async for part in response.aiter_stream():
        body += part
        if len(body) > limit:
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    return Answer(response.status, headers, bytes(body[:limit]), cut=len(body) > limit)


def _reason(error: Exception) -> str:
    cause = error.__context__ if isinstance(error.__context__, ssl.SSLError) else error  # httpcore wraps TLS errors
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"The certificate was not accepted: {cause.verify_message}."
    reasons = (
        (httpcore.TimeoutException, f"The connection was not made within {CONNECT_SECONDS:g} seconds."),
        (httpcore.ProtocolError, "The response is not HTTP/1.1."),
        (NameUnanswered, f"The name was not resolved within {LOOKUP_SECONDS:g} seconds."),
        (socket.gaierror, "The name has no address."),
        (ssl.SSLError, "The TLS handshake failed."),
    )
    return next((text for kind, text in reasons if isinstance(cause, kind)), "The connection was refused or lost.")
