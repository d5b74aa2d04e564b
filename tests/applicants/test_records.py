"""One record per partner and number, which only its partner and the regulator see."""

import asyncio

from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.service import Caller


async def test_another_partners_record_looks_as_if_it_did_not_exist(pseb: Caller, pasha: Caller) -> None:
    made = await pseb.post("/v1/applicants", json=cases.company())
    path = f"/v1/applicants/{made.json()['id']}"
    read = await pasha.get(path)
    changed = await pasha.patch(path, json={"legal_name": "Mine"}, headers={"If-Match": '"1"'})
    assert (read.status_code, read.json()["code"]) == (404, "not_found")
    assert (changed.status_code, changed.json()["code"]) == (404, "not_found")
    assert (await pasha.get("/v1/applicants")).json()["items"] == []
    assert (await pseb.get(path)).json() == made.json()


async def test_operators_have_no_access_to_applicants(pseb: Caller, nayatel: Caller) -> None:
    made = await pseb.post("/v1/applicants", json=cases.company())
    for answer in (
        await nayatel.get("/v1/applicants"),
        await nayatel.get(f"/v1/applicants/{made.json()['id']}"),
        await nayatel.post("/v1/applicants", json=cases.company()),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_the_same_number_again_is_the_same_record_with_the_new_details(pseb: Caller) -> None:
    body = cases.company()
    first = await pseb.post("/v1/applicants", json=body)
    assert (first.status_code, first.headers["ETag"]) == (201, '"1"')
    assert first.headers["Location"] == f"/v1/applicants/{first.json()['id']}"

    same = await pseb.post("/v1/applicants", json=body)
    assert (same.status_code, same.json()) == (200, first.json())

    moved = {**body, "email": "noc@indus.example.pk"}
    del moved["mobile"]
    second = await pseb.post("/v1/applicants", json=moved)
    assert (second.status_code, second.headers["ETag"]) == (200, '"2"')
    assert second.json()["id"] == first.json()["id"]
    assert (second.json()["email"], second.json()["mobile"]) == ("noc@indus.example.pk", None)
    assert (await pseb.get(f"/v1/applicants/{first.json()['id']}")).json() == second.json()
    assert len((await pseb.get("/v1/applicants")).json()["items"]) == 1


async def test_two_partners_records_of_one_number_share_a_subject_that_only_the_regulator_sees(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    person = cases.individual()
    mine = (await pseb.post("/v1/applicants", json=person)).json()
    theirs = (await pasha.post("/v1/applicants", json={**person, "email": "other@example.com"})).json()
    assert mine["id"] != theirs["id"]
    assert (mine["subject"], theirs["subject"]) == (None, None)

    seen = [(await officer.get(f"/v1/applicants/{each['id']}")).json() for each in (mine, theirs)]
    assert seen[0]["subject"] == seen[1]["subject"] != None  # noqa: E711  # one chain: equal, and there
    together = (await officer.get(f"/v1/applicants?subject={seen[0]['subject']}")).json()["items"]
    assert [each["id"] for each in together] == [mine["id"], theirs["id"]]
    assert (await pseb.get(f"/v1/applicants/{mine['id']}")).json()["email"] == person["email"]


async def test_the_same_new_applicant_from_two_connections_at_once_is_one_record(pseb: Caller) -> None:
    body = cases.company()
    names = [f"Indus {number}" for number in range(4)]
    answers = await asyncio.gather(*(pseb.post("/v1/applicants", json={**body, "legal_name": name}) for name in names))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert [answer.json()["legal_name"] for answer in answers] == names
    (kept,) = (await pseb.get("/v1/applicants")).json()["items"]
    assert kept["version"] == len(answers)


async def test_making_and_changing_a_record_are_events_of_its_partner_alone(pseb: Caller, pasha: Caller) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.company())).json()
    await pseb.patch(f"/v1/applicants/{made['id']}", json={"mobile": None}, headers={"If-Match": '"1"'})
    log = await wait_for_event(pseb, "applicant.changed")
    about = [(event["name"], event["details"]) for event in log if event["subject_id"] == made["id"]]
    assert about == [("applicant.created", {}), ("applicant.changed", {})]
    await pasha.post("/v1/applicants", json=cases.company())
    assert made["id"] not in str(await wait_for_event(pasha, "applicant.created"))
