"""Policy for URLs that partners give: their form, and the hosts and addresses that requests may go to."""

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv6Address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from app.core.errors import Invalid
from app.core.validation.networks import DisjointNetworks, NetworkMalformed, is_routable, parse_address, parse_canonical

URL_LENGTH = 2_000
_PORTS = {"https": 443, "http": 80}
# Visible ASCII (RFC 3986, 2), without characters that parsers treat differently.
_WRITTEN = re.compile(r"[\x21-\x7e]+")
_AMBIGUOUS = re.compile(r"[\\\"<>^`{|}#]")
# A name of two or more labels (RFC 1123, 2.1); the last begins with a letter, unlike that of an address.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+(?=[a-z]){_LABEL}")
# A public address that serves metadata to machines of Azure.
_METADATA = DisjointNetworks(["168.63.129.16/32"])


class UrlRefused(Invalid):
    """The service does not send requests to this URL."""

    code = "url_refused"
    title = "The service does not send requests to this URL"
    remedy = "Give https://NAME/PATH on port 443 of a public host, without user name, password or fragment."


class Target(NamedTuple):
    """The checked parts of a URL; ``host`` is a name in lower case or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class AllowedTargets:
    """Targets that the operator of the service allows besides public addresses.

    A host and port (``receiver.example:8443``) may be reached by http or https at any address; a network
    (``10.20.0.0/16``) counts as public. Raises ``ValueError`` for an entry that is neither.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._hosts: set[tuple[str, int]] = set()
        self._networks = []
        for entry in entries:
            host, _, port = entry.rpartition(":")
            if "/" in entry:
                self._networks.append(parse_canonical(str(ip_network(entry))))
            elif host and port.isdigit():
                self._hosts.add((host.strip("[]").lower(), int(port)))
            else:
                raise ValueError(f"OUTBOUND_ALLOWED: {entry!r} is neither host:port nor a network.")

    def allows_host(self, host: str, port: int) -> bool:
        """True when the host and port are allowed at any address."""
        return (host, port) in self._hosts

    def allows_address(self, text: str) -> bool:
        """True when connections to the address are allowed."""
        with suppress(NetworkMalformed):
            address = parse_address(text)
            single = parse_canonical(f"{address}/{address.max_prefixlen}")
            is_listed = any(each.overlaps(single) for each in self._networks)
            return is_listed or (is_routable(address) and not _METADATA.overlaps(single))
        return False


def parse_target(url: str, allowed: AllowedTargets) -> Target:
    """Parse a URL and check everything but the addresses of its name. Raises ``UrlRefused``."""
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
    if allowed.allows_host(target.host, target.port):
        return target
    if target.scheme != "https" or target.port != 443:
        raise UrlRefused("Only https on port 443 is allowed.")
    _check_host(target.host, allowed)
    return target


def _host(netloc: str) -> str:
    """Return the host of a ``netloc``. Raises ``ValueError`` for user information or a malformed port."""
    written = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{0,5})?", netloc)
    if written is None:
        raise ValueError(netloc)
    return str(IPv6Address(written[1])) if written[1] else written[2].lower()


def _check_host(host: str, allowed: AllowedTargets) -> None:
    if is_address(host):
        if not allowed.allows_address(host):
            raise UrlRefused("The address is not public.")
    elif len(host) > 253 or not _NAME.fullmatch(host):
        raise UrlRefused("The host is neither a fully qualified name nor an address in standard notation.")


def is_address(host: str) -> bool:
    """True for an address in standard notation."""
    with suppress(NetworkMalformed):
        parse_address(host)
        return True
    return False
