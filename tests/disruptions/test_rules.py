"""Verdicts follow from the standing and the operator's state; incidents from reports that come together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.disruptions.rules import (
    INCIDENT_OPERATORS,
    INCIDENT_SUBJECTS,
    INCIDENT_WINDOW,
    PendingReport,
    ReportStatus,
    Verdict,
    best_case,
    find_incidents,
    judge,
    status_after,
)
from app.enforcers.rules import EnforcerState
from app.standing.rules import NextStep, Reason, RegisteredCase, Standing, State

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CASE = RegisteredCase(
    id=UUID(int=1),
    partner_id=UUID(int=2),
    status="approved",
    operator="nayatel",
    networks=["203.99.50.5/32"],
    reason_codes=[],
    first_submitted_at=NOW - timedelta(days=9),
    submitted_at=NOW - timedelta(days=9),
    due_at=NOW - timedelta(days=7),
    decided_at=NOW - timedelta(days=8),
    changed_at=NOW - timedelta(days=8),
    expires_at=NOW + timedelta(days=300),
)
ages = st.timedeltas(timedelta(0), timedelta(days=8))
operators = st.one_of(st.none(), st.sampled_from(EnforcerState))
standings = st.builds(
    lambda state, reason, age: Standing(state, reason, NOW - age, None, NextStep.NOTHING),
    st.sampled_from(State),
    st.sampled_from(Reason),
    ages,
)


@given(standings, operators, st.booleans())
def test_only_an_address_in_force_goes_to_an_operator(
    standing: Standing, operator: EnforcerState | None, was_listed: bool
) -> None:
    judged = judge((CASE, standing), operator, was_listed=was_listed)
    in_force = standing.state == State.IN_FORCE
    assert (status_after(judged.verdict) == ReportStatus.OPEN) == in_force
    assert (judged.verdict == Verdict.NOT_IN_FORCE) == (not in_force)
    assert (judged.case, judged.reason, judged.since) == (CASE, standing.reason, standing.since)


@given(operators)
def test_without_a_case_nothing_is_said_but_that_there_is_none(operator: EnforcerState | None) -> None:
    judged = judge(None, operator, was_listed=False)
    assert tuple(judged) == (Verdict.NOT_REGISTERED, None, None, None)
    assert status_after(judged.verdict) == ReportStatus.ANSWERED


@given(st.booleans(), operators)
def test_an_operator_is_named_behind_or_diverged_only_when_it_was(
    was_listed: bool, operator: EnforcerState | None
) -> None:
    standing = Standing(State.IN_FORCE, Reason.LISTED, NOW, None, NextStep.NOTHING)
    verdict = judge((CASE, standing), operator, was_listed=was_listed).verdict
    assert (verdict == Verdict.OPERATOR_BEHIND) == (operator == EnforcerState.BEHIND)
    assert (verdict == Verdict.OPERATOR_DIVERGED) == (operator == EnforcerState.DIVERGED)
    if operator in (None, EnforcerState.IN_STEP, EnforcerState.SILENT):
        assert verdict == (Verdict.IN_FORCE if was_listed else Verdict.NEWLY_IN_FORCE)


@given(st.lists(standings, min_size=1))
def test_a_case_in_force_speaks_for_an_address_before_any_other(found: list[Standing]) -> None:
    cases = [(replace(CASE, id=UUID(int=place)), each) for place, each in enumerate(found)]
    best = best_case(cases)
    assert best in cases
    assert best is not None
    order = [State.NOT_IN_FORCE, State.PENDING, State.IN_FORCE]
    assert order.index(best[1].state) == max(order.index(each.state) for each in found)
    assert best_case(reversed(cases)) == best
    assert best_case([]) is None


reports = st.lists(
    st.builds(
        lambda number, subject, operator, minutes: PendingReport(
            UUID(int=number), subject, operator, NOW + timedelta(minutes=minutes), NOW + timedelta(minutes=minutes - 5)
        ),
        st.integers(0, 2**64),
        st.sampled_from("abcdefg"),
        st.sampled_from(["nayatel", "ptcl", "zong", "jazz"]),
        st.integers(0, 60),
    ),
    max_size=25,
    unique_by=lambda each: each.id,
)


@given(reports)
def test_an_incident_has_five_subjects_within_a_quarter_of_an_hour_at_one_operator_or_three(
    given_: list[PendingReport],
) -> None:
    by_id = {each.id: each for each in given_}
    seen: set[UUID] = set()
    for incident in find_incidents(given_):
        own = [by_id[each] for each in incident.report_ids]
        assert len({each.subject for each in own}) >= INCIDENT_SUBJECTS
        assert {each.operator for each in own} == {*incident.operators}
        assert len(incident.operators) == 1 or len(incident.operators) >= INCIDENT_OPERATORS
        times = [each.reported_at for each in own]
        assert max(times) - min(times) <= INCIDENT_WINDOW
        assert incident.last_report_at == max(times)
        assert incident.began_at == min(each.observed_from for each in own)
        assert not seen & {*incident.report_ids}
        seen |= {*incident.report_ids}


@given(reports)
def test_no_incident_is_missed_at_one_operator_nor_depends_on_the_order(given_: list[PendingReport]) -> None:
    found = find_incidents(given_)
    assert found == find_incidents(reversed(given_))
    part = {each for incident in found for each in incident.report_ids}
    rest = [each for each in given_ if each.id not in part]
    for first in rest:
        window = [each for each in rest if timedelta(0) <= each.reported_at - first.reported_at <= INCIDENT_WINDOW]
        at_one = {each.subject for each in window if each.operator == first.operator}
        assert len(at_one) < INCIDENT_SUBJECTS


def of(subject: str, operator: str, minute: int) -> PendingReport:
    at = NOW + timedelta(minutes=minute)
    return PendingReport(UUID(int=ord(subject) * 1000 + minute), subject, operator, at, at)


@pytest.mark.parametrize(
    ("given_", "operators"),
    [
        ([of(each, "nayatel", 0) for each in "abcd"], []),
        ([of(each, "nayatel", 0) for each in "abcde"], [("nayatel",)]),
        ([of("a", "nayatel", minute) for minute in range(9)], []),
        ([of(each, "nayatel", 4 * place) for place, each in enumerate("abcde")], []),
        ([of(each, "nayatel", 3 * place) for place, each in enumerate("abcde")], [("nayatel",)]),
        ([*(of(each, "nayatel", 0) for each in "ab"), *(of(each, "ptcl", 1) for each in "cde")], []),
        (
            [*(of(each, "nayatel", 0) for each in "ab"), of("c", "zong", 1), *(of(each, "ptcl", 1) for each in "de")],
            [("nayatel", "ptcl", "zong")],
        ),
    ],
    ids=["four", "five", "one subject", "slow", "within", "two operators", "three operators"],
)
def test_five_subjects_at_one_operator_or_at_three_make_an_incident(
    given_: list[PendingReport], operators: list[tuple[str, ...]]
) -> None:
    assert [each.operators for each in find_incidents(given_)] == operators
