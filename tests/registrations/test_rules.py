"""Properties of the rules: the legal moves, the networks of one item, the ledger of a batch."""

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

# The picture of the contract, arrow by arrow.
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
    ("approved", "expire"): "expired",
    ("submitted", "withdraw"): "withdrawn",
    ("in_review", "withdraw"): "withdrawn",
    ("information_requested", "withdraw"): "withdrawn",
    ("rejected", "withdraw"): "withdrawn",
}


def test_a_case_moves_along_the_arrows_of_the_picture_and_no_others() -> None:
    transitions = {
        (status.value, transition.value): target.value
        for status, transition in product(Status, Transition)
        if (target := next_status(status, transition))
    }
    assert transitions == DIAGRAM


@given(st.text(max_size=20).filter(lambda text: text not in set(Status)), st.sampled_from(Transition))
def test_nothing_leads_out_of_a_status_that_there_is_not(status: str, transition: Transition) -> None:
    assert next_status(status, transition) is None


@pytest.mark.parametrize("track", Track)
def test_a_track_asks_for_exactly_what_it_lists(track: Track) -> None:
    needed = TRACKS[track].required
    missing = [error.pointer for error in missing_for_track({"track": track})]
    assert missing == [f"/{name}" for name in needed if name != "track"]
    assert list(missing_for_track(dict.fromkeys(needed, "given") | {"track": track})) == []


@pytest.mark.parametrize("track", ["vpn_other", None, 7, REFUSED])
def test_what_is_no_track_asks_for_nothing(track: object) -> None:
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
def test_what_is_no_network_overlaps_nothing(junk: list[object]) -> None:
    assert list(overlaps_within({"networks": [*junk, "203.99.160.5"]})) == []
    assert list(overlaps_within({"networks": junk[:1] and junk[0]})) == []


@given(blocks, blocks)
def test_networks_that_overlap_have_one_block(one: Block, other: Block) -> None:
    spans = [networks.span(str(each)) for each in (one, other)]
    if overlap(str(one), str(other)):
        assert block_of(spans[0]) == block_of(spans[1])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(blocks, min_size=1, max_size=4)), max_size=20))
@settings(deadline=None)
def test_the_ledger_finds_what_a_comparison_of_every_pair_finds(items: list[tuple[str, list[Block]]]) -> None:
    ledger = AcceptedNetworks()
    held: dict[str, list[str]] = {"a": [], "b": []}
    for subject, found in items:
        texts = without_overlaps(found)
        asked = [networks.span(text) for text in texts]
        expected = [index for index, text in enumerate(texts) if any(overlap(text, one) for one in held[subject])]
        assert ledger.overlapping(subject, asked) == expected
        if not expected:
            ledger.add(subject, asked)
            held[subject] += texts


@given(st.lists(st.lists(blocks, min_size=1, max_size=3), max_size=10))
def test_items_that_touch_one_another_are_those_that_a_comparison_of_every_pair_finds(items: list[list[Block]]) -> None:
    listed = [without_overlaps(found) for found in items]
    expected = {
        i
        for (i, mine), (j, theirs) in product(enumerate(listed), repeat=2)
        if i != j and any(overlap(one, other) for one in mine for other in theirs)
    }
    assert overlapping_items((networks.span(text), i) for i, texts in enumerate(listed) for text in texts) == expected


@given(st.lists(st.none() | st.sampled_from("abc")))
def test_items_of_one_reference_follow_one_another_in_their_order(references: list[str | None]) -> None:
    found = rounds(references)
    assert sorted(place for wave in found for place in wave) == list(range(len(references)))
    assert all(found)
    for wave in found:
        named = [references[place] for place in wave if references[place]]
        assert len(named) == len(set(named))
        assert wave == sorted(wave)
    turn_of = {place: turn for turn, wave in enumerate(found) for place in wave}
    for reference in set(references) - {None}:
        turns = [turn_of[place] for place, each in enumerate(references) if each == reference]
        assert turns == list(range(len(turns)))
    assert all(turn_of[place] == 0 for place, each in enumerate(references) if each is None)
