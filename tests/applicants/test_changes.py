"""Changes of applicants by JSON merge patch, under If-Match."""

from tests.support import cases
from tests.support.service import Caller


async def test_a_change_without_if_match_or_of_a_stale_version_changes_nothing(pseb: Caller) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.company())).json()
    path = f"/v1/applicants/{made['id']}"
    for headers, status, code in (
        ({}, 428, "precondition_required"),
        ({"If-Match": " "}, 428, "precondition_required"),
        ({"If-Match": '"2"'}, 412, "version_mismatch"),
        ({"If-Match": 'W/"2"'}, 412, "version_mismatch"),
        ({"If-Match": "1"}, 422, "invalid_value"),
    ):
        answer = await pseb.patch(path, json={"legal_name": "Other"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), headers
    assert (await pseb.get(path)).json() == made


async def test_what_identifies_an_applicant_cannot_change(pseb: Caller) -> None:
    firm = (await pseb.post("/v1/applicants", json=cases.company())).json()
    person = (await pseb.post("/v1/applicants", json=cases.individual())).json()
    for made, change, expected in (
        (firm, {"ntn": "9999999-9"}, {"/ntn": "invalid_value"}),
        (firm, {"ntn": None}, {"/ntn": "missing_field"}),
        (firm, {"kind": "individual"}, {"/kind": "invalid_value"}),
        (person, {"cnic": "99999-9999999-9"}, {"/cnic": "invalid_value"}),
        (person, {"cnic": person["cnic"]}, {"/cnic": "cnic_malformed"}),
    ):
        answer = await pseb.patch(f"/v1/applicants/{made['id']}", json=change, headers={"If-Match": '"1"'})
        assert (answer.status_code, cases.codes(answer)) == (422, expected)


async def test_a_changes_errors_come_at_once_with_their_codes(pseb: Caller) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.company())).json()
    change = {"email": "no", "mobile": "12", "legal_name": None}
    answer = await pseb.patch(f"/v1/applicants/{made['id']}", json=change, headers={"If-Match": '"1"'})
    assert (answer.status_code, cases.codes(answer)) == (
        422,
        {"/email": "email_malformed", "/mobile": "mobile_malformed", "/legal_name": "missing_field"},
    )


async def test_a_number_of_an_applicant_of_the_other_kind_cannot_be_added(pseb: Caller) -> None:
    person = cases.individual()
    await pseb.post("/v1/applicants", json=person)
    firm = (await pseb.post("/v1/applicants", json=cases.company())).json()
    change = {"cnic": person["cnic"]}
    answer = await pseb.patch(f"/v1/applicants/{firm['id']}", json=change, headers={"If-Match": '"1"'})
    assert (answer.status_code, cases.codes(answer)) == (422, {"/cnic": "applicant_conflict"})


async def test_the_regulator_reads_a_partners_record_and_does_not_change_it(pseb: Caller, officer: Caller) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.company())).json()
    path = f"/v1/applicants/{made['id']}"
    answer = await officer.patch(path, json={"legal_name": "Other"}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await pseb.get(path)).json() == made


async def test_a_merge_patch_changes_what_it_names_clears_what_is_null_and_keeps_the_rest(pseb: Caller) -> None:
    body = cases.individual(mobile="+923001234567", pseb_number="PSEB-1")
    made = (await pseb.post("/v1/applicants", json=body)).json()
    path = f"/v1/applicants/{made['id']}"
    change = {"mobile": None, "legal_name": "Ayesha Siddiqui"}
    answer = await pseb.patch(path, json=change, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    changed = answer.json()
    assert changed == {**made, **change, "version": 2, "updated_at": changed["updated_at"]}
    assert (await pseb.get(path)).json() == changed

    again = await pseb.patch(path, json=change, headers={"If-Match": '"2"'})
    assert (again.status_code, again.json()) == (200, changed)
