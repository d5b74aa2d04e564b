"""A batch grants cases whose addresses are flagged only when it names the flags."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import cases
from tests.support.service import Caller, Service

BATCH = "/v1/review-decisions/batch"
OUTSIDE, MISMATCH = "outside_country", "operator_prefix_mismatch"
WHY = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}
FLAGGED = {"sound": [], "elsewhere": [MISMATCH], "foreign": [OUTSIDE, MISMATCH]}


@pytest.fixture
async def made(pseb: Caller) -> dict[str, str]:
    """The ids of a case for each kind of flagged addresses."""
    networks = {"sound": cases.address(), "elsewhere": "39.32.0.7", "foreign": "8.8.8.8"}
    found = {name: await cases.submitted(pseb, networks=[network]) for name, network in networks.items()}
    assert {name: case["flags"] for name, case in found.items()} == FLAGGED
    return {name: case["id"] for name, case in found.items()}


async def batch(officer: Caller, ids: Mapping[str, str], action: str = "approve", **given: Any) -> Any:
    body = {"selection": {"registration_ids": list(ids.values())}, "action": action, **given}
    return await officer.post(BATCH, json=body)


async def statuses(officer: Caller, ids: Mapping[str, str]) -> dict[str, str]:
    return {name: (await officer.get(f"/v1/registrations/{id_}")).json()["status"] for name, id_ in ids.items()}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"including_flags": ["contested"]}, {"/including_flags/0": "invalid_value"}),
        ({"including_flags": [OUTSIDE, OUTSIDE]}, {"/including_flags": "invalid_value"}),
        ({"including_flags": OUTSIDE}, {"/including_flags": "invalid_value"}),
        ({"including_flags": [[]]}, {"/including_flags/0": "invalid_value"}),
        ({"including_flags": [OUTSIDE], "action": "revoke", **WHY}, {"/including_flags": "invalid_value"}),
        (
            {"including_flags": [], "action": "reject", "reason_codes": ["misuse"]},
            {"/including_flags": "invalid_value"},
        ),
    ],
)
async def test_flags_are_named_once_and_only_where_something_is_granted(
    officer: Caller, made: dict[str, str], given: dict[str, Any], why: dict[str, str]
) -> None:
    answer = await batch(officer, made, **given)
    assert (answer.status_code, cases.codes(answer)) == (422, why)
    assert set((await statuses(officer, made)).values()) == {"submitted"}


@pytest.mark.parametrize(
    ("including", "granted"),
    [
        (None, {"sound"}),
        ([], {"sound"}),
        ([OUTSIDE], {"sound"}),  # a case with two flags needs both
        ([MISMATCH], {"sound", "elsewhere"}),
        ([MISMATCH, OUTSIDE], {"sound", "elsewhere", "foreign"}),
    ],
)
async def test_flagged_cases_are_refused_one_by_one_unless_their_flags_are_named(
    officer: Caller, made: dict[str, str], including: list[str] | None, granted: set[str]
) -> None:
    including_flags: dict[str, Any] = {} if including is None else {"including_flags": including}
    answer = await batch(officer, made, **including_flags)
    assert answer.status_code == 200, answer.text
    outcome = answer.json()
    assert outcome["flagged"] == {OUTSIDE: 1, MISMATCH: 2}
    assert outcome["counts"] == {"selected": 3, "decided": len(granted), "refused": 3 - len(granted)}
    refused = {each["registration_id"]: each["problem"] for each in outcome["refused"]}
    assert set(refused) == {made[name] for name in made.keys() - granted}
    for name in made.keys() - granted:
        problem = refused[made[name]]
        assert (problem["code"], problem["status"]) == ("flagged", 409)
        named = ", ".join(f'"{flag}"' for flag in FLAGGED[name])
        assert f'"including_flags": [{named}]' in problem["detail"]
    expected = {name: "approved" if name in granted else "submitted" for name in made}
    assert await statuses(officer, made) == expected


async def test_reinstating_flagged_cases_needs_their_flags_too_and_ending_them_does_not(
    service: Service, officer: Caller, made: dict[str, str]
) -> None:
    every: dict[str, Any] = {"including_flags": [OUTSIDE, MISMATCH]}
    assert (await batch(officer, made, **every)).json()["counts"]["decided"] == 3
    suspended = (await batch(officer, made, "suspend", **WHY)).json()
    assert (suspended["counts"]["decided"], suspended["flagged"]) == (3, {OUTSIDE: 0, MISMATCH: 0})
    outcome = (await batch(officer, made, "reinstate")).json()
    assert (outcome["counts"]["decided"], outcome["flagged"]) == (1, {OUTSIDE: 1, MISMATCH: 2})
    assert (await batch(officer, made, "reinstate", **every)).json()["counts"]["decided"] == 2
    assert set((await statuses(officer, made)).values()) == {"approved"}


async def test_a_case_that_cannot_be_granted_anyway_is_not_counted_as_flagged(
    officer: Caller, made: dict[str, str]
) -> None:
    own = await cases.submitted(officer, networks=["8.8.4.4"])
    assert (await batch(officer, {"foreign": made["foreign"]}, including_flags=[OUTSIDE, MISMATCH])).status_code == 200
    outcome = (await batch(officer, {**made, "own": own["id"]})).json()
    assert outcome["flagged"] == {OUTSIDE: 0, MISMATCH: 1}
    refused = {each["registration_id"]: each["problem"]["code"] for each in outcome["refused"]}
    assert refused == {
        made["foreign"]: "illegal_transition",
        made["elsewhere"]: "flagged",
        own["id"]: "self_review",
    }


async def test_a_single_decision_grants_what_the_officer_has_read(pseb: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer, networks=["8.8.8.8"])
    assert (case["flags"], case["status"]) == ([OUTSIDE, MISMATCH], "approved")


async def test_the_flag_contested_need_not_be_named(pseb: Caller, pasha: Caller, officer: Caller) -> None:
    contest = [await cases.submitted(caller, networks=["203.99.50.5"]) for caller in (pseb, pasha)]
    outcome = (await batch(officer, {"first": contest[0]["id"]})).json()
    assert outcome["counts"]["decided"] == 1
