"""Each action from each status."""

from itertools import product
from typing import Any

from app.registrations.rules import Status
from app.reviews.rules import Action
from tests.support import cases
from tests.support.cases_in_status import cases_in_status
from tests.support.service import Caller

REVIEWED = {"submitted", "in_review"}
LEADS_TO = {
    "approve": (REVIEWED, "approved"),
    "reject": (REVIEWED, "rejected"),
    "request_information": (REVIEWED, "information_requested"),
    "suspend": ({"approved", "lapsed"}, "suspended"),
    "reinstate": ({"suspended"}, "approved"),
    "revoke": ({"approved", "lapsed", "suspended"}, "revoked"),
    "extend": ({"approved", "lapsed"}, "approved"),
}


async def test_each_action_leads_where_the_diagram_says_and_is_illegal_everywhere_else(
    pseb: Caller, officer: Caller
) -> None:
    wanted = list(product(Action, Status))
    made = await cases_in_status(pseb, [status for _, status in wanted], claimed_by=officer.credentials.id)
    outcomes, expected = {}, {}
    for (action, status), case in zip(wanted, made, strict=True):
        needs: dict[str, Any] = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}
        needs = {"approve": {}, "reinstate": {}, "extend": {"expires_at": "2090-01-01T00:00:00Z"}}.get(action, needs)
        answer = await cases.decide(officer, case, action, **needs)
        read = (await officer.get(f"/v1/registrations/{case['id']}")).json()
        outcomes[action.value, status.value] = answer.json().get("code", answer.status_code), read["status"]
        allowed, target = LEADS_TO[action]
        expected[action.value, status.value] = (
            (201, target) if status in allowed else ("illegal_transition", status.value)
        )
    assert outcomes == expected
