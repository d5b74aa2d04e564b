"""Bounds on mass changes: the changes that a window may have without a second officer. Pure functions of values.

A change that a person decided singly counts and is never held. Batches, expiry and imports are held when the changes of
the window, including theirs, exceed the bound, so that splitting a mass change gains nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from app.core.validation.networks import overlapping, parse_canonical

WINDOW = timedelta(hours=1)
MIN_REMOVAL_BOUND = 10
REMOVAL_PERCENT = 1
GROWTH_PERCENT = 50
GROWTH_BOUND_FROM = 1_000


class HeldKind(StrEnum):
    """Kind of a change that is held until another officer releases it."""

    REMOVAL = "removal"
    GROWTH = "growth"


class Change(NamedTuple):
    """A network that a publication would add or remove; ``in_mass`` unless a person decided it singly."""

    entry_id: int
    network: str
    in_mass: bool
    is_released: bool

    @property
    def may_be_held(self) -> bool:
        """True for a mass change that no officer has released."""
        return self.in_mass and not self.is_released


@dataclass(frozen=True, slots=True)
class WindowPublication:
    """A publication in the window: the networks in force after it, and its changes that the bounds count."""

    count: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Changes to hold: with them, the window would have ``in_window`` changes, more than ``bound``."""

    kind: HeldKind
    entry_ids: Sequence[int]
    in_window: int
    bound: int


def find_holds(window: Sequence[WindowPublication], added: Sequence[Change], removed: Sequence[Change]) -> list[Hold]:
    """Return the mass changes of the next publication that must wait for another officer.

    ``window`` begins with the last publication before the window; those within it follow.
    """
    growth = _check_growth(window, added)
    held = set(growth.entry_ids) if growth else set()
    published = [each.network for each in added if each.entry_id not in held]
    removal = _check_removals(window, effective_removals(removed, published))
    return [each for each in (growth, removal) if each]


def _check_growth(window: Sequence[WindowPublication], added: Sequence[Change]) -> Hold | None:
    """Bound growth relative to the first list of the window with ``GROWTH_BOUND_FROM`` networks."""
    base = next((index for index, each in enumerate(window) if each.count >= GROWTH_BOUND_FROM), None)
    if base is None:
        return None
    in_window = sum(each.added for each in window[base + 1 :]) + sum(not each.is_released for each in added)
    return _hold_above(HeldKind.GROWTH, added, in_window, window[base].count * GROWTH_PERCENT // 100)


def _check_removals(window: Sequence[WindowPublication], removed: Sequence[Change]) -> Hold | None:
    in_window = sum(each.removed for each in window[1:]) + len(removed)
    bound = max(MIN_REMOVAL_BOUND, window[0].count * REMOVAL_PERCENT // 100)
    return _hold_above(HeldKind.REMOVAL, removed, in_window, bound)


def _hold_above(kind: HeldKind, changes: Sequence[Change], in_window: int, bound: int) -> Hold | None:
    mass = [each.entry_id for each in changes if each.may_be_held]
    return Hold(kind, mass, in_window, bound) if mass and in_window > bound else None


def surrender_bound(entries: int) -> int:
    """Return how many networks a partner that has ``entries`` of them may surrender in an hour without an officer."""
    return max(MIN_REMOVAL_BOUND, entries * REMOVAL_PERCENT // 100)


def find_waiting(added: Sequence[Change], removed: Sequence[Change], holds: Sequence[Hold]) -> set[int]:
    """Return the ids of the changes that must wait for those that are held, because they have addresses in common.

    A removal and the additions that replace it are one change: without the removal the list would overlap, and without
    an addition an address would be off it.
    """
    held = {entry_id for each in holds for entry_id in each.entry_ids}
    if not held:
        return set()
    held_networks = [each.network for each in added if each.entry_id in held]
    kept = held | _overlapping(removed, held_networks)
    kept_networks = [each.network for each in removed if each.entry_id in kept]
    return (kept | _overlapping(added, kept_networks)) - held


def _overlapping(changes: Sequence[Change], networks: Sequence[str]) -> set[int]:
    found = overlapping((each.network for each in changes), networks)
    return {each.entry_id for each in changes if each.network in found}


def effective_removals(removed: Sequence[Change], added: Sequence[str]) -> Sequence[Change]:
    """Return the unreleased removals that take an address off the list.

    A removed network does not count when the networks that the same publication adds contain all of its addresses.
    """
    unreleased = [each for each in removed if not each.is_released]
    if not (unreleased and added):
        return unreleased
    ranges = _merge_ranges(added)
    firsts = [first for first, _ in ranges]

    def is_covered(network: str) -> bool:
        first, last, _ = parse_canonical(network)
        index = bisect_right(firsts, first) - 1
        return index >= 0 and last <= ranges[index][1]

    return [each for each in unreleased if not is_covered(each.network)]


def _merge_ranges(networks: Iterable[str]) -> list[tuple[int, int]]:
    """Return the first and last address of each contiguous range of the networks, in order."""
    ranges: list[tuple[int, int]] = []
    for first, last, _ in sorted(map(parse_canonical, networks)):
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges
