"""A URL that a partner gives, in checked parts, and where a request for it may go."""

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv6Address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from app.core.errors import Invalid
from app.core.validation.networks import Disjoint, NetworkMalformed, is_routable, parse_address, span

URL_LENGTH = 2_000
_PORTS = {"https": 443, "http": 80}
# Visible ASCII (RFC 3986, 2) without the signs that parsers read differently.
_WRITTEN = re.compile(r"[\x21-\x7e]+")
_AMBIGUOUS = re.compile(r"[\\\"<>^`{|}#]")
# A name of two labels or more (RFC 1123, 2.1). The last begins with a letter, so that no number is a name.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+(?=[a-z]){_LABEL}")
# A public address behind which Azure answers its own machines only.
_PLATFORM = Disjoint(["168.63.129.16/32"])


class UrlRefused(Invalid):
    """A URL that the service does not send to."""

    code = "url_refused"
    title = "The service does not send to this URL"
    mend = "Give https://NAME/PATH on port 443 of a public host, without user name, password or fragment."


class Target(NamedTuple):
    """A URL in its parts, each checked; ``host`` is a name in small letters or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as the ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Permitted:
    """What the operator of the service lets through beyond public addresses.

    A place (``receiver.example:8443``) may be spoken to by http or https and at any address; a network
    (``10.20.0.0/16``) counts as public. Raises ``ValueError`` when an entry is neither.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._places: set[tuple[str, int]] = set()
        self._networks = []
        for entry in entries:
            host, _, port = entry.rpartition(":")
            if "/" in entry:
                self._networks.append(span(str(ip_network(entry))))
            elif host and port.isdigit():
                self._places.add((host.strip("[]").lower(), int(port)))
            else:
                raise ValueError(f"OUTBOUND_ALLOWED: {entry!r} is neither host:port nor a network.")

    def place(self, host: str, port: int) -> bool:
        """Whether this host and port are let through as they are."""
        return (host, port) in self._places

    def address(self, text: str) -> bool:
        """Whether a connection to this address may be made."""
        with suppress(NetworkMalformed):
            address = parse_address(text)
            alone = span(f"{address}/{address.max_prefixlen}")
            own = any(each.overlaps(alone) for each in self._networks)
            return own or (is_routable(address) and not _PLATFORM.touches(alone))
        return False


def parse_target(url: str, permitted: Permitted) -> Target:
    """The parts of a URL that the service may send to, by its text alone. Raises ``UrlRefused``."""
    if len(url) > URL_LENGTH:
        raise UrlRefused(f"The URL is longer than {URL_LENGTH:,} characters.")
    if not _WRITTEN.fullmatch(url) or _AMBIGUOUS.search(url):
        raise UrlRefused("Write the URL in visible ASCII (a name in its xn-- form), without a fragment.")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _host(parts.netloc)
    except ValueError:
        raise UrlRefused("The host or the port is malformed.") from None
    if parts.scheme not in _PORTS:
        raise UrlRefused("The scheme is not https.")
    target = Target(
        parts.scheme,
        host,
        _PORTS[parts.scheme] if port is None else port,
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
    if permitted.place(target.host, target.port):
        return target
    if target.scheme != "https" or target.port != 443:
        raise UrlRefused("Only https on port 443 is sent to.")
    _check_host(target.host, permitted)
    return target


def _host(netloc: str) -> str:
    """The host as it is written. Raises ``ValueError`` unless it is followed by a port at most."""
    written = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{0,5})?", netloc)
    if written is None:
        raise ValueError(netloc)
    return str(IPv6Address(written[1])) if written[1] else written[2].lower()


def _check_host(host: str, permitted: Permitted) -> None:
    if is_address(host):
        if not permitted.address(host):
            raise UrlRefused("The address is not public.")
    elif len(host) > 253 or not _NAME.fullmatch(host):
        raise UrlRefused("The host is neither a full name nor an address in standard notation.")


def is_address(host: str) -> bool:
    """Whether this is an address in standard notation."""
    with suppress(NetworkMalformed):
        parse_address(host)
        return True
    return False
