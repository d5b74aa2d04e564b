"""What no single decision of a person may do to the list unseen: remove or add very much at once. Pure functions."""

from dataclasses import dataclass
from enum import StrEnum

REMOVALS_ALWAYS_FINE = 10
REMOVED_SHARE = 0.01
GROWN_SHARE = 0.5
GROWTH_WATCHED_FROM = 1_000


class HeldKind(StrEnum):
    """Which change is held until another officer releases it."""

    REMOVAL = "removal"
    GROWTH = "growth"


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for the next publication; ``mass`` counts what came by a batch, a sweep or an import."""

    additions: int
    mass_additions: int
    mass_removals: int


def to_hold(in_force: int, pending: Pending) -> list[HeldKind]:
    """Which of the mass changes must wait, for a list of ``in_force`` networks."""
    held = []
    if pending.mass_removals > max(REMOVALS_ALWAYS_FINE, in_force * REMOVED_SHARE):
        held.append(HeldKind.REMOVAL)
    grows = in_force >= GROWTH_WATCHED_FROM and pending.additions > in_force * GROWN_SHARE
    if grows and pending.mass_additions:
        held.append(HeldKind.GROWTH)
    return held
