"""Properties of what is due for a case: each move at its time, once, and one of several."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.registrations.rules import LISTED, Case, Status, Transition
from app.registrations.validity import REMINDER_DAYS, Move, Reminder, due_moves

START = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
ID = UUID(int=1)
DAY = timedelta(days=1)
durations = st.timedeltas(timedelta(), 90 * DAY)
graces = st.timedeltas(timedelta(), 60 * DAY)


def case(
    status: str = Status.APPROVED,
    lasting: timedelta | None = 40 * DAY,
    grace: timedelta = 14 * DAY,
    *,
    reminded: int | None = None,
    notice: tuple[str, timedelta] | None = None,
    awaits_successor: bool = False,
) -> Case:
    """A case approved at ``START``; ``notice`` is an action and the time from then until it takes effect."""
    expires_at = None if lasting is None else START + lasting
    ends_at = None if expires_at is None else expires_at + grace
    action, effective_at = (notice[0], START + notice[1]) if notice else (None, None)
    announced = (ID if notice else None, action, effective_at)
    return Case(
        ID,
        1,
        status,
        ID,
        ID,
        "nayatel",
        None,
        (),
        None,
        (),
        expires_at,
        ends_at,
        reminded,
        *announced,
        awaits_successor,
    )


def after(made: Case, move: Move) -> Case:
    """The case after a move."""
    if isinstance(move, Reminder):
        return replace(made, reminded_days=move.days_before)
    status = {Transition.LAPSE: Status.LAPSED, Transition.EXPIRE: Status.EXPIRED, Transition.SUSPEND: Status.SUSPENDED}
    return replace(made, status=status[move], notice_decision_id=None, notice_action=None, notice_effective_at=None)


def swept(made: Case, moments: list[datetime]) -> tuple[list[Move], Case]:
    """The moves of sweeps at these moments, in order, and the case after them."""
    done: list[Move] = []
    for moment in moments:
        for move in due_moves(made, moment):
            done.append(move)
            made = after(made, move)
    return done, made


def test_a_case_without_an_expiry_has_nothing_due() -> None:
    assert due_moves(case(Status.SUBMITTED, None), START + 4_000 * DAY) == ()


@given(st.sampled_from([each for each in Status if each not in LISTED]), durations, durations)
def test_a_case_that_is_not_on_the_list_has_nothing_due(status: Status, lasting: timedelta, passed: timedelta) -> None:
    assert due_moves(case(status, lasting), START + passed) == ()


@given(durations, graces, st.lists(durations, max_size=40))
def test_at_most_one_move_is_due_and_none_a_second_time(
    lasting: timedelta, grace: timedelta, passed: list[timedelta]
) -> None:
    moments = [START + each for each in sorted(passed)]
    for moment in moments:
        assert len(due_moves(case(lasting=lasting, grace=grace), moment)) <= 1
    done, made = swept(case(lasting=lasting, grace=grace), [moment for moment in moments for _ in range(2)])
    assert len(set(done)) == len(done)
    assert [each.days_before for each in done if isinstance(each, Reminder)] == sorted(
        (each.days_before for each in done if isinstance(each, Reminder)), reverse=True
    )
    last = moments[-1] if moments else START - DAY
    reached = Status.LAPSED if last >= START + lasting else Status.APPROVED
    assert made.status == (Status.EXPIRED if last >= START + lasting + grace else reached)


@given(durations.filter(bool), durations)
def test_a_reminder_is_the_nearest_and_never_comes_early_or_after_the_expiry(
    lasting: timedelta, passed: timedelta
) -> None:
    left = lasting - passed
    for move in due_moves(case(lasting=lasting), START + passed):
        if isinstance(move, Reminder):
            assert timedelta() < left <= timedelta(days=move.days_before)
            assert not any(left <= timedelta(days=days) < timedelta(days=move.days_before) for days in REMINDER_DAYS)
        else:
            assert left <= timedelta()


def test_sweeps_every_hour_remind_three_times_then_let_lapse_and_expire() -> None:
    moments = [START + timedelta(hours=hours) for hours in range(24 * 60)]
    done, _ = swept(case(), moments)
    assert done == [Reminder(30), Reminder(7), Reminder(1), Transition.LAPSE, Transition.EXPIRE]


def test_a_week_without_sweeps_leaves_one_reminder() -> None:
    assert due_moves(case(lasting=8 * DAY, reminded=30), START + 7.5 * DAY) == (Reminder(1),)


def test_a_case_whose_successor_waits_lapses_and_does_not_end() -> None:
    waiting = case(awaits_successor=True)
    assert due_moves(waiting, START + 400 * DAY) == (Transition.LAPSE,)
    assert due_moves(case(Status.LAPSED, awaits_successor=True), START + 400 * DAY) == ()
    assert due_moves(case(Status.LAPSED), START + 400 * DAY) == (Transition.EXPIRE,)


@given(durations, graces, durations, durations, st.sampled_from(["suspend", "revoke"]))
def test_an_announced_decision_takes_effect_at_its_time_unless_the_case_ended_before(
    lasting: timedelta, grace: timedelta, until: timedelta, passed: timedelta, action: str
) -> None:
    made = case(lasting=lasting, grace=grace, notice=(action, until))
    moves = due_moves(made, START + passed)
    ends_first = lasting + grace <= until
    assert (moves == (Transition(action),)) == (until <= passed and not (ends_first and lasting + grace <= passed))


def test_a_revocation_takes_effect_on_a_suspended_case_and_nothing_on_one_that_has_ended() -> None:
    for status, expected in ((Status.SUSPENDED, (Transition.REVOKE,)), (Status.EXPIRED, ()), (Status.SURRENDERED, ())):
        assert due_moves(case(status, notice=("revoke", DAY)), START + DAY) == expected
