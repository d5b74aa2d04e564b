"""Networks in canonical form, and the address space that is not globally routable unicast."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

from app.core.errors import Invalid
from app.core.validation import network_forms

WIDEST = {4: 24, 6: 48}
# Added to IPv6 addresses, so that integers order both families, IPv4 first, as the feed does.
IPV6_BASE = 1 << 32

# IANA special-purpose registries (RFC 6890 and what followed it), and IPv4 multicast and class E.
RESERVED_IPV4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
)  # fmt: skip
# All but 2000::/3, which is global unicast (RFC 4291, 2.4), and special networks inside it.
RESERVED_IPV6 = (
    "::/3", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    "4000::/2", "8000::/1",
)  # fmt: skip
# Only such texts are quoted in errors: others, of a wrong column, may be personal data.
QUOTABLE = re.compile(r"[0-9A-Fa-f.:/]*[.:][0-9A-Fa-f.:/]*")


class NetworkMalformed(Invalid):
    """The text is not an IPv4 or IPv6 address or prefix in standard notation."""

    code = "network_malformed"
    title = "Not an IPv4 or IPv6 address or prefix"
    remedy = "Write 203.99.50.5, 203.99.50.0/29 or 2400:1460:1::/48, in ASCII digits without leading zeros."


class NetworkHostBits(Invalid):
    """Host bits are set, to the right of the prefix length."""

    code = "network_host_bits"
    title = "Host bits are set"
    remedy = "Give the single address, or the first address of the block with the prefix length."


class NetworkTooWide(Invalid):
    """The prefix is wider than a registration may have."""

    code = "network_too_wide"
    title = "The prefix is wider than /24 (IPv4) or /48 (IPv6)"
    remedy = "Register the addresses that you use. A registration takes up to 64 networks of at most /24 or /48."


class NetworkReserved(Invalid):
    """The network is not globally routable unicast space."""

    code = "network_reserved"
    title = "The network is not globally routable"
    remedy = "Give the public address that your operator assigned, not one of your private network."


class Network(NamedTuple):
    """A network as canonical CIDR text, with its first and last address as integers.

    Integers of IPv4 addresses are their values; those of IPv6 addresses are ``IPV6_BASE`` higher.
    """

    first: int
    last: int
    text: str

    def overlaps(self, other: "Network") -> bool:
        """True when the networks share an address."""
        return self.first <= other.last and other.first <= self.last


def parse_canonical(canonical: str) -> Network:
    """Parse text that is known to be canonical CIDR, as from the database; ``parse`` is for input."""
    address, _, length = canonical.partition("/")
    if ":" in address:
        first = IPV6_BASE + int.from_bytes(inet_pton(AF_INET6, address))
        return Network(first, first + (1 << (128 - int(length))) - 1, canonical)
    first = int.from_bytes(inet_pton(AF_INET, address))
    return Network(first, first + (1 << (32 - int(length))) - 1, canonical)


class DisjointNetworks:
    """Sorted networks that do not overlap, for look-ups by binary search."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._networks = sorted(map(parse_canonical, texts))
        self._firsts = [network.first for network in self._networks]

    @classmethod
    def outermost(cls, texts: Iterable[str]) -> "DisjointNetworks":
        """Return those of some prefixes that no other contains."""
        kept: list[Network] = []
        for network in sorted(map(parse_canonical, texts), key=lambda each: (each.first, -each.last)):
            if not kept or kept[-1].last < network.first:
                kept.append(network)
        return cls([network.text for network in kept])

    def overlaps(self, network: Network) -> bool:
        """True when a network shares an address with ``network``."""
        at = bisect_right(self._firsts, network.last) - 1
        return at >= 0 and self._networks[at].last >= network.first

    def contains(self, network: Network) -> bool:
        """True when a network contains ``network``."""
        at = bisect_right(self._firsts, network.first) - 1
        return at >= 0 and self._networks[at].last >= network.last


def overlapping(texts: Iterable[str], others: Sequence[str]) -> set[str]:
    """Return those of some networks that share an address with one of ``others``, which do not overlap one another."""
    disjoint = DisjointNetworks(others)
    return {text for text in texts if disjoint.overlaps(parse_canonical(text))} if others else set()


_RESERVED = DisjointNetworks(RESERVED_IPV4 + RESERVED_IPV6)


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """Parse an address in standard notation. Raises ``NetworkMalformed``."""
    if packed := _packed_ipv4(text):
        return IPv4Address(packed)
    if text.isascii() and "%" not in text:
        with suppress(AddressValueError):
            return IPv6Address(text)
    quoted = repr(text[:60]) if QUOTABLE.fullmatch(text[:60]) else "The value"
    raise NetworkMalformed(f"{quoted} is not an IPv4 or IPv6 address in standard notation.")


def to_integer(address: IPv4Address | IPv6Address) -> int:
    """Return an address as the integer that ``Network`` has."""
    return int(address) + (IPV6_BASE if address.version == 6 else 0)


def is_routable(address: IPv4Address | IPv6Address) -> bool:
    """True when an address is globally routable unicast."""
    return not _RESERVED.overlaps(parse_canonical(f"{address}/{address.max_prefixlen}"))


@lru_cache(maxsize=8192)
def parse(text: str) -> Network:
    """Parse an address or prefix as people write it; a single address becomes /32 or /128 (IPv6: RFC 5952).

    Raises ``NetworkMalformed``, with the text to write where it is clear, ``NetworkHostBits``, ``NetworkTooWide`` or
    ``NetworkReserved``.
    """
    if network := _parse_ipv4(text):
        return network
    try:
        return _parse_any(text)
    except NetworkMalformed as wrong:
        raise NetworkMalformed(network_forms.advice(text) or wrong.detail) from None


def _parse_ipv4(text: str) -> Network | None:
    """Parse a single routable IPv4 address in canonical form, the usual case; None for any other text."""
    address = text.removesuffix("/32")
    if not (packed := _packed_ipv4(address)):
        return None
    first = int.from_bytes(packed)
    network = Network(first, first, f"{address}/32")
    return None if _RESERVED.overlaps(network) else network


def _packed_ipv4(text: str) -> bytes | None:
    """Return the four bytes of an IPv4 address in canonical form; None for any other text."""
    try:
        packed = inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return None
    return packed if inet_ntop(AF_INET, packed) == text else None


def _parse_any(text: str) -> Network:
    prefix, slash, suffix = text.partition("/")
    address = parse_address(prefix)
    length = _prefix_length(suffix, address.max_prefixlen, text) if slash else address.max_prefixlen
    block = (IPv4Network if address.version == 4 else IPv6Network)((int(address), length), strict=False)
    if block.network_address != address:
        single = f"{address}/{address.max_prefixlen}"
        raise NetworkHostBits(f"{text} has host bits set. Did you mean {single} or {block}?")
    network = parse_canonical(str(block))
    if length < WIDEST[address.version] and not _RESERVED.contains(network):
        raise NetworkTooWide(f"{block} is wider than /{WIDEST[address.version]}.")
    if _RESERVED.overlaps(network):
        raise NetworkReserved(f"{block} is not globally routable unicast space.")
    return network


def _prefix_length(suffix: str, longest: int, text: str) -> int:
    is_number = suffix.isascii() and suffix.isdigit() and (suffix == "0" or not suffix.startswith("0"))
    if not is_number or len(suffix) > 3 or int(suffix) > longest:
        raise NetworkMalformed(f"{text[:60]!r} has no prefix length from 0 to {longest}.")
    return int(suffix)
