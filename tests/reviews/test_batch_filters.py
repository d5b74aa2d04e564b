"""Batch decisions on the registrations that meet filters, the same as those of the list."""

from typing import Any

import pytest

from tests.support import cases
from tests.support.service import Caller, Service

BATCH = "/v1/review-decisions/batch"
SOME_ID = "019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a"


async def decide(officer: Caller, chosen: Any, action: str = "approve", **more: Any) -> Any:
    return await officer.post(BATCH, json={"selection": {"filter": chosen}, "action": action, **more})


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {"": "missing_field"}),
        ({"status": None}, {"": "missing_field"}),
        ([], {"": "invalid_value"}),
        ("approved", {"": "invalid_value"}),
        ({"status": []}, {"/status": "missing_field"}),
        ({"status": "open"}, {"/status": "invalid_value"}),
        ({"status": ["approved", "open"]}, {"/status/1": "invalid_value"}),
        ({"status": {"is": "approved"}}, {"/status": "invalid_value"}),
        ({"status": ["approved"] * 51}, {"/status": "invalid_value"}),
        ({"flag": "red", "track": 7}, {"/flag": "invalid_value", "/track": "invalid_value"}),
        ({"operator": "NAYATEL"}, {"/operator": "unknown_operator"}),
        ({"operator": ["nayatel", "acme"]}, {"/operator": "unknown_operator"}),
        ({"network": "203.99.160.5/29"}, {"/network": "network_host_bits"}),
        ({"applicant_id": "7", "partner_id": "x"}, {"/applicant_id": "invalid_value", "/partner_id": "invalid_value"}),
        ({"expires_before": "tomorrow"}, {"/expires_before": "invalid_value"}),
        ({"expires_before": "2027-01-01T00:00:00"}, {"/expires_before": "invalid_value"}),
        ({"status": "approved", "limit": 5}, {"/limit": "invalid_value"}),
        ({"reference": "a\u0000"}, {"/reference": "invalid_value"}),
    ],
    ids=range(18),
)  # fmt: skip
async def test_a_filter_that_cannot_be_is_refused_at_its_place(
    pseb: Caller, officer: Caller, chosen: Any, expected: dict[str, str]
) -> None:
    case = await cases.submitted(pseb)
    answer = await decide(officer, chosen)
    pointers = {f"/selection/filter{place}": code for place, code in expected.items()}
    assert (answer.status_code, cases.codes(answer)) == (422, pointers)
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json() == case


@pytest.mark.parametrize("other", [{"registration_ids": [SOME_ID]}, {"bulk_upload_id": SOME_ID, "status": "approved"}])
async def test_a_filter_does_not_go_with_another_selection(officer: Caller, other: dict[str, Any]) -> None:
    body = {"selection": {"filter": {"status": "submitted"}, **other}, "action": "approve"}
    answer = await officer.post(BATCH, json=body)
    assert (answer.status_code, cases.codes(answer)) == (422, {"/selection": "invalid_value"})


async def test_each_filter_selects_what_the_list_shows_by_it(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    network = cases.address()
    contested = [await cases.submitted(caller, networks=[network]) for caller in (pseb, pasha)]
    foreign = await cases.submitted(pseb, networks=["8.8.8.8"], reference="abroad", purpose="banking")
    elsewhere = await cases.submitted(
        pasha, networks=["39.32.0.7"], operator="ptcl", track="call_centre", subscriber_id="1"
    )
    granted = await cases.approved(pseb, officer)
    claimed = await cases.submitted(pseb)
    await officer.post(f"/v1/registrations/{claimed['id']}/claim", headers={"If-Match": "*"})
    filters: list[dict[str, Any]] = [
        {"status": "submitted"},
        {"status": ["approved", "in_review"]},
        {"track": "call_centre"},
        {"purpose": ["banking", "education"]},
        {"operator": ["ptcl"]},
        {"operator": ["ptcl", "nayatel"], "status": "submitted"},
        {"applicant_id": foreign["applicant_id"]},
        {"reference": "abroad"},
        {"bulk_upload_id": SOME_ID},
        {"flag": "outside_country"},
        {"flag": ["outside_country", "operator_prefix_mismatch"]},
        {"flag": "contested"},
        {"flag": ["contested", "outside_country"]},
        {"network": network},
        {"claimed_by": str(officer.credentials.id)},
        {"partner_id": elsewhere["partner_id"]},
        {"expires_before": "2090-01-01T00:00:00Z"},
        {"expires_before": granted["expires_at"]},
    ]
    everything = len((await officer.get("/v1/registrations")).json()["items"])
    for chosen in filters:
        listed = (await officer.get("/v1/registrations", params=chosen)).json()["items"]
        outcome = (await decide(officer, chosen, dry_run=True)).json()
        assert outcome["counts"]["selected"] == len(listed) < everything, chosen
        assert outcome["batch_id"] is None
    assert len(contested) == 2


async def test_a_batch_by_filter_decides_what_it_told_in_a_dry_run(pseb: Caller, officer: Caller) -> None:
    sound = [await cases.submitted(pseb) for _ in range(2)]
    foreign = await cases.submitted(pseb, networks=["8.8.8.8"])
    withdrawn = await cases.submitted(pseb)
    await pseb.post(f"/v1/registrations/{withdrawn['id']}/withdraw", headers={"If-Match": "*"})
    chosen = {"status": ["submitted", "withdrawn"], "track": "vpn_company"}
    tried = (await decide(officer, chosen, dry_run=True)).json()
    assert tried["counts"] == {"selected": 4, "decided": 2, "refused": 2}
    assert tried["flagged"] == {"outside_country": 1, "operator_prefix_mismatch": 1}
    assert tried["reasons"] == {"flagged": 1, "illegal_transition": 1}
    done = (await decide(officer, chosen)).json()
    assert {**done, "batch_id": None, "dry_run": True} == tried
    for case, status in ((sound[0], "approved"), (sound[1], "approved"), (foreign, "submitted")):
        assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["status"] == status


async def test_the_list_takes_the_same_filter_by_expiry(pseb: Caller, officer: Caller) -> None:
    granted = await cases.approved(pseb, officer)
    await cases.submitted(pseb)
    for before, found in (("2026-12-01T00:00:00Z", []), ("2090-01-01T00:00:00Z", [granted["id"]])):
        answer = await pseb.get("/v1/registrations", params={"expires_before": before})
        assert [each["id"] for each in answer.json()["items"]] == found
    refused = await pseb.get("/v1/registrations?expires_before=2090")
    assert (refused.status_code, cases.codes(refused)) == (422, {"/query/expires_before": "invalid_value"})
