"""The guarded way out: requests to URLs that partners give, made to public addresses only."""

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
from app.core.outbound.name_resolution import LOOKUP_SECONDS, Names, NameUnanswered, Resolve, resolve
from app.core.outbound.url_policy import Permitted, Target, UrlRefused, is_address, parse_target
from app.core.settings import Settings

TOTAL_SECONDS = 15.0
CONNECT_SECONDS = 5.0
TIMEOUTS = {"connect": CONNECT_SECONDS}
KEPT_BYTES = 64 * 1024


class Unreachable(Exception):
    """There was no answer; ``str()`` says why, in words that may be shown to the one who gave the URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names in small letters; ``body`` holds no more than was asked for, or is ``cut``."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Asks once for the addresses of a host, and connects to these very addresses when all of them may be used.

    A name that answers otherwise the next time (DNS rebinding) gains nothing: it is not asked again.
    """

    def __init__(self, permitted: Permitted, resolve: Resolve, network: httpcore.AsyncNetworkBackend) -> None:
        self._permitted = permitted
        self._resolve = resolve
        self._network = network
        self._opened: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that takes the connection."""
        failed: Exception = httpcore.ConnectError("The name has no address.")
        for address in await self._addresses(host, port):
            try:
                self._opened.append(await self._network.connect_tcp(address, port, *args, **kwargs))
                return self._opened[-1]
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        found = [host] if is_address(host) else list(dict.fromkeys(await self._resolve(host, port)))
        allowed = self._permitted.place(host, port) or all(map(self._permitted.address, found))
        if not allowed:
            raise UrlRefused("The host has an address that is not public.")
        return found

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise UrlRefused("A socket of this machine is not sent to.")

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close what was opened: httpcore leaves a connection open whose TLS handshake is cancelled."""
        for stream in self._opened:
            await stream.aclose()


@cache  # reading the authorities takes 40 ms
def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    context: ssl.SSLContext = httpcore.default_ssl_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class Outbound:
    """Sends requests to URLs that partners give.

    No redirect is followed, no cookie kept, no proxy of the environment used, nothing is decompressed, and each
    request has a connection of its own. ``resolve`` and ``network`` stand for the system's own.
    """

    def __init__(
        self,
        settings: Settings,
        resolve: Resolve = resolve,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._permitted = Permitted(settings.outbound_allowed)
        self._names = Names(resolve)
        self._network = network or httpcore.AnyIOBackend()
        self._tls = _trusting(settings.outbound_ca_file)

    def check(self, url: str) -> None:
        """Raises ``UrlRefused`` when a URL would not be sent to whatever its name's addresses are."""
        parse_target(url, self._permitted)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        limit: int = KEPT_BYTES,
        seconds: float = TOTAL_SECONDS,
        owner: str = "",
    ) -> Answer:
        """One request and its answer, of which ``limit`` bytes are read, in ``seconds`` altogether.

        ``owner`` is who gave the URL: names that are not answered hold up the requests of the same owner alone.
        Raises ``UrlRefused`` before anything is connected, and ``Unreachable``.
        """
        target = parse_target(url, self._permitted)
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(method, target, headers or {}, content, limit, owner)
        except TimeoutError:
            raise Unreachable(f"There was no whole answer within {seconds:g} seconds.") from None
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise Unreachable(_why(error)) from error

    async def _exchange(
        self, method: str, target: Target, headers: Mapping[str, str], content: bytes, limit: int, owner: str
    ) -> Answer:
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        sent = {"Host": target.authority, "User-Agent": f"ip-registration/{__version__}", "Accept": "*/*", **headers}
        if content:
            sent["Content-Length"] = str(len(content))
        network = _CheckedNetwork(self._permitted, partial(self._names.addresses, owner=owner), self._network)
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


def _why(error: Exception) -> str:
    met = error.__context__ if isinstance(error.__context__, ssl.SSLError) else error  # httpcore wraps those of TLS
    if isinstance(met, ssl.SSLCertVerificationError):
        return f"The certificate was not accepted: {met.verify_message}."
    reasons = (
        (httpcore.TimeoutException, f"The connection was not made within {CONNECT_SECONDS:g} seconds."),
        (httpcore.ProtocolError, "The answer is not HTTP/1.1."),
        (NameUnanswered, f"The name was not answered within {LOOKUP_SECONDS:g} seconds."),
        (socket.gaierror, "The name has no address."),
        (ssl.SSLError, "TLS could not be agreed."),
    )
    return next((text for kind, text in reasons if isinstance(met, kind)), "The connection was refused or lost.")
