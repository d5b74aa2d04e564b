"""Bounds on mass changes, at their edges and for any sequence of batches."""

from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.allowlist.guards import Change, HeldKind, WindowPublication, effective_removals, find_holds

_ids = count(1)


def changes(number: int, *, in_mass: bool = True, is_released: bool = False) -> list[Change]:
    """A number of changes, each of another network."""
    made = [next(_ids) for _ in range(number)]
    return [Change(id_, f"39.{id_ >> 16 & 255}.{id_ >> 8 & 255}.{id_ & 255}/32", in_mass, is_released) for id_ in made]


def kinds(
    window: Sequence[WindowPublication], added: Sequence[Change] = (), removed: Sequence[Change] = ()
) -> set[HeldKind]:
    return {each.kind for each in find_holds(window, added, removed)}


def window(start: int, *since: tuple[int, int, int]) -> list[WindowPublication]:
    """A window that begins with ``start`` networks; then count, added and removed of each publication."""
    return [WindowPublication(start, 0, 0), *(WindowPublication(*each) for each in since)]


@pytest.mark.parametrize(
    ("in_force", "most"),
    [(0, 10), (10, 10), (999, 10), (1_000, 10), (1_099, 10), (1_100, 11), (5_700, 57), (20_437, 204), (10**6, 10**4)],
)
def test_ten_or_one_percent_may_leave_at_once_and_not_one_more(in_force: int, most: int) -> None:
    assert kinds(window(in_force), removed=changes(most)) == set()
    (hold,) = find_holds(window(in_force), [], removed := changes(most + 1))
    assert (hold.kind, hold.in_window, hold.bound) == (HeldKind.REMOVAL, most + 1, most)
    assert isinstance(hold.bound, int)
    assert hold.entry_ids == [each.entry_id for each in removed]


@pytest.mark.parametrize(
    ("removed_before", "single", "mass", "is_held"),
    [
        ((), 0, 10, False),
        ((), 10, 1, True),  # single decisions count
        ((), 11, 0, False),  # and are never held
        ((5, 5), 0, 1, True),
        ((5, 4), 0, 1, False),
        ((4, 4), 1, 1, False),
        ((4, 4), 2, 1, True),
        ((11,), 5, 0, False),
        ((11,), 0, 1, True),
    ],
)
def test_removals_of_the_window_count_together(
    removed_before: tuple[int, ...], single: int, mass: int, is_held: bool
) -> None:
    past = window(500, *((500, 0, removed) for removed in removed_before))
    held = find_holds(past, [], [*changes(single, in_mass=False), *(batch := changes(mass))])
    assert [each.entry_ids for each in held] == ([[each.entry_id for each in batch]] if is_held else [])


def test_the_bound_is_that_of_the_list_at_the_beginning_of_the_window() -> None:
    assert kinds(window(2_000, (1_985, 0, 15)), removed=changes(5)) == set()
    assert kinds(window(2_000, (90_000, 88_000, 0)), removed=changes(21)) == {HeldKind.REMOVAL}
    # what was removed before the window's beginning is no part of it
    assert kinds([WindowPublication(2_000, 0, 500)], removed=changes(20)) == set()


def test_released_changes_are_not_counted_and_not_held_again() -> None:
    released = changes(500, is_released=True)
    assert kinds(window(1_000), removed=released) == set()
    assert kinds(window(1_000), removed=[*released, *changes(10)]) == set()
    (hold,) = find_holds(window(1_000), [], [*released, *(fresh := changes(11))])
    assert hold.entry_ids == [each.entry_id for each in fresh]
    # one that an officer released goes out, whatever holds the others that come with it
    (hold,) = find_holds(window(1_000), [*changes(500, in_mass=False), *(late := changes(1)), *released[:1]], [])
    assert hold.entry_ids == [each.entry_id for each in late]
    assert kinds(window(1_000), added=changes(5_000, is_released=True)) == set()
    assert kinds(window(1_000), added=[*changes(500, is_released=True), *changes(501)]) == {HeldKind.GROWTH}


@pytest.mark.parametrize(
    ("past", "single", "mass", "is_held"),
    [
        (window(0), 0, 100_000, False),
        (window(999), 0, 100_000, False),
        (window(1_000), 0, 500, False),
        (window(1_000), 0, 501, True),
        (window(1_000), 500, 1, True),
        (window(1_000), 501, 0, False),
        (window(1_001), 0, 500, False),
        (window(1_001), 0, 501, True),
        (window(1_000, (1_300, 300, 0)), 0, 200, False),
        (window(1_000, (1_300, 300, 0)), 0, 201, True),
        (window(1_000, (1_300, 300, 0), (1_000, 0, 300)), 0, 201, True),
        # from the first list of 1,000 on
        (window(0, (999, 999, 0)), 0, 100_000, False),
        (window(0, (999, 999, 0), (1_000, 1, 0)), 0, 500, False),
        (window(0, (999, 999, 0), (1_000, 1, 0)), 0, 501, True),
        (window(0, (20_000, 20_000, 0)), 0, 10_000, False),
        (window(0, (20_000, 20_000, 0), (25_000, 5_000, 0)), 0, 5_001, True),
    ],
)
def test_a_list_of_a_thousand_may_grow_by_half_in_the_window(
    past: list[WindowPublication], single: int, mass: int, is_held: bool
) -> None:
    held = find_holds(past, [*changes(single, in_mass=False), *(batch := changes(mass))], [])
    assert [(each.kind, each.entry_ids) for each in held] == (
        [(HeldKind.GROWTH, [each.entry_id for each in batch])] if is_held else []
    )


def test_half_of_an_odd_number_is_rounded_down_in_the_bound_that_is_shown() -> None:
    (hold,) = find_holds(window(1_001), changes(501), [])
    assert (hold.in_window, hold.bound) == (501, 500)


@pytest.mark.parametrize(
    ("removed", "added", "is_lost"),
    [
        ("8.8.0.0/24", [], True),
        ("8.8.0.0/24", ["8.8.0.0/24"], False),
        ("8.8.0.0/24", ["8.8.0.0/25", "8.8.0.128/25"], False),
        ("8.8.0.0/24", ["8.8.0.128/25", "8.8.0.0/26", "8.8.0.64/26"], False),
        ("8.8.0.0/24", ["8.8.0.0/25"], True),
        ("8.8.0.0/24", ["8.8.0.0/25", "8.8.0.129/32"], True),
        ("8.8.0.0/24", ["8.8.0.128/25", "8.8.1.0/25"], True),
        ("8.8.0.0/24", ["8.8.1.0/24"], True),
        ("8.8.0.5/32", ["8.8.0.0/24"], False),
        ("8.8.0.0/32", ["8.8.0.1/32"], True),
        ("8.8.0.0/30", ["8.8.0.0/32", "8.8.0.2/31"], True),  # but one address
        ("255.255.255.255/32", ["::/1"], True),
        ("2400:1460::/32", ["2400:1460::/33", "2400:1460:8000::/33"], False),
        ("2400:1460::/32", ["2400:1460::/33"], True),
    ],
)
def test_a_removal_that_the_same_serial_covers_takes_nothing_away(
    removed: str, added: list[str], is_lost: bool
) -> None:
    change = Change(1, removed, in_mass=True, is_released=False)
    assert effective_removals([change], added) == ([change] if is_lost else [])


def test_a_network_split_in_halves_is_no_removal_unless_the_halves_are_held() -> None:
    wide = [Change(next(_ids), f"8.8.{n}.0/24", in_mass=True, is_released=False) for n in range(200)]
    halves = [
        Change(next(_ids), f"8.8.{n}.{low}/25", in_mass=True, is_released=False) for n in range(200) for low in (0, 128)
    ]
    assert find_holds(window(1_000), halves, wide) == []
    more = changes(101)  # too many to be added: the removals are no longer covered, and wait with them
    growth, removal = find_holds(window(1_000), [*halves, *more], wide)
    assert len(growth.entry_ids) == 501
    assert removal.entry_ids == [each.entry_id for each in wide]
    # a removal that is not covered waits; one that is covered goes out with what covers it
    bare = changes(11)
    (removal,) = find_holds(window(1_000), halves, [*wide, *bare])
    assert removal.entry_ids == [each.entry_id for each in bare]


SECONDS = 3_600
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 30, 600, 1_799, 3_599, 3_600, 3_601]),  # seconds since the step before
        st.integers(0, 25),  # removed by batches, however many those are
        st.integers(0, 4),  # removed by single decisions
        st.integers(0, 700),  # added by batches
        st.integers(0, 30),  # added by single decisions
    ),
    max_size=30,
)


@given(st.sampled_from([0, 11, 998, 1_000, 1_050, 2_300]), STEPS)
def test_no_sequence_of_batches_changes_more_in_a_window_than_its_bound_without_a_hold(
    start: int, steps: list[tuple[int, int, int, int, int]]
) -> None:
    log = [(0, WindowPublication(start, 0, 0))]  # when each was published
    now = SECONDS + 1
    for pause, batch_out, single_out, batch_in, single_in in steps:
        now += pause
        begins = max(at for at, (when, _) in enumerate(log) if when <= now - SECONDS)
        past = [each for _, each in log[begins:]]
        removed = [*changes(single_out, in_mass=False), *changes(batch_out)]
        added = [*changes(single_in, in_mass=False), *changes(batch_in)]
        held = {id_ for each in find_holds(past, added, removed) for id_ in each.entry_ids}
        out = [each for each in removed if each.entry_id not in held]
        came = [each for each in added if each.entry_id not in held]
        assert {each.entry_id for each in (*removed, *added) if not each.in_mass}.isdisjoint(held)
        length = log[-1][1].count + len(came) - len(out)
        log.append((now, WindowPublication(length, len(came), len(out))))

        within = [each for when, each in log[1:] if now - SECONDS < when <= now]
        if any(each.in_mass for each in out):
            gone = sum(each.removed for each in within)
            assert gone <= 10 or 100 * gone <= log[begins][1].count
        watched = [at for at, (_, each) in enumerate(log[:-1]) if at >= begins and each.count >= 1_000]
        if any(each.in_mass for each in came) and watched:
            grown = sum(each.added for _, each in log[watched[0] + 1 :])
            assert 2 * grown <= log[watched[0]][1].count
