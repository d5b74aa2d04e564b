"""Reading registrations: visibility, filters, pages and history."""

from typing import Any
from uuid import uuid4

from app.registrations.schemas import Registration
from tests.support import cases, uploads
from tests.support.service import Caller


async def ids(caller: Caller, **query: Any) -> list[str]:
    answer = await caller.get("/v1/registrations", params=query)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


async def test_unusable_filters_are_refused_at_their_parameter(pseb: Caller) -> None:
    for query, expected in (
        ("status=open", {"/query/status": "invalid_value"}),
        ("flag=red", {"/query/flag": "invalid_value"}),
        ("network=203.99.160.5/29", {"/query/network": "network_host_bits"}),
        ("network=x", {"/query/network": "network_malformed"}),
        ("applicant_id=7", {"/query/applicant_id": "invalid_value"}),
        ("reference=%00", {"/query/reference": "invalid_value"}),
        ("limit=many", {"/query/limit": "invalid_value"}),
        ("order=asc", {"/query/order": "invalid_value"}),
        ("operator=NAYATEL", {"/query/operator": "unknown_operator"}),
        ("operator=nayatel&operator=NAYATEL", {"/query/operator": "unknown_operator"}),
        ("reference=a&reference=b", {"/query/reference": "invalid_value"}),
        ("status=submitted,approved", {"/query/status": "invalid_value"}),
        ("cursor=%21", {"/query/cursor": "invalid_value"}),
    ):
        answer = await pseb.get(f"/v1/registrations?{query}")
        assert (answer.status_code, cases.codes(answer)) == (422, expected), query


async def test_a_repeated_filter_means_any_of_its_values(pseb: Caller, officer: Caller) -> None:
    open_, granted = (await cases.submitted(pseb))["id"], (await cases.approved(pseb, officer))["id"]
    elsewhere = (await cases.submitted(pseb, operator="ptcl"))["id"]
    assert await ids(pseb, status="submitted") == [open_, elsewhere]
    assert await ids(pseb, status=["submitted", "approved"]) == [open_, granted, elsewhere]
    assert await ids(pseb, status=["submitted", "approved"], operator=["ptcl", "jazz"]) == [elsewhere]
    assert await ids(pseb, status=["approved", "withdrawn"], track=["vpn_company", "call_centre"]) == [granted]
    page = await pseb.get("/v1/registrations?status=submitted&status=approved&limit=1")
    assert "status=submitted&status=approved" in page.headers["Link"]
    second = await pseb.get(page.headers["Link"].partition(">")[0][1:])
    assert [each["id"] for each in second.json()["items"]] == [granted]


async def test_several_flags_mean_any_of_them_also_the_one_that_is_not_stored(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    network = cases.address()
    contested = [(await cases.submitted(caller, networks=[network]))["id"] for caller in (pseb, pasha)]
    foreign = (await cases.submitted(pseb, networks=["8.8.8.8"]))["id"]
    mismatched = (await cases.submitted(pseb, networks=["39.32.0.7"]))["id"]
    await cases.submitted(pseb)
    assert await ids(officer, flag="contested") == contested
    assert await ids(officer, flag=["contested", "outside_country"]) == [*contested, foreign]
    assert await ids(officer, flag=["outside_country", "operator_prefix_mismatch"]) == [foreign, mismatched]
    hidden = await pseb.get("/v1/registrations?flag=outside_country&flag=contested")
    assert (hidden.status_code, cases.codes(hidden)) == (422, {"/query/flag": "invalid_value"})


async def test_another_associations_registration_looks_as_if_it_did_not_exist(pseb: Caller, pasha: Caller) -> None:
    case = await cases.submitted(pseb, reference="mine")
    for path in (f"/v1/registrations/{case['id']}", f"/v1/registrations/{case['id']}/history"):
        answer = await pasha.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        unknown = await pasha.get(path.replace(case["id"], str(uuid4())))
        assert {**answer.json(), "instance": ""} == {**unknown.json(), "instance": ""}
    assert await ids(pasha) == await ids(pasha, reference="mine") == await ids(pasha, network=case["networks"][0]) == []
    assert await ids(pasha, partner_id=case["partner_id"]) == []


async def test_a_case_reads_the_same_wherever_it_is_read(pseb: Caller, officer: Caller) -> None:
    told: dict[str, Any] = {
        "description": 'A "quote", a \\\\ and نام',
        "subscriber_id": "N-7",
        "networks": ["154.192.9.9", "2400:adc5::/48"],
    }
    made = await cases.submitted(pseb, **told)
    listed = (
        await pseb.get("/v1/registrations", params={"reference": made["reference"]} if made["reference"] else {})
    ).json()
    one = await pseb.get(f"/v1/registrations/{made['id']}")
    assert (
        [made]
        == listed["items"]
        == [one.json()]
        == [Registration.model_validate_json(one.text).model_dump(mode="json")]
    )
    assert made["networks"] == ["154.192.9.9/32", "2400:adc5::/48"]
    assert (await officer.get(f"/v1/registrations/{made['id']}")).json() == made
    again = await pseb.get(f"/v1/registrations/{made['id']}", headers={"If-None-Match": one.headers["ETag"]})
    assert (again.status_code, again.text) == (304, "")


async def test_an_operator_sees_the_cases_that_name_it_without_note_legal_basis_and_description(
    pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    told: dict[str, Any] = {"description": "Head office", "subscriber_id": "NAYATEL-7"}
    mine = await cases.submitted(pseb, **told)
    theirs = await cases.submitted(pseb, operator="ptcl", networks=["39.32.0.7"])
    await cases.decide(officer, mine, "reject", reason_codes=["misuse"], note="A word", legal_basis="Order 1")
    assert await ids(nayatel) == [mine["id"]]
    assert (await nayatel.get(f"/v1/registrations/{theirs['id']}")).status_code == 404

    full = (await officer.get(f"/v1/registrations/{mine['id']}")).json()
    assert (full["note"], full["legal_basis"], full["description"]) == ("A word", "Order 1", "Head office")
    seen = (await nayatel.get(f"/v1/registrations/{mine['id']}")).json()
    assert seen == {**full, "note": None, "legal_basis": None, "description": None, "claimed_by": None}
    assert (seen["subscriber_id"], seen["reason_codes"]) == ("NAYATEL-7", ["misuse"])
    history = (await nayatel.get(f"/v1/registrations/{mine['id']}/history")).text
    assert "registration.rejected" in history
    for hidden in ("A word", "Order 1", "Head office"):
        assert hidden not in history + (await nayatel.get("/v1/registrations")).text


async def test_filters_narrow_the_list(pseb: Caller, pasha: Caller, officer: Caller) -> None:
    firm = cases.company()
    office = await cases.submitted(pseb, firm, reference="one", networks=["203.99.160.16/29", "2400:1460:1::/64"])
    bank = await cases.submitted(pseb, firm, operator="ptcl", networks=["39.32.0.7"], purpose="banking")
    person = await cases.submitted(pseb, cases.individual(), track="vpn_freelancer", networks=["8.8.8.8"])
    await officer.post(f"/v1/registrations/{bank['id']}/claim", headers={"If-Match": '"1"'})
    done = await uploads.ingest(pasha, uploads.csv_of([uploads.row("one")]))
    (upload,) = await ids(pasha)
    all_ = [office["id"], bank["id"], person["id"]]
    for query, expected in (
        ({}, all_),
        ({"status": "in_review"}, [bank["id"]]),
        ({"track": "vpn_freelancer"}, [person["id"]]),
        ({"purpose": "banking"}, [bank["id"]]),
        ({"operator": "ptcl"}, [bank["id"]]),
        ({"applicant_id": office["applicant_id"]}, [office["id"], bank["id"]]),
        ({"reference": "one"}, [office["id"]]),
        ({"flag": "outside_country"}, [person["id"]]),
        ({"network": "203.99.160.17"}, [office["id"]]),
        ({"network": "203.99.160.0/24"}, [office["id"]]),
        ({"network": "2400:1460:1::7"}, [office["id"]]),
        ({"network": "203.99.160.24"}, []),
        ({"bulk_upload_id": done["id"]}, []),
        ({"operator": "ptcl", "status": "submitted"}, []),
    ):
        assert await ids(pseb, **query) == expected, query
    assert await ids(officer) == [*all_, upload]
    assert await ids(officer, reference="one") == [office["id"], upload]
    assert await ids(officer, partner_id=str(pasha.credentials.partner_id)) == [upload]
    assert await ids(officer, bulk_upload_id=done["id"]) == [upload]
    assert await ids(officer, claimed_by=str(officer.credentials.id)) == [bank["id"]]


async def test_pages_follow_one_another_and_a_cursor_serves_its_own_list_only(pseb: Caller) -> None:
    made = [(await cases.submitted(pseb))["id"] for _ in range(3)]
    first = await pseb.get("/v1/registrations?limit=2")
    assert [each["id"] for each in first.json()["items"]] == made[:2]
    second = await pseb.get(first.links["next"]["url"])
    assert ([each["id"] for each in second.json()["items"]], second.json()["next_cursor"]) == (made[2:], None)
    cursor = first.json()["next_cursor"]
    assert cases.codes(await pseb.get(f"/v1/applicants?cursor={cursor}")) == {"/query/cursor": "invalid_value"}


async def test_a_case_that_the_caller_has_already_is_not_sent_again(pseb: Caller) -> None:
    case = await cases.submitted(pseb)
    answer = await pseb.get(f"/v1/registrations/{case['id']}", headers={"If-None-Match": '"1"'})
    assert (answer.status_code, answer.content) == (304, b"")


async def test_the_history_lists_all_events_oldest_first_page_by_page(pseb: Caller, officer: Caller) -> None:
    case = await cases.submitted(pseb, reference="one")
    path, any_ = f"/v1/registrations/{case['id']}", {"If-Match": "*"}
    await officer.post(f"{path}/claim", headers=any_)
    await officer.delete(f"{path}/claim", headers=any_)
    verdict = {"reason_codes": ["document_missing"], "note": "The lease"}
    body = {"registration_id": case["id"], "action": "request_information", **verdict}
    await officer.post("/v1/review-decisions", json=body, headers=any_)
    await pseb.patch(path, json={"purpose": "banking"}, headers=any_)
    await pseb.post(f"{path}/submit", headers=any_)
    await pseb.post(f"{path}/withdraw", headers=any_)

    told: list[dict[str, Any]] = []
    url: str | None = f"{path}/history?limit=3"
    while url:
        answer = await pseb.get(url)
        assert len(answer.json()["items"]) <= 3
        told += answer.json()["items"]
        url = answer.links["next"]["url"] if answer.links else None
    assert [event["name"].removeprefix("registration.") for event in told] == [
        "submitted",
        "claimed",
        "given_back",
        "information_requested",
        "corrected",
        "submitted",
        "withdrawn",
    ]
    content = {"networks": case["networks"], "reference": "one", "operator": case["operator"]}
    assert told[0]["details"] == {"status": "submitted", **content}
    assert all(event["details"].items() >= content.items() for event in told)
    assert told[3]["details"].items() >= verdict.items()
    actors = [event["actor_client_id"] for event in told]
    assert actors == [str(pseb.credentials.id), None, None, None, *[str(pseb.credentials.id)] * 3]
