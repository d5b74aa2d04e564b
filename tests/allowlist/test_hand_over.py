"""A hand-over leaves no address of both cases off the list at any serial, and its networks never overlap."""

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from app.allowlist.hand_over import HandOver, plan
from app.core.validation.networks import parse_canonical

# Networks of a block of 16 addresses, which nest in many ways.
NETWORKS = [f"203.99.50.{start}/{length}" for length in range(28, 33) for start in range(0, 16, 2 ** (32 - length))]


def _addresses(networks: Collection[str]) -> set[int]:
    return {each for text in networks for each in range(parse_canonical(text).first, parse_canonical(text).last + 1)}


def _are_disjoint(networks: Collection[str]) -> bool:
    sizes = [parse_canonical(each).last - parse_canonical(each).first + 1 for each in networks]
    return sum(sizes) == len(_addresses(networks))


disjoint = st.lists(st.sampled_from(NETWORKS), unique=True, max_size=6).filter(_are_disjoint)
hours = st.sampled_from([0, 1, 168])


def serials(old: Collection[str], planned: HandOver) -> list[set[str]]:
    """The networks of both cases on the list before, after the approval, and after the end of the hand-over."""
    at_once = set(old) - set(planned.withdrawn) | set(planned.granted)
    return [set(old), at_once, at_once - set(planned.leaving) | set(planned.waiting)]


@given(disjoint, disjoint, hours)
def test_no_address_of_both_is_ever_off_and_networks_never_overlap(old: list[str], new: list[str], given: int) -> None:
    both = _addresses(old) & _addresses(new)
    for networks in serials(old, plan(old, new, given)):
        assert both <= _addresses(networks)
        assert _are_disjoint(networks)


@given(disjoint, disjoint, hours)
def test_in_the_end_exactly_the_new_networks_are_granted(old: list[str], new: list[str], given: int) -> None:
    planned = plan(old, new, given)
    assert serials(old, planned)[-1] == set(new)
    assert set(planned.kept) == set(old) & set(new)
    if given == 0:
        assert not planned.leaving
        assert not planned.waiting


@given(disjoint, disjoint, st.integers(1, 168))
def test_old_addresses_stay_for_the_hand_over(old: list[str], new: list[str], given: int) -> None:
    assert _addresses(old) <= _addresses(serials(old, plan(old, new, given))[1])


def test_the_wider_old_one_stays_and_the_wider_new_one_comes_at_once() -> None:
    planned = plan(["203.99.50.0/29", "203.99.50.8/30", "203.99.50.12/32"], ["203.99.50.0/30", "203.99.50.8/29"], 24)
    assert planned == HandOver(
        kept=[],
        granted=["203.99.50.8/29"],
        withdrawn=["203.99.50.8/30", "203.99.50.12/32"],
        leaving=["203.99.50.0/29"],
        waiting=["203.99.50.0/30"],
    )
