"""A part or an aggregation of the list has exactly the addresses that it says."""

import random
from ipaddress import collapse_addresses, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.allowlist.formats import FORMATS, Listing, Selection
from app.allowlist.formats.listing import split
from tests.support.blocks import Block, blocks
from tests.support.feed import addresses, snapshot_of

IPV4 = ["154.192.0.4/31", "154.192.0.6/32", "154.192.0.7/32", "154.192.1.0/25", "154.192.2.0/25", "154.192.2.128/25"]
IPV6 = ["2400:1460::/49", "2400:1460:0:8000::/49"]


def disjoint(drawn: list[Block]) -> list[str]:
    kept: list[Block] = []
    for each in drawn:
        if not any(each.version == other.version and each.overlaps(other) for other in kept):
            kept.append(each)
    return [str(each) for each in kept]


@given(st.lists(blocks, max_size=60).map(disjoint))
def test_aggregation_is_that_of_the_standard_library(networks: list[str]) -> None:
    families = ([ip_network(each) for each in networks if (":" in each) == is_ipv6] for is_ipv6 in (False, True))
    expected = [str(each) for family in families for each in collapse_addresses(family)]  # type: ignore[type-var]  # one family each
    assert list(Listing(snapshot_of(networks), Selection(aggregate=True)).networks) == expected


def test_neighbours_are_merged_only_when_together_they_are_one_network() -> None:
    listing = Listing(snapshot_of(IPV4 + IPV6), Selection(aggregate=True))
    assert list(listing.networks) == ["154.192.0.4/30", "154.192.1.0/25", "154.192.2.0/24", "2400:1460::/48"]
    assert list(listing.of_family(6)) == ["2400:1460::/48"]
    assert Listing(snapshot_of(IPV4 + IPV6), Selection(6, aggregate=True)).networks == ["2400:1460::/48"]


@pytest.mark.parametrize(("count", "most"), [(0, 100), (100, 100), (101, 100), (5_000, 100), (20_000, 5_000)])
def test_parts_have_every_network_once_and_none_more_than_the_most(count: int, most: int) -> None:
    networks = addresses(count)
    parts = split(networks, most)
    assert max(map(len, parts)) <= most
    assert sorted(network for part in parts for network in part) == sorted(networks)
    assert all(part == sorted(part, key=networks.index) for part in parts[:2])
    assert len(parts) == 1 if count <= most else all(parts)


def test_a_network_that_comes_or_goes_changes_one_part_and_moves_no_other_network() -> None:
    networks = addresses(2_000)
    before = split(networks, 500)
    for gone in random.Random(1).sample(networks, 10):
        after = split([each for each in networks if each != gone], 500)
        assert [[each for each in part if each != gone] for part in before] == after


def test_one_part_more_takes_from_all_others_and_they_give_to_no_other() -> None:
    few, many = split(addresses(2_000), 1_000), split(addresses(4_000), 1_000)
    assert len(few) < len(many)
    for number, part in enumerate(many[: len(few)]):
        assert set(part) & set(addresses(2_000)) <= set(few[number])


def test_a_part_after_the_last_is_empty() -> None:
    snapshot = snapshot_of(addresses(300))
    listing = Listing(snapshot, Selection(max=200, part=9))
    assert (list(listing.networks), listing.headers("text")) == (
        [],
        {"Allowlist-Selection": f"part=9, parts={listing.parts}"},
    )


def test_what_was_selected_is_told_in_the_comment_and_in_the_header() -> None:
    snapshot = snapshot_of(addresses(300))
    listing = Listing(snapshot, Selection(4, aggregate=True, max=100))
    assert listing.parts == 1
    assert listing.title.endswith(f"{snapshot.digest} aggregated part 1 of 1")
    assert listing.headers("squid") == {"Allowlist-Selection": "aggregated, part=1, parts=1"}
    first = Listing(snapshot, Selection(4, max=100))
    assert first.headers("squid")["Link"] == '<?format=squid&family=4&max=100&part=2>; rel="next"'
    text = FORMATS["paloalto"].encode(snapshot, Selection(4, max=100))
    assert text.splitlines()[0].endswith(f"part 1 of {first.parts}")
    assert Listing(snapshot, Selection(4)).headers("squid") == {}


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"json", "suricata_categories"}))
def test_an_aggregated_list_names_merged_networks_in_every_format(name: str) -> None:
    text = FORMATS[name].encode(snapshot_of(IPV4 + IPV6), Selection(aggregate=True))
    assert "2400:1460::/48" in text
    assert "/49" not in text
    assert str(ip_address("154.192.2.128")) not in text
