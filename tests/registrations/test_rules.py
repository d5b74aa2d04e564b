"""Properties of the rules: transitions, fields of tracks, overlaps and rounds of items."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.validation import networks
from app.core.validation.schemas import REFUSED
from app.registrations.rules import (
    TRACKS,
    AcceptedNetworks,
    Status,
    Track,
    Transition,
    block_of,
    missing_for_track,
    next_status,
    overlapping_items,
    overlaps_within,
    rounds,
)
from tests.support.blocks import Block, blocks, overlap, without_overlaps

# The diagram of docs/lifecycle.md, arrow by arrow.
DIAGRAM = {
    ("submitted", "claim"): "in_review",
    ("in_review", "unclaim"): "submitted",
    ("submitted", "approve"): "approved",
    ("in_review", "approve"): "approved",
    ("submitted", "request_information"): "information_requested",
    ("in_review", "request_information"): "information_requested",
    ("submitted", "reject"): "rejected",
    ("in_review", "reject"): "rejected",
    ("information_requested", "submit"): "submitted",
    ("rejected", "submit"): "submitted",
    ("approved", "suspend"): "suspended",
    ("suspended", "reinstate"): "approved",
    ("approved", "revoke"): "revoked",
    ("suspended", "revoke"): "revoked",
    ("approved", "lapse"): "lapsed",
    ("approved", "expire"): "expired",
    ("approved", "extend"): "approved",
    ("approved", "supersede"): "superseded",
    ("approved", "surrender"): "surrendered",
    ("lapsed", "suspend"): "suspended",
    ("lapsed", "revoke"): "revoked",
    ("lapsed", "expire"): "expired",
    ("lapsed", "extend"): "approved",
    ("lapsed", "supersede"): "superseded",
    ("lapsed", "surrender"): "surrendered",
    ("expired", "supersede"): "superseded",
    ("expired", "extend"): "approved",
    ("submitted", "withdraw"): "withdrawn",
    ("in_review", "withdraw"): "withdrawn",
    ("information_requested", "withdraw"): "withdrawn",
    ("rejected", "withdraw"): "withdrawn",
}


def test_the_transitions_are_those_of_the_diagram() -> None:
    transitions = {
        (status.value, transition.value): target.value
        for status, transition in product(Status, Transition)
        if (target := next_status(status, transition))
    }
    assert transitions == DIAGRAM


@given(st.text(max_size=20).filter(lambda text: text not in set(Status)), st.sampled_from(Transition))
def test_no_transition_leads_from_an_unknown_status(status: str, transition: Transition) -> None:
    assert next_status(status, transition) is None


@pytest.mark.parametrize("track", Track)
def test_a_track_requires_exactly_the_fields_that_it_lists(track: Track) -> None:
    needed = TRACKS[track].required
    missing = [error.pointer for error in missing_for_track({"track": track})]
    assert missing == [f"/{name}" for name in needed if name != "track"]
    for error in missing_for_track({"track": track}):
        assert f"{track} needs {error.pointer[1:]}" in error.detail
    assert list(missing_for_track(dict.fromkeys(needed, "given") | {"track": track})) == []


@pytest.mark.parametrize("track", ["vpn_other", None, 7, REFUSED])
def test_an_unknown_track_requires_nothing(track: object) -> None:
    assert list(missing_for_track({"track": track})) == []


@given(st.lists(blocks, max_size=12))
@settings(deadline=None)
def test_a_network_that_overlaps_an_earlier_one_of_its_item_is_named_and_no_other(found: list[Block]) -> None:
    texts = [str(block) for block in found]
    named = {error.pointer for error in overlaps_within({"networks": texts})}
    expected = {
        f"/networks/{index}" for index, text in enumerate(texts) if any(overlap(text, other) for other in texts[:index])
    }
    assert named == expected


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=20)), max_size=5))
def test_malformed_networks_overlap_nothing(junk: list[object]) -> None:
    assert list(overlaps_within({"networks": [*junk, "203.99.160.5"]})) == []
    assert list(overlaps_within({"networks": junk[:1] and junk[0]})) == []


def test_what_is_no_network_hides_no_overlap_behind_it() -> None:
    (error,) = overlaps_within({"networks": ["203.99.160.5", 7, "junk", "203.99.160.0/29"]})
    assert (error.pointer, error.code) == ("/networks/3", "network_overlap")
    assert "203.99.160.0/29 overlaps 203.99.160.5/32" in error.detail


@pytest.mark.parametrize(
    ("block", "next_block"),
    [("203.99.160.0/24", "203.99.161.0/24"), ("2400:1460:1::/48", "2400:1460:2::/48"), ("::/48", "0:0:1::/48")],
)
def test_a_block_is_the_24_or_48_around_a_network_from_its_first_address_to_its_last(
    block: str, next_block: str
) -> None:
    whole = networks.parse_canonical(block)
    assert block_of(whole) == block_of(whole._replace(first=whole.last))
    assert block_of(whole) + 1 == block_of(networks.parse_canonical(next_block))


@given(blocks, blocks)
def test_networks_that_overlap_have_one_block(one: Block, other: Block) -> None:
    spans = [networks.parse_canonical(str(each)) for each in (one, other)]
    if overlap(str(one), str(other)):
        assert block_of(spans[0]) == block_of(spans[1])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(blocks, min_size=1, max_size=4)), max_size=20))
@settings(deadline=None)
def test_accepted_networks_find_what_a_comparison_of_every_pair_finds(items: list[tuple[str, list[Block]]]) -> None:
    accepted = AcceptedNetworks()
    by_subject: dict[str, list[str]] = {"a": [], "b": []}
    for subject, found in items:
        texts = without_overlaps(found)
        given_networks = [networks.parse_canonical(text) for text in texts]
        expected = [index for index, text in enumerate(texts) if any(overlap(text, one) for one in by_subject[subject])]
        assert accepted.overlapping(subject, given_networks) == expected
        if not expected:
            accepted.add(subject, given_networks)
            by_subject[subject] += texts


@given(st.lists(st.lists(blocks, min_size=1, max_size=3), max_size=10))
def test_overlapping_items_are_those_that_a_comparison_of_every_pair_finds(items: list[list[Block]]) -> None:
    listed = [without_overlaps(found) for found in items]
    expected = {
        i
        for (i, mine), (j, theirs) in product(enumerate(listed), repeat=2)
        if i != j and any(overlap(one, other) for one in mine for other in theirs)
    }
    assert (
        overlapping_items((networks.parse_canonical(text), i) for i, texts in enumerate(listed) for text in texts)
        == expected
    )


def test_an_item_whose_own_networks_overlap_touches_no_other_item() -> None:
    own = [(networks.parse_canonical(text), 0) for text in ("203.99.160.0/24", "203.99.160.9/32")]
    assert overlapping_items([*own, (networks.parse_canonical("203.99.161.0/24"), 1)]) == set()


@given(st.lists(st.none() | st.sampled_from("abc")))
def test_items_with_one_reference_are_in_successive_rounds_in_their_order(references: list[str | None]) -> None:
    found = rounds(references)
    assert sorted(place for each in found for place in each) == list(range(len(references)))
    assert all(found)
    for each in found:
        named = [references[place] for place in each if references[place]]
        assert len(named) == len(set(named))
        assert each == sorted(each)
    round_of = {place: number for number, each in enumerate(found) for place in each}
    for reference in set(references) - {None}:
        numbers = [round_of[place] for place, each in enumerate(references) if each == reference]
        assert numbers == list(range(len(numbers)))
    assert all(round_of[place] == 0 for place, each in enumerate(references) if each is None)
