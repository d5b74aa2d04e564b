"""Whatever process dies at whatever moment: nothing acknowledged is lost, and nothing is done twice."""

from collections import Counter

import pytest

from tests.torture.run import Outcome, run

KILLS, MEETS_EACH_VICTIM = 8, 1


def test_what_is_lost_doubled_or_not_asked_for_is_a_fault() -> None:
    told = Counter([("row", 1), ("row", 2), ("row", 3)])
    outcome = Outcome(expected=told, found=Counter([("row", 2), ("row", 3), ("row", 3), ("row", 4)]))
    assert outcome.faults == [
        "lost: ('row', 1)",
        "twice, or not asked for: ('row', 3)",
        "twice, or not asked for: ('row', 4)",
    ]
    assert Outcome(expected=told, found=told.copy()).faults == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_at_random_lose_nothing_and_double_nothing() -> None:
    outcome = run(KILLS, seed=MEETS_EACH_VICTIM)
    assert outcome.faults == []
    assert outcome.kills.total() == KILLS
    assert outcome.met_uploads, "no kill met an upload under way"
    assert outcome.answers["requests sent again"], "no client lost an answer"
    assert outcome.answers["answers given again"], "no key was used twice"
    assert {fact[0] for fact in outcome.found} >= {"upload", "row", "registration", "event", "network on the list"}
