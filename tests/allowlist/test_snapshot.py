"""Properties of the snapshot: order, digest, deltas, lookups, and invalid lists."""

import hashlib
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.allowlist.snapshot import InvalidSnapshot, Snapshot
from app.core.validation.networks import to_integer
from tests.support.blocks import SPACE_IPV4, SPACE_IPV6, Block, blocks, overlap, without_overlaps

SESSION = UUID(int=1)
NOW = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
lists = st.lists(blocks, max_size=20).map(without_overlaps)
addresses = st.one_of(
    st.integers(SPACE_IPV4 - 1, SPACE_IPV4 + 256).map(ip_address),
    st.tuples(st.integers(-1, 256), st.integers(0, 3)).map(lambda at: ip_address(SPACE_IPV6 + (at[0] << 72) + at[1])),
)


def snapshot(texts: list[str], serial: int = 1) -> Snapshot:
    return Snapshot(SESSION, serial, None, [(text, serial) for text in texts])


def by_address(texts: list[str]) -> list[str]:
    blocks_ = [ip_network(text) for text in texts]
    return [str(block) for block in sorted(blocks_, key=lambda each: (each.version, int(each[0]), each.prefixlen))]


@given(lists, blocks)
@settings(deadline=None)
def test_overlapping_entries_are_an_invalid_snapshot(texts: list[str], block: Block) -> None:
    assume(any(overlap(str(block), text) for text in texts))
    with pytest.raises(InvalidSnapshot, match=r" overlap$"):
        snapshot([str(block), *texts])
    with pytest.raises(InvalidSnapshot, match=r" overlap$"):
        snapshot(texts).apply_delta(2, None, ["1.1.1.1/32", str(block), "3000::/48"], [])


@given(lists, blocks)
@settings(deadline=None)
def test_a_delta_that_removes_an_unlisted_network_or_one_twice_does_not_apply(texts: list[str], block: Block) -> None:
    assume(str(block) not in texts)
    with pytest.raises(InvalidSnapshot, match=f"^{block} "):
        snapshot(texts).apply_delta(2, None, [], [str(block)])
    for text in texts[:1]:
        with pytest.raises(InvalidSnapshot, match=f"^{text} "):
            snapshot(texts).apply_delta(2, None, [], [text, text])


@given(lists, st.permutations(range(20)))
@settings(deadline=None)
def test_networks_are_sorted_by_family_address_and_length_whatever_the_order_of_the_entries(
    texts: list[str], order: list[int]
) -> None:
    shuffled = [texts[index] for index in order if index < len(texts)]
    made = snapshot(shuffled)
    assert list(made.networks) == by_address(texts)
    assert made.count == len(texts)
    for family in (4, 6):
        assert list(made.networks_of_family(family)) == [
            text for text in made.networks if (":" in text) == (family == 6)
        ]


@given(lists)
@settings(deadline=None)
def test_its_digest_is_sha_256_of_its_canonical_text(texts: list[str]) -> None:
    canonical = "".join(f"{text}\n" for text in by_address(texts)).encode()
    made = snapshot(texts)
    assert (made.canonical, made.digest) == (canonical, hashlib.sha256(canonical).hexdigest())


@given(lists)
@settings(deadline=None)
def test_its_version_is_its_session_serial_time_and_digest_and_its_serials_those_of_its_networks(
    texts: list[str],
) -> None:
    entries = [(text, serial) for serial, text in enumerate(texts, 3)]
    made = Snapshot(SESSION, 40, NOW, entries)
    assert made.version == (SESSION, 40, NOW, made.digest)
    assert made.added_serials == {serial for _, serial in entries}


@given(lists, st.data())
@settings(deadline=None)
def test_applying_a_delta_gives_the_same_snapshot_as_building_it_from_entries(
    texts: list[str], data: st.DataObject
) -> None:
    before = data.draw(st.lists(st.sampled_from(texts), unique=True)) if texts else []
    kept = data.draw(st.lists(st.sampled_from(before), unique=True)) if before else []
    after = kept + [text for text in texts if text not in before]
    added, removed = [text for text in after if text not in before], [text for text in before if text not in kept]
    replayed, direct = snapshot(before).apply_delta(2, NOW, added, removed), snapshot(after, 2)
    assert replayed.networks == direct.networks
    assert replayed.version == (SESSION, 2, NOW, direct.digest)
    for text in after:
        held = replayed.find(to_integer(ip_network(text)[0]))
        assert held is not None
        assert (held.network, held.since_serial) == (text, 1 if text in kept else 2)


@given(lists, addresses)
@settings(deadline=None)
def test_a_lookup_finds_the_network_that_a_linear_search_finds(texts: list[str], address: object) -> None:
    expected = next((text for text in texts if address in ip_network(text)), None)
    found = snapshot(texts).find(to_integer(address))  # type: ignore[arg-type]  # an address of either version
    assert (found.network if found else None) == expected
