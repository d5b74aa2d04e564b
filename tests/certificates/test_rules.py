"""Sizes and values of the status list, the digest of networks, and the end of a certificate."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.certificates.rules import (
    BLOCK,
    encode_statuses,
    list_size,
    networks_digest,
    pack_statuses,
    size_with,
    valid_until,
)
from tests.support.certificates import unpacked

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@given(st.lists(st.integers(0, 10_000_000), min_size=2))
def test_the_list_grows_in_blocks_and_half_of_it_is_always_free(draws: list[int]) -> None:
    for count in draws:
        assert list_size(count) % BLOCK == 0
        assert 2 * count < list_size(count) <= 2 * count + BLOCK
    assert all(list_size(fewer) <= list_size(more) for fewer, more in pairwise(sorted(draws)))


@given(st.integers(-1, 10_000_000))
def test_a_list_of_whole_blocks_has_a_place_for_its_largest_index(largest: int) -> None:
    assert size_with(largest) - BLOCK <= largest < size_with(largest) or largest == -1
    assert size_with(largest) % BLOCK == 0
    assert size_with(largest) >= BLOCK


@given(st.dictionaries(st.integers(0, BLOCK - 1), st.sampled_from([1, 2]), max_size=50))
def test_every_status_is_found_at_its_index_and_all_others_are_valid(statuses: dict[int, int]) -> None:
    packed = unpacked(encode_statuses(pack_statuses(BLOCK, statuses.items())))
    assert len(packed) == BLOCK // 4
    found = {place: packed[place // 4] >> place % 4 * 2 & 3 for place in range(BLOCK)}
    assert {place: value for place, value in found.items() if value} == statuses


def test_the_bits_are_in_the_order_of_the_specifications_example() -> None:
    example = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    assert pack_statuses(12, enumerate(example)) == bytes.fromhex("c944f9")


def test_the_digest_of_networks_does_not_depend_on_their_order() -> None:
    assert networks_digest(["203.99.50.10/32", "101.50.64.1/32"]) == networks_digest(
        ["101.50.64.1/32", "203.99.50.10/32"]
    )
    assert networks_digest(["203.99.50.10/32"]) != networks_digest(["203.99.50.1/32", "0/32"])


def test_a_certificate_lasts_as_long_as_the_approval_and_past_it_a_day_at_a_time() -> None:
    assert valid_until(NOW + timedelta(days=300), NOW) == NOW + timedelta(days=300)
    assert valid_until(NOW, NOW) == valid_until(None, NOW) == NOW + timedelta(days=1)
