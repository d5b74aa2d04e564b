"""The Bloom filter has no false negatives and few false positives."""

from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.ingestion.bloom_filter import BloomFilter

MANY = 100_000


@given(st.lists(st.sets(st.integers(0, 50).map(str), max_size=10), max_size=10))
def test_a_repeated_reference_is_always_returned(chunks: list[set[str]]) -> None:
    bloom, added = BloomFilter(is_empty=True), set[str]()
    for chunk in chunks:
        assert added & chunk <= set(bloom.possible_repeats(chunk))
        added |= chunk


def test_every_reference_is_returned_when_earlier_ones_are_not_known() -> None:
    assert BloomFilter(is_empty=False).possible_repeats(["a", "b"]) == ["a", "b"]


def test_of_a_hundred_thousand_new_references_few_are_returned() -> None:
    assert len(BloomFilter(is_empty=True).possible_repeats(map(str, range(MANY)))) < MANY / 50
