"""Hand-over of networks from a case to the one that supersedes it, without a gap. Pure functions of values.

An address of both cases is on the list at every serial. Networks that are equal change hands. Where they overlap in
part, one goes out and the other in with the same serial, because published networks never overlap.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.core.validation.networks import DisjointNetworks, parse_canonical


class HandOver(NamedTuple):
    """What happens to the networks of both cases.

    ``kept`` are of both. ``granted`` and ``withdrawn`` change at once, with one serial. ``leaving`` stay until the
    hand-over ends, and ``waiting``, which lie within them, are granted then.
    """

    kept: Sequence[str]
    granted: Sequence[str]
    withdrawn: Sequence[str]
    leaving: Sequence[str]
    waiting: Sequence[str]


def plan(old: Iterable[str], new: Iterable[str], hours: int) -> HandOver:
    """Plan the hand-over from the networks that a case has to those of its successor, within ``hours``.

    The networks of each do not overlap one another. Of two that overlap, the wider contains the narrower. A wider old
    one stays for the hand-over, since its addresses may be in use. A wider new one replaces the old ones at once.
    """
    before, after = sorted(map(parse_canonical, old)), sorted(map(parse_canonical, new))
    kept = {each.text for each in before} & {each.text for each in after}
    wanted = DisjointNetworks([each.text for each in after])
    gone = [each for each in before if each.text not in kept]
    withdrawn = [each.text for each in gone if hours == 0 or wanted.contains(each)]
    leaving = [each.text for each in gone if hours > 0 and not wanted.contains(each)]
    staying = DisjointNetworks(leaving)
    fresh = [each for each in after if each.text not in kept]
    waiting = [each.text for each in fresh if staying.contains(each)]
    granted = [each.text for each in fresh if not staying.contains(each)]
    return HandOver(sorted(kept), granted, withdrawn, leaving, waiting)
