"""Standing is told by what was on the list at a moment, whatever happened before and since."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.validation import networks
from app.registrations.rules import Status
from app.standing.rules import (
    Holding,
    NextStep,
    Reason,
    RegisteredCase,
    Standing,
    State,
    is_overdue,
    standing,
)

START = datetime(2026, 11, 21, tzinfo=UTC)
NETWORKS = ("203.99.50.5/32", "203.99.50.16/29", "2400:1460:1::/48")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


CASE = RegisteredCase(
    id=UUID(int=1),
    partner_id=UUID(int=2),
    status=Status.SUBMITTED,
    operator="nayatel",
    networks=NETWORKS,
    reason_codes=(),
    first_submitted_at=START,
    submitted_at=START,
    due_at=at(48),
    decided_at=None,
    changed_at=START,
    expires_at=None,
)
APPROVED = replace(CASE, status=Status.APPROVED, decided_at=at(1), expires_at=at(8_760))
HELD = Holding(NETWORKS[0], at(1), at(2), None, None, None)


def position(text: str) -> int:
    return networks.to_integer(networks.parse_address(text))


def brief(found: Standing) -> tuple[State, Reason, datetime | None, datetime | None]:
    return found.state, found.reason, found.since, found.until


def test_before_it_was_submitted_a_case_is_not_in_force() -> None:
    found = standing(CASE, [], at(-1))
    assert found == Standing(State.NOT_IN_FORCE, Reason.NOT_SUBMITTED, None, None, NextStep.APPLY)


def test_a_case_under_review_is_pending_and_is_to_be_asked_about_once_it_is_overdue() -> None:
    assert standing(CASE, [], at(1)) == Standing(State.PENDING, Reason.UNDER_REVIEW, START, None, NextStep.WAIT)
    assert not is_overdue(CASE, at(48))
    assert standing(CASE, [], at(49)).next_step == NextStep.ASK
    assert is_overdue(CASE, at(49))


@pytest.mark.parametrize(
    ("status", "state", "step"),
    [
        (Status.INFORMATION_REQUESTED, State.PENDING, NextStep.ANSWER),
        (Status.REJECTED, State.NOT_IN_FORCE, NextStep.CORRECT),
        (Status.WITHDRAWN, State.NOT_IN_FORCE, NextStep.APPLY),
    ],
)
def test_a_case_that_was_never_granted_tells_its_status_since_its_decision(
    status: Status, state: State, step: NextStep
) -> None:
    case = replace(CASE, status=status, decided_at=at(3), changed_at=at(3))
    assert standing(case, [], at(4)) == Standing(state, Reason(status), at(3), None, step)
    assert standing(case, [], at(2)).reason == Reason.UNDER_REVIEW


def test_an_approval_is_pending_until_it_is_published_and_then_in_force_until_its_end() -> None:
    waiting = replace(HELD, listed_from=None)
    assert brief(standing(APPROVED, [waiting], at(3))) == (State.PENDING, Reason.NOT_PUBLISHED, at(1), None)
    assert brief(standing(APPROVED, [HELD], at(1.5))) == (State.PENDING, Reason.NOT_PUBLISHED, at(1), at(2))
    assert brief(standing(APPROVED, [HELD], at(3))) == (State.IN_FORCE, Reason.LISTED, at(2), at(8_760))
    assert brief(standing(APPROVED, [HELD], at(0.5)))[:2] == (State.PENDING, Reason.UNDER_REVIEW)


def test_a_lapsed_case_is_in_force_to_the_end_of_its_grace_and_is_to_be_renewed() -> None:
    lapsed = replace(APPROVED, status=Status.LAPSED, ends_at=at(9_000))
    found = standing(lapsed, [HELD], at(8_800))
    assert (found.state, found.until, found.next_step) == (State.IN_FORCE, at(9_000), NextStep.RENEW)


def test_a_case_in_its_renewal_window_is_to_be_renewed() -> None:
    case = replace(APPROVED, renewable_from=at(100))
    assert standing(case, [HELD], at(99)).next_step == NextStep.NOTHING
    assert standing(case, [HELD], at(100)).next_step == NextStep.RENEW


def test_a_removal_that_is_not_published_yet_leaves_the_address_in_force() -> None:
    suspended = replace(APPROVED, status=Status.SUSPENDED, decided_at=at(5))
    going = replace(HELD, withdrawn_at=at(5), ended_by="suspended")
    assert brief(standing(suspended, [going], at(6))) == (State.IN_FORCE, Reason.LISTED, at(2), None)
    gone = replace(going, listed_until=at(6))
    assert brief(standing(suspended, [gone], at(6))) == (State.NOT_IN_FORCE, Reason.SUSPENDED, at(6), None)


@pytest.mark.parametrize("status", [Status.REVOKED, Status.EXPIRED, Status.SUPERSEDED, Status.SURRENDERED])
def test_a_grant_that_ended_after_it_was_suspended_is_off_since_the_suspension(status: Status) -> None:
    gone = replace(HELD, withdrawn_at=at(5), listed_until=at(6), ended_by="suspended")
    ended = replace(APPROVED, status=status, decided_at=at(9), changed_at=at(9))
    assert brief(standing(ended, [gone], at(10)))[:3] == (State.NOT_IN_FORCE, Reason(status), at(6))
    assert brief(standing(ended, [gone], at(7)))[:3] == (State.NOT_IN_FORCE, Reason.SUSPENDED, at(6))


def test_a_suspension_of_the_past_is_told_although_the_case_was_reinstated() -> None:
    gone = replace(HELD, withdrawn_at=at(5), listed_until=at(6), ended_by="suspended")
    back = replace(HELD, granted_at=at(8), listed_from=at(9))
    case = replace(APPROVED, decided_at=at(8))
    assert brief(standing(case, [gone, back], at(7))) == (State.NOT_IN_FORCE, Reason.SUSPENDED, at(6), at(9))
    assert brief(standing(case, [gone, back], at(8.5))) == (State.PENDING, Reason.NOT_PUBLISHED, at(8), at(9))
    assert standing(case, [gone, back], at(9)).since == at(9)


def test_an_address_that_was_given_back_is_not_in_force_while_the_case_is() -> None:
    other = replace(HELD, network=NETWORKS[1], withdrawn_at=at(5), listed_until=at(6), ended_by="surrendered")
    assert standing(APPROVED, [HELD, other], at(7)).state == State.IN_FORCE
    found = standing(APPROVED, [HELD, other], at(7), position=position("203.99.50.17"))
    assert brief(found) == (State.NOT_IN_FORCE, Reason.SURRENDERED, at(6), None)


def test_what_the_operator_confirmed_is_told_of_a_case_in_force_alone() -> None:
    assert standing(APPROVED, [HELD], at(3), in_step=True).in_step is True
    assert standing(CASE, [], at(3), in_step=True).in_step is None


HOURS = st.integers(0, 40).map(at)
MAYBE = st.none() | HOURS


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    granted, listed, withdrawn, gone = sorted(draw(st.lists(HOURS, min_size=4, max_size=4)))
    is_listed, is_withdrawn = draw(st.booleans()), draw(st.booleans())
    return Holding(
        draw(st.sampled_from(NETWORKS)),
        granted,
        listed if is_listed else None,
        withdrawn if is_withdrawn else None,
        gone if is_listed and is_withdrawn and draw(st.booleans()) else None,
        draw(st.sampled_from(["suspended", "expired", "other"])) if is_withdrawn else None,
    )


CASES = st.builds(
    replace,
    st.just(CASE),
    status=st.sampled_from(Status),
    decided_at=MAYBE,
    changed_at=HOURS,
    submitted_at=HOURS,
    expires_at=MAYBE,
    ends_at=MAYBE,
    renewable_from=MAYBE,
)
HISTORIES = st.lists(holdings(), max_size=5)
POSITIONS = st.none() | st.sampled_from([position("203.99.50.17"), position("203.99.50.5"), position("8.8.8.8")])


@given(CASES, HISTORIES, HOURS, POSITIONS)
def test_in_force_is_what_the_list_had_at_the_moment(
    case: RegisteredCase, history: list[Holding], moment: datetime, where: int | None
) -> None:
    found = standing(case, history, moment, position=where)
    own = [each for each in history if where is None or each.contains(where)]
    assert (found.state == State.IN_FORCE) == any(each.is_listed(moment) for each in own)
    assert found.since is None or found.since <= moment
    assert found.until is None or found.until > moment


@given(CASES, HISTORIES, HOURS, POSITIONS)
def test_a_time_in_force_begins_where_it_says_and_has_no_gap(
    case: RegisteredCase, history: list[Holding], moment: datetime, where: int | None
) -> None:
    found = standing(case, history, moment, position=where)
    if found.state != State.IN_FORCE or found.since is None:
        return
    instant = timedelta(minutes=1)
    assert standing(case, history, found.since - instant, position=where).state != State.IN_FORCE
    within = [at(hour) for hour in range(41) if found.since <= at(hour) <= moment]
    assert {standing(case, history, each, position=where).state for each in within} == {State.IN_FORCE}


@given(CASES, HISTORIES, HOURS)
def test_the_present_changes_nothing_of_what_was_in_force_before(
    case: RegisteredCase, history: list[Holding], moment: datetime
) -> None:
    later = [replace(HELD, granted_at=moment, listed_from=moment + timedelta(hours=1))]
    before = standing(case, history, moment)
    after = standing(replace(case, status=Status.REVOKED), [*history, *later], moment)
    assert (before.state == State.IN_FORCE) == (after.state == State.IN_FORCE)
    if before.state == State.IN_FORCE:
        assert before.since == after.since


@given(CASES, HISTORIES, HOURS)
def test_an_address_of_no_holding_is_never_in_force(
    case: RegisteredCase, history: list[Holding], moment: datetime
) -> None:
    assert standing(case, history, moment, position=position("8.8.8.8")).state != State.IN_FORCE
