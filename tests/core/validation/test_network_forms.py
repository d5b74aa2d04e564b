"""Networks are taken as people write them without a change of an address, and errors name the text to write."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network, summarize_address_range

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.validation.network_forms import advice, normal_networks
from app.core.validation.networks import NetworkHostBits, NetworkMalformed, parse

URDU, ARABIC = ("".join(map(chr, range(first, first + 10))) for first in (0x6F0, 0x660))
# A mask is never an address, since nothing in 0/8 and above 223 is routable.
BLOCKS = st.builds(
    lambda base, length: IPv4Network((base, length), strict=False),
    st.integers(1 << 24, (224 << 24) - 1),
    st.integers(9, 32),
)
BLOCKS_6 = st.builds(
    lambda base, length: IPv6Network((base, length), strict=False),
    st.integers(1 << 120, 2**128 - 1),
    st.integers(32, 128),
)
SEPARATORS = st.sampled_from(
    [" ", ",", ", ", ";", " ; ", "\n", "\r\n", "\u00a0", "\u3000", "\u060c ", "\uff1b", "  ", "\t"]
)
WRAPPINGS = st.sampled_from(["{}", "'{}", '="{}"', " {} ", "\u200b{}\ufeff", "{};", "{}\n"])


def _in_script(text: str, digits: str) -> str:
    return text.translate(dict(zip(map(ord, "0123456789"), digits, strict=True)))


def _in_full_width(text: str) -> str:
    return "".join(chr(ord(each) + 0xFEE0) for each in text)


def _writings(block: IPv4Network) -> list[str]:
    first, last, length = block.network_address, block.broadcast_address, block.prefixlen
    single = [str(first), f"{first}."] if length == 32 else []
    short = [f"{first}-{str(last).rpartition('.')[2]}"] if length >= 24 else []
    return [
        *single, *short, str(block), f"{first} /{length}", f"{first} / {length}", f"{first}\u00a0/{length}",
        f"{first}/{block.netmask}", f"{first} {block.netmask}", f"{first} / {block.netmask}", f"{first}-{last}",
        f"{first} - {last}", f"{first} \u2013 {last}", f"{first} to {last}", _in_script(str(block), URDU),
        _in_full_width(str(block)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "normal"),
    [
        ("39.49.1.1,39.49.1.2", "39.49.1.1 39.49.1.2"),
        ("39.49.1.3; 39.49.1.4", "39.49.1.3 39.49.1.4"),
        ("39.49.1.5\n39.49.1.6", "39.49.1.5 39.49.1.6"),
        ("39.49.1.7\u00a039.49.1.8", "39.49.1.7 39.49.1.8"),
        ("39.49.1.9\u200b", "39.49.1.9"),
        ("39.49.1.16-39.49.1.23", "39.49.1.16/29"),
        ("39.49.1.24 - 31", "39.49.1.24/29"),
        ("39.49.1.32/255.255.255.248", "39.49.1.32/29"),
        ("39.49.1.40 255.255.255.248", "39.49.1.40/29"),
        ("39.49.1.48 /29", "39.49.1.48/29"),
        ("39.49.1.56.", "39.49.1.56"),
        (_in_script("39.49.1.60", URDU), "39.49.1.60"),
        (_in_script("39.49.1.60", ARABIC).replace(".", "\u066b"), "39.49.1.60"),
        (_in_script("39.49.1.60", URDU).replace(".", "\u06d4"), "39.49.1.60"),
        (_in_full_width("39.49.1.60"), "39.49.1.60"),
        ("39.49.1.61 39.49.1.61", "39.49.1.61"),
        ("39.49.1.61/32, 39.49.1.61", "39.49.1.61/32"),
        ("2400:1460:1::/48 2400:1460:0001::/48", "2400:1460:1::/48"),
        ("2400:1460:1:: - 2400:1460:1::f", "2400:1460:1::/124"),
        ("'39.49.1.62", "39.49.1.62"),
        ('="39.49.1.62"', "39.49.1.62"),
        ("39.49.1.48 /29, 39.49.1.56 255.255.255.248", "39.49.1.48/29 39.49.1.56/29"),
        ("39.49.1.42/255.255.255.248", "39.49.1.42/29"),
        ("39.49.1.40\n255.255.255.248", "39.49.1.40/29"),
        ("39.49.1.40, 255.255.255.248", "39.49.1.40/29"),
    ],
)
def test_networks_are_taken_as_people_write_them(cell: str, normal: str) -> None:
    assert normal_networks(cell) == normal == normal_networks(normal)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("39.49.1.57/", "write 39.49.1.57 for the single address, or its length, such as 39.49.1.57/29"),
        ("https://39.49.1.58/", "Write the address and not a URL: 39.49.1.58."),
        ("http://[2400:1460:1::1]:8080/x", "Write the address and not a URL: 2400:1460:1::1."),
        ("39.49.1.59:1194", "write 39.49.1.59."),
        ("[2400:1460:1::1]:443", "write 2400:1460:1::1."),
        ("039.049.001.063", "has leading zeros, which some programs read as octal: write 39.49.1.63."),
        ("39.49.1.056/029", "write 39.49.1.56/29."),
        ("39.49.1.1-39.49.1.6", "not one block but 4: write 39.49.1.1 39.49.1.2/31 39.49.1.4/31 39.49.1.6."),
        ("39.49.1.1-6", "not one block but 4: write 39.49.1.1 39.49.1.2/31 39.49.1.4/31 39.49.1.6."),
        ("39.49.1.9-39.49.1.3", "is no range"),
        ("39.49.1.40/0.0.0.7", "0.0.0.7 is a wildcard mask: write 39.49.1.40/29."),
        ("39.49.1.40/255.255.255.100", "255.255.255.100 is no subnet mask"),
        ("39.49.1.42/255.255.255.248", "Write 39.49.1.42 for the single address, or 39.49.1.40/29 for its block."),
        ("39.49.1.*", "Write 39.49.1.0/24."),
        ("39.49.1.1/39.49.1.2", "Write each network by itself: 39.49.1.1 39.49.1.2."),
        ("39.49.1.1, 39.49.1.2", "Write each network by itself: 39.49.1.1 39.49.1.2."),
        ("\u202e39.49.1.1\u202c", "U+202E (right-to-left override) at position 0, and write 39.49.1.1."),
        ("39.49\u200b.1.1", "U+200B (zero width space) at position 5, and write 39.49.1.1."),
        ("39.49.1.16-39.49.1.23", "Write 39.49.1.16/29."),
        ("39.49.1.60\u200b", "Write 39.49.1.60."),
    ],
)
def test_a_network_in_another_form_is_refused_with_the_text_to_write(text: str, says: str) -> None:
    with pytest.raises(NetworkMalformed) as refused:
        parse(text)
    assert says in refused.value.detail


@pytest.mark.parametrize(
    "cell",
    [
        "39.49.1.57/", "https://39.49.1.58/", "39.49.1.59:1194", "039.049.001.063", "39.49.1.1-39.49.1.6",
        "\u202e39.49.1.1", "39.49\u200b.1.1", "39.49. 1.5", "39.49.1.57/ 39.49.1.58", "39.49.1.40/0.0.0.7", "-", "N/A",
        "03001234567", "39.49.1.9-39.49.1.3", "39.49.1.1/39.49.1.2", "39.49.1.16\n- 39.49.1.23", "", " ", "\u200b",
    ],
)  # fmt: skip
def test_what_has_no_single_meaning_stays_as_it_is(cell: str) -> None:
    assert normal_networks(cell) == cell


@pytest.mark.parametrize(
    "text", ["03001234567", "12345-1234567-1", "it@example.pk", "Ayesha Khan", "-", "", "1" * 30_000]
)
def test_there_is_no_advice_on_a_text_of_another_column(text: str) -> None:
    assert advice(text) is None


def test_an_address_with_the_mask_of_its_block_is_refused_with_both_meanings() -> None:
    with pytest.raises(NetworkHostBits, match=r"39\.49\.1\.42/32 or 39\.49\.1\.40/29"):
        parse(normal_networks("39.49.1.42 255.255.255.248"))


@given(st.data(), st.lists(BLOCKS, min_size=1, max_size=4, unique=True), SEPARATORS, WRAPPINGS)
def test_no_writing_of_networks_changes_an_address(
    data: st.DataObject, blocks: list[IPv4Network], separator: str, wrapping: str
) -> None:
    written = separator.join(data.draw(st.sampled_from(_writings(block))) for block in blocks)
    normal = normal_networks(wrapping.format(written))
    assert [*map(ip_network, normal.split(" "))] == blocks
    assert normal_networks(normal) == normal


@given(st.lists(BLOCKS_6, min_size=1, max_size=4, unique=True), SEPARATORS, WRAPPINGS, st.booleans())
def test_no_writing_of_ipv6_networks_changes_an_address(
    blocks: list[IPv6Network],
    separator: str,
    wrapping: str,
    exploded: bool,
) -> None:
    written = separator.join(block.exploded.upper() if exploded else str(block) for block in blocks)
    assert [*map(ip_network, normal_networks(wrapping.format(written)).split(" "))] == blocks


@given(st.integers(1 << 24, (223 << 24) - 1), st.integers(1, 600))
def test_a_range_is_taken_as_a_block_of_the_same_addresses_or_named_by_its_blocks(first: int, count: int) -> None:
    one, other = IPv4Address(first), IPv4Address(min(first + count, 2**32 - 1))
    blocks = [*summarize_address_range(one, other)]
    normal = normal_networks(f"{one} - {other}")
    if len(blocks) == 1:
        assert ip_network(normal) == blocks[0]
    else:
        assert normal == f"{one}-{other}"
        named = (advice(normal) or "").rpartition("write ")[2].rstrip(".").split(" and ")[0].split(" ")
        assert [*map(ip_network, named)] == blocks[:8]


@given(st.text("0123456789.:/-,; \nabf\u200b\u200e'", max_size=60))
def test_a_normal_form_is_its_own_normal_form(cell: str) -> None:
    normal = normal_networks(cell)
    assert normal_networks(normal) == normal
    assert "".join(filter(str.isdecimal, cell)) or not any(map(str.isdecimal, normal))
