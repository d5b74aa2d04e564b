"""What is held back as new has never come before; most of what is new is held back."""

from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.ingestion.bloom_filter import BloomFilter

MANY = 100_000


@given(st.lists(st.sets(st.integers(0, 50).map(str), max_size=10), max_size=10))
def test_a_reference_that_came_before_is_always_let_through(chunks: list[set[str]]) -> None:
    sieve, came = BloomFilter(is_first=True), set[str]()
    for chunk in chunks:
        assert came & chunk <= set(sieve.may_repeat(chunk))
        came |= chunk


def test_all_are_let_through_when_others_may_have_come_before_it_was_there() -> None:
    assert BloomFilter(is_first=False).may_repeat(["a", "b"]) == ["a", "b"]


def test_of_a_hundred_thousand_new_references_few_are_let_through() -> None:
    assert len(BloomFilter(is_first=True).may_repeat(map(str, range(MANY)))) < MANY / 50
