"""Whatever process dies at whatever moment: nothing acknowledged is lost, and nothing is done twice."""

import pytest

from tests.torture.run import DECK, run


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_kills_at_random_lose_nothing_and_double_nothing() -> None:
    outcome = run(kills=len(DECK), seed=1)
    assert outcome.faults == []
    assert outcome.kills.total() == len(DECK)
    assert outcome.met_uploads, "no kill met an upload under way"
    assert outcome.answers["requests sent again"], "no client lost an answer"
    assert {fact[0] for fact in outcome.found} >= {"upload", "row", "registration", "event", "network on the list"}
