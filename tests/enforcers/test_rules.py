"""States of enforcers follow from what they lack and when they were heard of."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.enforcers.rules import (
    BEHIND_AFTER,
    SILENT_AFTER,
    EnforcerState,
    Grade,
    Known,
    Position,
    operator_state,
    state_at,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
spans = st.timedeltas(timedelta(0), timedelta(hours=3))
lacks = st.one_of(st.none(), spans)
known = st.lists(st.builds(Known, st.sampled_from(Grade), st.sampled_from(EnforcerState)), min_size=1)


def position(lack: timedelta | None, *, matches: bool = True) -> Position:
    return Position(matches, 0 if lack is None else 1, None if lack is None else NOW - lack)


@given(unheard=spans, lack=lacks, matches=st.booleans())
def test_an_enforcer_is_silent_from_an_hour_without_a_word_whatever_it_has(
    unheard: timedelta, lack: timedelta | None, matches: bool
) -> None:
    state = state_at(position(lack, matches=matches), NOW - unheard, NOW)
    assert (state == EnforcerState.SILENT) == (unheard >= SILENT_AFTER)


@given(unheard=spans.filter(lambda each: each < SILENT_AFTER), lack=lacks)
def test_an_enforcer_is_behind_only_more_than_five_minutes_after_a_publication_it_lacks(
    unheard: timedelta, lack: timedelta | None
) -> None:
    state = state_at(position(lack), NOW - unheard, NOW)
    assert state == (EnforcerState.BEHIND if lack is not None and lack > BEHIND_AFTER else EnforcerState.IN_STEP)
    assert state_at(position(lack, matches=False), NOW - unheard, NOW) == EnforcerState.DIVERGED


@given(lack=spans, later=spans)
def test_with_time_alone_a_state_only_goes_from_in_step_to_behind_to_silent(lack: timedelta, later: timedelta) -> None:
    order = [EnforcerState.IN_STEP, EnforcerState.BEHIND, EnforcerState.SILENT]
    before = state_at(position(lack), NOW - lack, NOW)
    after = state_at(position(lack), NOW - lack, NOW + later)
    assert order.index(before) <= order.index(after)


@given(lack=lacks, clock=st.timedeltas(-timedelta(hours=1), timedelta(hours=1)))
def test_seconds_behind_are_never_negative_and_none_without_a_lack(lack: timedelta | None, clock: timedelta) -> None:
    seconds = position(lack).behind_seconds(NOW + clock)
    assert seconds >= 0
    assert lack is not None or seconds == 0


@given(known)
def test_an_operator_is_in_step_only_when_every_enforcer_heard_of_its_best_grade_is(enforcers: list[Known]) -> None:
    found = operator_state(enforcers)
    assert found is not None
    heard = [each for each in enforcers if each.state != EnforcerState.SILENT]
    best = [each for each in heard if each.grade == found.grade]
    assert (found.state == EnforcerState.IN_STEP) == (
        bool(best) and all(each.state == EnforcerState.IN_STEP for each in best)
    )
    assert (found.state == EnforcerState.SILENT) == (not heard)


@given(known)
def test_what_was_fetched_says_nothing_while_an_enforcer_says_what_it_applied(enforcers: list[Known]) -> None:
    applied = [each for each in enforcers if each.grade == Grade.APPLIED and each.state != EnforcerState.SILENT]
    if applied:
        assert operator_state(enforcers) == operator_state(applied)


@pytest.mark.parametrize(
    ("states", "together"),
    [
        ([EnforcerState.IN_STEP, EnforcerState.SILENT], EnforcerState.IN_STEP),
        ([EnforcerState.IN_STEP, EnforcerState.BEHIND], EnforcerState.BEHIND),
        ([EnforcerState.BEHIND, EnforcerState.DIVERGED], EnforcerState.DIVERGED),
        ([EnforcerState.SILENT, EnforcerState.SILENT], EnforcerState.SILENT),
    ],
)
def test_the_worst_enforcer_that_is_heard_of_speaks_for_its_operator(
    states: list[EnforcerState], together: EnforcerState
) -> None:
    assert operator_state([Known(Grade.APPLIED, each) for each in states]) == Known(Grade.APPLIED, together)


def test_an_operator_without_enforcers_has_no_state() -> None:
    assert operator_state([]) is None
