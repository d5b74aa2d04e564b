"""Batch decisions: selected by id or by upload, refusals listed, in a constant number of statements."""

from typing import Any

from tests.support import cases, uploads
from tests.support.service import Caller, Service
from tests.support.statements import record_statements

BATCH = "/v1/review-decisions/batch"
SOME_ID = "019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a"


async def batch(officer: Caller, selection: dict[str, Any], action: str = "approve", **verdict: Any) -> Any:
    return await officer.post(BATCH, json={"selection": selection, "action": action, **verdict})


async def test_an_incomplete_selection_is_refused(officer: Caller) -> None:
    for selection, expected in (
        (None, {"/selection": "missing_field"}),
        ({}, {"/selection": "invalid_value"}),
        ({"registration_ids": []}, {"/selection/registration_ids": "missing_field"}),
        ({"registration_ids": ["x"]}, {"/selection/registration_ids/0": "invalid_value"}),
        ({"bulk_upload_id": SOME_ID}, {"/selection/status": "invalid_value"}),
        ({"status": "submitted"}, {"/selection": "invalid_value"}),
        ({"registration_ids": [SOME_ID], "status": "submitted"}, {"/selection/status": "invalid_value"}),
        ({"registration_ids": [SOME_ID], "bulk_upload_id": SOME_ID}, {"/selection": "invalid_value"}),
    ):
        answer = await officer.post(BATCH, json={"action": "approve", "selection": selection})
        assert (answer.status_code, cases.codes(answer)) == (422, expected), selection


async def test_a_batch_needs_the_fields_that_a_decision_needs(officer: Caller) -> None:
    answer = await batch(officer, {"registration_ids": [SOME_ID]}, "revoke")
    assert answer.status_code == 422
    assert cases.codes(answer) == {"/reason_codes": "missing_field", "/legal_basis": "missing_field"}


async def test_cases_that_cannot_be_decided_are_listed_with_a_problem_and_the_rest_is_decided(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    other = await service.officer("pta-officer-2")
    sound = await cases.submitted(pseb)
    approved = await cases.approved(pseb, officer)
    own = await cases.submitted(officer)
    claimed = await cases.submitted(pseb)
    await other.post(f"/v1/registrations/{claimed['id']}/claim", headers={"If-Match": "*"})
    contest = [await cases.submitted(caller, networks=["203.99.50.5"]) for caller in (pseb, pasha)]
    asked = [
        SOME_ID,
        own["id"],
        approved["id"],
        contest[1]["id"],
        claimed["id"],
        contest[0]["id"],
        sound["id"],
        sound["id"],
    ]

    answer = await batch(officer, {"registration_ids": asked})
    assert answer.status_code == 200, answer.text
    outcome = answer.json()
    refused = {each["registration_id"]: each["problem"] for each in outcome["refused"]}
    assert {id_: (problem["code"], problem["status"]) for id_, problem in refused.items()} == {
        SOME_ID: ("not_found", 404),
        own["id"]: ("self_review", 403),
        approved["id"]: ("illegal_transition", 409),
        claimed["id"]: ("claimed_by_another", 409),
        contest[1]["id"]: ("network_taken", 422),
    }
    assert refused[own["id"]]["instance"] == f"/v1/registrations/{own['id']}"
    assert outcome["counts"] == {"selected": 7, "decided": 2, "refused": 5}
    decided = (await officer.get(f"/v1/review-decisions?batch_id={outcome['batch_id']}")).json()["items"]
    assert {each["registration_id"] for each in decided} == {sound["id"], contest[0]["id"]}
    for case, status in ((sound, "approved"), (contest[0], "approved"), (contest[1], "submitted"), (own, "submitted")):
        assert (await officer.get(f"/v1/registrations/{case['id']}")).json()["status"] == status


async def test_a_registration_is_granted_whole_or_not_at_all(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    await cases.approved(pseb, officer, networks=["203.99.50.1"])
    await service.publish()
    contested = await cases.submitted(pasha, networks=["203.99.51.1", "203.99.51.2"])
    other = await cases.submitted(pseb, networks=["203.99.51.2"])
    await batch(officer, {"registration_ids": [other["id"]]})
    outcome = (await batch(officer, {"registration_ids": [contested["id"]]})).json()
    assert outcome["counts"] == {"selected": 1, "decided": 0, "refused": 1}
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed, publication.count) == (1, 0, 2)


async def test_an_upload_is_decided_by_its_id_and_status(service: Service, pseb: Caller, officer: Caller) -> None:
    rows = [uploads.row(f"ref-{number}") for number in range(5)]
    upload = await uploads.ingest(pseb, uploads.csv_of(rows))
    aside = await cases.submitted(pseb)
    first = (await pseb.get("/v1/registrations?reference=ref-0")).json()["items"][0]
    await cases.decide(officer, first, "reject", reason_codes=["duplicate"])

    selection = {"bulk_upload_id": upload["id"], "status": "submitted"}
    outcome = (await batch(officer, selection)).json()
    assert outcome["counts"] == {"selected": 4, "decided": 4, "refused": 0}
    assert (await pseb.get(f"/v1/registrations/{aside['id']}")).json()["status"] == "submitted"
    again = (await batch(officer, selection)).json()
    assert (again["counts"], again["refused"]) == ({"selected": 0, "decided": 0, "refused": 0}, [])
    revoked = await batch(
        officer, {**selection, "status": "approved"}, "revoke", reason_codes=["misuse"], legal_basis="O"
    )
    assert revoked.json()["counts"]["decided"] == 4
    assert await service.publish() is None


async def test_a_batch_takes_as_many_statements_for_300_registrations_as_for_10(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    taken = []
    for name, number in (("few", 10), ("many", 300)):
        rows = [uploads.row(f"{name}-{each}") for each in range(number)]
        upload = await uploads.ingest(pseb, uploads.csv_of(rows))
        async with record_statements(service.app.state.database) as statements:
            outcome = (await batch(officer, {"bulk_upload_id": upload["id"], "status": "submitted"})).json()
        assert outcome["counts"]["decided"] == number
        # the officer's first request also takes a lease of its rate limit
        taken.append(sum("rate_windows" not in each for each in statements))
    assert taken[0] == taken[1] < 25


async def test_a_dry_run_tells_what_the_batch_will_tell_and_changes_nothing(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    network = cases.address()
    sound, foreign = await cases.submitted(pseb), await cases.submitted(pseb, networks=["8.8.8.8"])
    rivals = [await cases.submitted(caller, networks=[network]) for caller in (pseb, pasha)]
    claimed, withdrawn = await cases.submitted(pseb), await cases.submitted(pseb)
    second = await service.officer("pta-officer-2")
    await second.post(f"/v1/registrations/{claimed['id']}/claim", headers={"If-Match": "*"})
    await pseb.post(f"/v1/registrations/{withdrawn['id']}/withdraw", headers={"If-Match": "*"})
    ids = [each["id"] for each in (sound, foreign, *rivals, claimed, withdrawn)]

    async def state() -> Any:
        read = [(await officer.get(f"/v1/registrations/{id_}")).text for id_ in ids]
        decisions = (await officer.get("/v1/review-decisions")).json()["items"]
        return read, decisions, (await officer.get("/v1/events?limit=500")).json()["items"]

    before = await state()
    tried = (await batch(officer, {"registration_ids": [*ids, SOME_ID]}, dry_run=True)).json()
    assert await state() == before
    assert await service.publish() is None
    assert tried["counts"] == {"selected": 7, "decided": 2, "refused": 5}
    assert tried["statuses"] == {"submitted": 4, "in_review": 1, "withdrawn": 1}
    assert tried["flagged"] == {"outside_country": 1, "operator_prefix_mismatch": 1}
    assert tried["reasons"] == {
        "flagged": 1, "network_taken": 1, "claimed_by_another": 1, "illegal_transition": 1, "not_found": 1
    }  # fmt: skip
    done = (await batch(officer, {"registration_ids": [*ids, SOME_ID]})).json()
    assert (tried.pop("dry_run"), done.pop("dry_run"), tried.pop("batch_id")) == (True, False, None)
    assert done.pop("batch_id")
    assert tried == done


async def test_what_is_meant_as_a_dry_run_is_never_carried_out(pseb: Caller, officer: Caller) -> None:
    case = await cases.submitted(pseb)
    body = {"selection": {"registration_ids": [case["id"]]}, "action": "approve"}
    for path, changes in (
        (f"{BATCH}?dry_run=true", {}),
        (BATCH, {"dryrun": True}),
        (BATCH, {"dry_run": "true"}),
        (BATCH, {"dry_run": 1}),
        (BATCH, {"dry_run": [True]}),
    ):
        answer = await officer.post(path, json={**body, **changes})
        assert answer.status_code == 422, changes
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["status"] == "submitted"
