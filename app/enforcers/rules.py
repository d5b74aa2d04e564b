"""States of enforcers: how a loaded list compares with the publications. Pure functions of values."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Grade(StrEnum):
    """Grade of what is known: the enforcer said that it applied a list, or a client fetched one."""

    APPLIED = "applied"
    FETCHED = "fetched"


class EnforcerState(StrEnum):
    """State of an enforcer, from the best to the worst; ``silent`` says nothing of its list."""

    IN_STEP = "in_step"
    BEHIND = "behind"
    DIVERGED = "diverged"
    SILENT = "silent"


BEHIND_AFTER = timedelta(minutes=5)
SILENT_AFTER = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=30)
CLOCK_TOLERANCE = timedelta(minutes=5)  # of an enforcer's clock, ahead of the register's
MAX_ENFORCERS = 10_000  # of one operator that confirm
MAX_CONFIRMATIONS = 1_000


class Position(NamedTuple):
    """Place of a loaded list in the history of the feed.

    ``matches`` is true when the list was published with this session, serial and digest. ``behind_serials`` counts the
    publications that it lacks; ``lacks_since`` is the time of the first of them, None without one.
    """

    matches: bool
    behind_serials: int
    lacks_since: datetime | None

    def behind_seconds(self, now: datetime) -> int:
        """Return the seconds since the first publication that it lacks; 0 without one."""
        return max(0, int((now - self.lacks_since).total_seconds())) if self.lacks_since else 0


class Known(NamedTuple):
    """One enforcer of an operator, as ``operator_state`` takes it."""

    grade: Grade
    state: EnforcerState


def state_at(position: Position, seen_at: datetime, now: datetime) -> EnforcerState:
    """Return the state of an enforcer last heard of at ``seen_at``."""
    if now - seen_at >= SILENT_AFTER:
        return EnforcerState.SILENT
    if not position.matches:
        return EnforcerState.DIVERGED
    if position.lacks_since is not None and now - position.lacks_since > BEHIND_AFTER:
        return EnforcerState.BEHIND
    return EnforcerState.IN_STEP


_ORDER = (EnforcerState.IN_STEP, EnforcerState.BEHIND, EnforcerState.DIVERGED)


def operator_state(enforcers: Iterable[Known]) -> Known | None:
    """Return what an operator's enforcers say together: the worst state of the best grade; None without enforcers.

    A silent enforcer counts only when all are, since a device that was taken away says nothing of the others. What was
    fetched counts only while no enforcer says what it applied.
    """
    known = list(enforcers)
    if not known:
        return None
    heard = [each for each in known if each.state != EnforcerState.SILENT]
    grades = {each.grade for each in heard or known}
    grade = Grade.APPLIED if Grade.APPLIED in grades else Grade.FETCHED
    if not heard:
        return Known(grade, EnforcerState.SILENT)
    return Known(grade, max((each.state for each in heard if each.grade == grade), key=_ORDER.index))
