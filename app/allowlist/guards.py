"""Bounds on what may leave or enter the list within a window without a second officer. Pure functions of values.

What single decisions of a person asked for counts and is never held; batches, expiry sweeps and imports are held when
the window's changes, theirs included, are more than the bound. Cutting a change into small ones does not help.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from app.core.validation.networks import span

WINDOW = timedelta(hours=1)
REMOVALS_ALWAYS_FINE = 10
REMOVED_PERCENT = 1
GROWN_PERCENT = 50
GROWTH_WATCHED_FROM = 1_000


class HeldKind(StrEnum):
    """Which change is held until another officer releases it."""

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
        """Whether it is a mass change that no officer has released."""
        return self.in_mass and not self.is_released


@dataclass(frozen=True, slots=True)
class Published:
    """The length of the list after a publication, and how many changes of it count: released ones do not."""

    count: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Changes that must wait: with them, the window would have ``in_window`` changes, more than ``bound``."""

    kind: HeldKind
    entry_ids: Sequence[int]
    in_window: int
    bound: int


def to_hold(window: Sequence[Published], added: Sequence[Change], removed: Sequence[Change]) -> list[Hold]:
    """Give the mass changes of the next publication that must wait for another officer.

    ``window`` starts with the list as it stood at the window's beginning; the publications since then follow.
    """
    growth = _growth(window, added)
    waiting = set(growth.entry_ids) if growth else set()
    removal = _removal(window, lost(removed, [each.network for each in added if each.entry_id not in waiting]))
    return [each for each in (growth, removal) if each]


def _growth(window: Sequence[Published], added: Sequence[Change]) -> Hold | None:
    """Bound growth from the first list of the window that is long enough to be watched."""
    watched = next((at for at, each in enumerate(window) if each.count >= GROWTH_WATCHED_FROM), None)
    if watched is None:
        return None
    in_window = sum(each.added for each in window[watched + 1 :]) + sum(not each.is_released for each in added)
    return _held(HeldKind.GROWTH, added, in_window, window[watched].count * GROWN_PERCENT // 100)


def _removal(window: Sequence[Published], gone: Sequence[Change]) -> Hold | None:
    in_window = sum(each.removed for each in window[1:]) + len(gone)
    bound = max(REMOVALS_ALWAYS_FINE, window[0].count * REMOVED_PERCENT // 100)
    return _held(HeldKind.REMOVAL, gone, in_window, bound)


def _held(kind: HeldKind, changes: Sequence[Change], in_window: int, bound: int) -> Hold | None:
    mass = [each.entry_id for each in changes if each.may_be_held]
    return Hold(kind, mass, in_window, bound) if mass and in_window > bound else None


def lost(removed: Sequence[Change], added: Sequence[str]) -> Sequence[Change]:
    """Give the unreleased removals that take an address off the list.

    A removed network all of whose addresses are in networks that the same publication adds is none of them.
    """
    gone = [each for each in removed if not each.is_released]
    if not (gone and added):
        return gone
    covered = _joined(added)
    firsts = [first for first, _ in covered]

    def is_covered(network: str) -> bool:
        first, last, _ = span(network)
        at = bisect_right(firsts, first) - 1
        return at >= 0 and last <= covered[at][1]

    return [each for each in gone if not is_covered(each.network)]


def _joined(networks: Iterable[str]) -> list[tuple[int, int]]:
    """Give the first and last address of each range that the networks make up; adjacent ones are joined."""
    ranges: list[tuple[int, int]] = []
    for first, last, _ in sorted(map(span, networks)):
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges
