"""Networks have the canonical form of Python and PostgreSQL, and only routable ones are accepted."""

from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.validation.networks import (
    DisjointNetworks,
    NetworkHostBits,
    NetworkMalformed,
    NetworkReserved,
    NetworkTooWide,
    is_routable,
    parse,
    parse_address,
    parse_canonical,
    to_integer,
)

AnyNetwork = IPv4Network | IPv6Network

# The IANA special-purpose address registries, multicast and class E.
SPECIAL = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.0.0/29", "192.0.0.170/31", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4", "255.255.255.255/32",
    "::/128", "::1/128", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
    "2001::/23", "2001::/32", "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "2002::/16",
    "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip
SPECIAL_NETWORKS = [ip_network(each) for each in SPECIAL]


def _shares_with_special(network: AnyNetwork) -> bool:
    return any(network.version == each.version and network.overlaps(each) for each in SPECIAL_NETWORKS)


def _network(base: int, length: int, version: int) -> AnyNetwork:
    kind = IPv4Network if version == 4 else IPv6Network
    return kind((base, length), strict=False)


def _sparse(groups: list[int]) -> int:
    return int.from_bytes(b"".join(group.to_bytes(2) for group in groups))


LENGTHS_4, LENGTHS_6 = st.integers(24, 32), st.integers(48, 128)
# groups of zero are frequent, so that every shape of compression is met
GROUPS = st.lists(st.sampled_from([0, 0, 0, 1, 0x0A0B, 0xFFFF]), min_size=7, max_size=7)
IN_2000 = st.builds(lambda first, rest: _sparse([first, *rest]), st.integers(0x2003, 0x2610), GROUPS)
ROUTABLE = st.one_of(
    st.builds(_network, st.integers(1 << 24, (224 << 24) - 1), LENGTHS_4, st.just(4)),
    st.builds(_network, IN_2000, LENGTHS_6, st.just(6)),
).filter(lambda network: not _shares_with_special(network))
# a small space, so that many of them overlap
CROWDED = st.one_of(
    st.builds(_network, st.integers(0xCB630000, 0xCB6303FF), LENGTHS_4, st.just(4)),
    st.builds(
        lambda host, length: _network((0x2400_1460_0001 << 80) + host, length, 6), st.integers(0, 1023), LENGTHS_6
    ),
)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "/", "/24", "203.99.160", "203.99.160.5.6", "203.99.160.256", "203.99.160.05", "0203.99.160.5",
        "0xCB.99.160.5", "3412303877", "203.99.160.5 ", " 203.99.160.5", "203.99.160.5\n", "203.99.160.5/",
        "203.99.160.5/33", "203.99.160.5/032", "203.99.160.5/-1", "203.99.160.5/+1", "203.99.160.5/1e1",
        "203.99.160.5/32/32", "203.99.160.5/ 32", "203.99.160.0/255.255.255.0", "203.99.160.0/0.0.0.255",
        "203.99.160.0-203.99.160.7", "\u0662\u0660\u0663.99.160.5", "203.99.160.5/\uff13\uff12",
        "203\u300299\u3002160\u30025",
        "2400:1460:1::1%eth0", "2400:1460:1::1%1/128", "2400:1460:1::/129", "2400:1460:1::/ffff::", "2400:1460::1::",
        "2400:1460:00001::1", "2400:1460:1:2:3:4:5:6:7", ":::", "[2400:1460:1::1]", "2400:1460:1::1/0128", "é",
        "\x00", "a" * 5_000,
    ],
)  # fmt: skip
def test_what_is_not_in_standard_notation_is_malformed(text: str) -> None:
    with pytest.raises(NetworkMalformed) as refused:
        parse(text)
    assert len(refused.value.detail) < 300


@pytest.mark.parametrize("text", ["203.99.160.256", "2400:1460:::1", "203.99.160", "a" * 29 + ":" + "b" * 40])
def test_what_looks_like_an_address_is_repeated_to_its_sender_for_sixty_characters(text: str) -> None:
    with pytest.raises(NetworkMalformed) as refused:
        parse(text)
    assert refused.value.detail.startswith(f"'{text[:60]}' is not")


@pytest.mark.parametrize("text", ["12345-1234567-1", "1234567890123", "Ayesha Khan", "it@example.pk", "+923001234567"])
def test_what_looks_like_no_address_is_not_repeated_since_it_may_be_someones_number(text: str) -> None:
    with pytest.raises(NetworkMalformed) as refused:
        parse(text)
    assert refused.value.detail.startswith("The value is not")


@pytest.mark.parametrize("text", SPECIAL)
def test_no_special_purpose_block_is_taken_whole_or_in_part(text: str) -> None:
    block = ip_network(text)
    edges = (block, *(ip_network((edge, block.max_prefixlen)) for edge in (block[0], block[-1])))
    for each in edges:
        with pytest.raises(NetworkReserved):
            parse(str(each))


@pytest.mark.parametrize(
    "text", ["64:ff9b::7f00:1", "2002:7f00:1::", "fec0::1", "::ffff:203.99.160.5", "::203.99.160.5"]
)
def test_an_ipv4_address_in_an_ipv6_one_is_not_routable(text: str) -> None:
    with pytest.raises(NetworkReserved):
        parse(text)


@given(ROUTABLE, st.integers(min_value=1))
def test_bits_right_of_the_prefix_are_refused_with_both_meanings(network: AnyNetwork, extra: int) -> None:
    if network.num_addresses == 1:
        return
    address = network[1 + extra % (network.num_addresses - 1)]
    with pytest.raises(NetworkHostBits) as refused:
        parse(f"{address}/{network.prefixlen}")
    assert refused.value.detail.endswith(f"Did you mean {address}/{address.max_prefixlen} or {network}?")


@given(
    st.one_of(
        st.builds(_network, st.integers(0, (1 << 32) - 1), st.integers(0, 23), st.just(4)),
        st.builds(_network, st.integers(0, (1 << 128) - 1), st.integers(0, 47), st.just(6)),
    )
)
def test_a_wide_prefix_is_reserved_when_nothing_in_it_is_routable_and_else_too_wide(network: AnyNetwork) -> None:
    unroutable = [*SPECIAL_NETWORKS, *map(ip_network, ("::/3", "4000::/2", "8000::/1", "224.0.0.0/3"))]
    whole = any(network.version == each.version and network.subnet_of(each) for each in unroutable)  # type: ignore[arg-type]  # one family
    with pytest.raises(NetworkReserved if whole else NetworkTooWide):
        parse(str(network))


@given(ROUTABLE)
def test_a_routable_network_gets_the_normal_form_that_python_gives_it(network: AnyNetwork) -> None:
    assert parse(str(network)) == parse_canonical(str(network))
    assert parse(str(network)).text == str(network)


@given(ROUTABLE)
def test_every_way_to_write_a_network_leads_to_the_same_form(network: AnyNetwork) -> None:
    assert parse(network.exploded) == parse(network.exploded.upper()) == parse(str(network))
    if network.num_addresses == 1:
        assert parse(str(network.network_address)) == parse(str(network))


@given(CROWDED, CROWDED)
def test_two_networks_overlap_when_python_says_so(one: AnyNetwork, other: AnyNetwork) -> None:
    expected = one.version == other.version and one.overlaps(other)
    assert (
        parse_canonical(str(one)).overlaps(parse_canonical(str(other)))
        == parse_canonical(str(other)).overlaps(parse_canonical(str(one)))
        == expected
    )


@given(st.lists(CROWDED, max_size=12), CROWDED)
def test_a_look_up_finds_networks_that_overlap_or_contain_a_network(several: list[AnyNetwork], one: AnyNetwork) -> None:
    same = [each for each in several if each.version == one.version]
    other = [each for each in several if each.version != one.version]
    apart = [*collapse_addresses(same), *collapse_addresses(other)]  # type: ignore[type-var]  # one family each
    disjoint = DisjointNetworks([str(each) for each in apart])
    relevant = [each for each in apart if each.version == one.version]
    assert disjoint.overlaps(parse_canonical(str(one))) == any(each.overlaps(one) for each in relevant)
    assert disjoint.contains(parse_canonical(str(one))) == any(one.subnet_of(each) for each in relevant)  # type: ignore[arg-type]  # same


@given(st.lists(CROWDED, max_size=12), CROWDED)
def test_prefixes_in_one_another_hold_what_the_outermost_of_them_hold(
    several: list[AnyNetwork], one: AnyNetwork
) -> None:
    same = [each for each in several if each.version == one.version]
    outermost = DisjointNetworks.outermost(map(str, several))
    assert outermost.overlaps(parse_canonical(str(one))) == any(each.overlaps(one) for each in same)
    assert outermost.contains(parse_canonical(str(one))) == any(one.subnet_of(each) for each in same)  # type: ignore[arg-type]  # same


@pytest.mark.parametrize(
    ("text", "routable"),
    [("8.8.8.8", True), ("10.0.0.1", False), ("203.99.160.5", True), ("2400:1460::1", True), ("fe80::1", False)],
)
def test_an_address_is_routable_when_no_special_purpose_block_holds_it(text: str, routable: bool) -> None:
    assert is_routable(parse_address(text)) is routable


@given(st.lists(CROWDED))
def test_networks_sort_by_family_address_and_length(several: list[AnyNetwork]) -> None:
    by_span = sorted(map(str, several), key=lambda text: (parse_canonical(text).first, -parse_canonical(text).last))
    by_python = sorted(several, key=lambda each: (each.version, int(each.network_address), each.prefixlen))
    assert by_span == [str(each) for each in by_python]


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_an_address_stands_at_the_start_of_its_own_network(address: object) -> None:
    found = parse_address(str(address))
    assert to_integer(found) == parse_canonical(f"{found}/{found.max_prefixlen}").first


async def test_the_normal_form_is_the_one_that_postgresql_prints(database_url: str) -> None:
    written = [
        "203.99.160.5", "203.99.160.0/29", "8.8.8.0/24", "2400:1460:1:0:0:0:0:0/48", "2400:1460:0:0:1:0:0:0/80",
        "2400:1460:0:1:0:0:1:0/112", "2400:0:0:1::/64", "2400:0:1:0:1:0:1:0", "2400:0:0:0:1:0:0:0",
        "2400:1:1:1:1:1:1:0", "2400:0:1:1:1:1:1:1", "2400:0:0:1:1:0:0:1", "2400::ffff:203.99.160.5",
        "2400::203.99.160.5", "2400:ABCD::0001", "2610::", "2400:1460:1::/128",
    ]  # fmt: skip
    normal = [parse(text).text for text in written]
    connection = await asyncpg.connect(database_url)
    try:
        printed = await connection.fetch(
            "SELECT text(t::cidr) AS text FROM unnest($1::text[]) WITH ORDINALITY u (t, n) ORDER BY n", written
        )
    finally:
        await connection.close()
    assert normal == [row["text"] for row in printed]
