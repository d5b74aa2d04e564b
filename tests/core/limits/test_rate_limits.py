"""Processes that count together let through at most the quota of a window."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from app.core.limits.leases import Grant
from app.core.limits.rate_limits import Lease, Quota

WINDOW = 10.0
MOMENTS = st.sampled_from([0.0, 0.001, 0.01, 0.3, 0.9, 3.0, 9.999, 10.0])
WAYS = st.sampled_from([0.0, 0.001, 0.01, 0.3, 0.9, 3.0])


@dataclass
class LeaseSource:
    """A stand-in for the database: a clock of windows, and the requests leased of each."""

    quota: Quota
    leased: Counter[int] = field(default_factory=Counter)

    def grant(self, now: float) -> Grant:
        window = int(now // WINDOW)
        portion = min(self.quota.portion, self.quota.requests - self.leased[window])
        self.leased[window] += portion
        return Grant(window, portion, self.quota.requests - self.leased[window], (window + 1) * WINDOW - now)


@dataclass(frozen=True)
class Step:
    """A request to a process some time after the previous one."""

    after: float
    process: int
    there: float
    back: float
    is_free: bool


STEPS = st.lists(st.builds(Step, MOMENTS, st.integers(0, 2), WAYS, WAYS, st.booleans()), max_size=60)


def simulate(quota: Quota, steps: list[Step]) -> tuple[Counter[int], list[tuple[Lease, bool]]]:
    """Return the requests counted in each window, and whether each request passed."""
    database, leases = LeaseSource(quota), [Lease(), Lease(), Lease()]
    now, counted, fared = 5.0, Counter[int](), list[tuple[Lease, bool]]()
    for step in steps:
        now += step.after
        lease = leases[step.process]
        passed = lease.take(now)
        while not passed and not lease.is_spent(now):
            grant = database.grant(now + step.there)
            lease.renew(grant, now, now + step.there + step.back)
            now += step.there + step.back
            passed = lease.take(now)
        if passed and step.is_free:
            lease.give_back(lease.window)
        elif passed:
            counted[int(now // WINDOW)] += 1
        fared.append((lease, passed))
    return counted, fared


@given(st.integers(1, 50), STEPS)
def test_no_window_lets_more_through_than_its_quota(requests: int, steps: list[Step]) -> None:
    counted, _ = simulate(Quota("read", requests, int(WINDOW)), steps)
    assert max(counted.values(), default=0) <= requests


@given(st.integers(1, 50), st.integers(0, 100))
def test_one_process_alone_lets_all_of_the_quota_through(requests: int, more: int) -> None:
    at_once = [Step(0, 0, 0, 0, is_free=False)] * (requests + more)
    counted, fared = simulate(Quota("read", requests, int(WINDOW)), at_once)
    assert counted == {0: requests}
    assert [passed for _, passed in fared] == [True] * requests + [False] * more


@given(st.integers(1, 20), st.integers(1, 200))
def test_what_is_given_back_never_runs_out(requests: int, free: int) -> None:
    _, fared = simulate(Quota("feed", requests, int(WINDOW)), [Step(0, 0, 0, 0, is_free=True)] * free)
    assert all(passed for _, passed in fared)


def test_a_request_of_a_window_that_has_ended_gives_nothing_back() -> None:
    lease = Lease()
    lease.renew(Grant("first", 1, 0, 10), 0, 0)
    assert lease.take(1)
    lease.renew(Grant("second", 0, 0, 10), 11, 11)
    lease.give_back("first")
    assert not lease.take(12)


def test_a_portion_is_a_twentieth_and_never_nothing() -> None:
    assert [Quota("read", requests, 60).portion for requests in (1, 19, 20, 6_000)] == [1, 1, 1, 300]
