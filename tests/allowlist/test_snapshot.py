"""Properties of the snapshot: what it holds, proves and finds, and what it refuses to be."""

import hashlib
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.allowlist.snapshot import NotASnapshot, Snapshot
from app.core.networks import position
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
def test_entries_that_overlap_are_no_snapshot(texts: list[str], block: Block) -> None:
    assume(any(overlap(str(block), text) for text in texts))
    with pytest.raises(NotASnapshot, match=r" overlap$"):
        snapshot([str(block), *texts])
    with pytest.raises(NotASnapshot, match=r" overlap$"):
        snapshot(texts).replay(2, None, ["1.1.1.1/32", str(block), "3000::/48"], [])


@given(lists, blocks)
@settings(deadline=None)
def test_a_delta_that_removes_what_is_not_there_or_twice_does_not_fit(texts: list[str], block: Block) -> None:
    assume(str(block) not in texts)
    with pytest.raises(NotASnapshot, match=f"^{block} "):
        snapshot(texts).replay(2, None, [], [str(block)])
    for text in texts[:1]:
        with pytest.raises(NotASnapshot, match=f"^{text} "):
            snapshot(texts).replay(2, None, [], [text, text])


@given(lists, st.permutations(range(20)))
@settings(deadline=None)
def test_it_is_in_order_of_family_address_and_length_however_it_was_put_together(
    texts: list[str], order: list[int]
) -> None:
    shuffled = [texts[index] for index in order if index < len(texts)]
    made = snapshot(shuffled)
    assert list(made.networks) == by_address(texts)
    assert made.count == len(texts)
    for family in (4, 6):
        assert list(made.of_family(family)) == [text for text in made.networks if (":" in text) == (family == 6)]


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
    assert made.serials == {serial for _, serial in entries}


@given(lists, st.data())
@settings(deadline=None)
def test_a_delta_replayed_gives_the_snapshot_that_was_taken_directly(texts: list[str], data: st.DataObject) -> None:
    before = data.draw(st.lists(st.sampled_from(texts), unique=True)) if texts else []
    kept = data.draw(st.lists(st.sampled_from(before), unique=True)) if before else []
    after = kept + [text for text in texts if text not in before]
    added, removed = [text for text in after if text not in before], [text for text in before if text not in kept]
    replayed, direct = snapshot(before).replay(2, NOW, added, removed), snapshot(after, 2)
    assert replayed.networks == direct.networks
    assert replayed.version == (SESSION, 2, NOW, direct.digest)
    for text in after:
        held = replayed.find(position(ip_network(text)[0]))
        assert held is not None
        assert (held.network, held.since_serial) == (text, 1 if text in kept else 2)


@given(lists, addresses)
@settings(deadline=None)
def test_it_finds_the_network_that_a_search_of_all_of_them_finds(texts: list[str], address: object) -> None:
    expected = next((text for text in texts if address in ip_network(text)), None)
    found = snapshot(texts).find(position(address))  # type: ignore[arg-type]  # an address of either version
    assert (found.network if found else None) == expected
