"""Networks for property tests: from a small space, so that many of them overlap."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from hypothesis import strategies as st

Block = IPv4Network | IPv6Network
SPACE_IPV4 = int(IPv4Network("203.99.160.0/24").network_address)
SPACE_IPV6 = int(IPv6Network("2400:1460:1::/48").network_address)


def _ipv4(length: int, offset: int) -> Block:
    return IPv4Network((SPACE_IPV4 + offset, length), strict=False)


def _ipv6(length: int, offset: int) -> Block:
    return IPv6Network((SPACE_IPV6 + (offset << 72), length), strict=False)


blocks: st.SearchStrategy[Block] = st.one_of(
    st.builds(_ipv4, st.integers(24, 32), st.integers(0, 255)),
    st.builds(_ipv6, st.sampled_from([48, 50, 52, 56, 64, 128]), st.integers(0, 255)),
)


def overlap(one: str, other: str) -> bool:
    """Return whether two networks share an address, by the standard library."""
    first, second = ip_network(one), ip_network(other)
    return first.version == second.version and first.overlaps(second)


def without_overlaps(found: list[Block]) -> list[str]:
    """The networks that overlap none before them."""
    kept: list[str] = []
    for block in found:
        if not any(overlap(str(block), other) for other in kept):
            kept.append(str(block))
    return kept
