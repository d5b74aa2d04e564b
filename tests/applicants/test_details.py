"""Validation of an applicant's details: each code at its pointer, and nothing written."""

from typing import Any

import pytest

from tests.support import cases
from tests.support.service import Caller

TOO_LONG = "x" * 201


async def count(caller: Caller) -> int:
    return len((await caller.get("/v1/applicants")).json()["items"])


MALFORMED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"kind": "partnership"}, {"/kind": "invalid_value"}),
    ({"kind": None}, {"/kind": "missing_field"}),
    ({"legal_name": None}, {"/legal_name": "missing_field"}),
    ({"legal_name": " \t"}, {"/legal_name": "missing_field"}),
    ({"legal_name": TOO_LONG}, {"/legal_name": "invalid_value"}),
    ({"legal_name": "Indus\u0000Soft"}, {"/legal_name": "invalid_value"}),
    ({"legal_name": "Indus\nSoft"}, {"/legal_name": "invalid_value"}),
    ({"legal_name": 7}, {"/legal_name": "invalid_value"}),
    ({"legal_name": "#REF!"}, {"/legal_name": "invalid_value"}),
    ({"legal_name": "0"}, {"/legal_name": "invalid_value"}),
    ({"legal_name": "3520212345671"}, {"/legal_name": "invalid_value"}),
    ({"legal_name": "???? (Pvt) Ltd"}, {"/legal_name": "invalid_value"}),
    ({"legal_name": "\u202edtL eliM\u202c"}, {"/legal_name": "invalid_value"}),
    ({"legal_name": "Caf\u00c3\u00a9 Ltd"}, {"/legal_name": "invalid_value"}),
    ({"pseb_number": "n/a"}, {"/pseb_number": "invalid_value"}),
    ({"pasha_number": "-"}, {"/pasha_number": "invalid_value"}),
    ({"mobile": "N/A"}, {"/mobile": "mobile_malformed"}),
    ({"ntn": "12345678"}, {"/ntn": "ntn_malformed"}),
    ({"ntn": None}, {"/ntn": "missing_field"}),
    ({"cnic": "9000100000011"}, {"/cnic": "cnic_malformed"}),
    ({"email": "it at indus"}, {"/email": "email_malformed"}),
    ({"email": None}, {"/email": "missing_field"}),
    ({"email": f"{'a' * 250}@example.com"}, {"/email": "invalid_value"}),
    ({"mobile": "0300-1234567"}, {"/mobile": "mobile_malformed"}),
    ({"pseb_number": "x" * 101}, {"/pseb_number": "invalid_value"}),
    ({"pasha_number": "\u202812"}, {"/pasha_number": "invalid_value"}),
    ({"partner_id": "019b2f6e-5e00-7d2b-9a33-2e3d4c5b6a7f"}, {"/partner_id": "invalid_value"}),
    ({"a/b~c": 1}, {"/a~1b~0c": "invalid_value"}),
]


async def test_each_malformed_field_has_its_code_and_pointer_and_nothing_is_written(pseb: Caller) -> None:
    for changes, expected in MALFORMED:
        answer = await pseb.post("/v1/applicants", json=cases.company(**changes))
        assert (answer.status_code, cases.codes(answer)) == (422, expected), changes
        problem = answer.json()
        assert problem["code"] == next(iter(expected.values()))
        assert problem["type"] == f"/problems/{problem['code']}"
    assert await count(pseb) == 0


async def test_an_individual_needs_a_cnic(pseb: Caller) -> None:
    answer = await pseb.post("/v1/applicants", json=cases.individual(cnic=None, ntn="1234567-8"))
    assert (answer.status_code, cases.codes(answer)) == (422, {"/cnic": "missing_field"})


async def test_all_errors_come_at_once(pseb: Caller) -> None:
    body = {"kind": "individual", "legal_name": TOO_LONG, "ntn": "1", "email": "@", "mobile": "1", "colour": "green"}
    answer = await pseb.post("/v1/applicants", json=body)
    assert answer.status_code == 422
    assert cases.codes(answer) == {
        "/legal_name": "invalid_value",
        "/ntn": "ntn_malformed",
        "/email": "email_malformed",
        "/mobile": "mobile_malformed",
        "/colour": "invalid_value",
        "/cnic": "missing_field",
    }


@pytest.mark.parametrize("body", ["[]", '"company"', "null", "7", "{", ""])
async def test_a_body_that_is_no_json_object_is_refused(pseb: Caller, body: str) -> None:
    answer = await pseb.post("/v1/applicants", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_number_of_an_applicant_of_the_other_kind_is_a_conflict_at_its_pointer(pseb: Caller) -> None:
    person, firm = cases.individual(ntn="7654321-0"), cases.company()
    assert (await pseb.post("/v1/applicants", json=person)).status_code == 201
    assert (await pseb.post("/v1/applicants", json=firm)).status_code == 201
    for conflicting, pointer in (
        (cases.company(ntn=person["ntn"]), "/ntn"),
        (cases.company(cnic=person["cnic"]), "/cnic"),
        (cases.individual(ntn=firm["ntn"]), "/ntn"),
    ):
        answer = await pseb.post("/v1/applicants", json=conflicting)
        assert (answer.status_code, cases.codes(answer)) == (422, {pointer: "applicant_conflict"})
    assert await count(pseb) == 2


async def test_a_conflict_is_told_beside_malformed_fields_and_changes_nothing(pseb: Caller, pasha: Caller) -> None:
    person, firm = cases.individual(ntn="7654321-0"), cases.company()
    own = (await pseb.post("/v1/applicants", json=person)).json()
    assert (await pseb.post("/v1/applicants", json=firm)).status_code == 201
    malformed = {"/email": "email_malformed", "/legal_name": "missing_field"}
    for given, told in (
        (cases.company(ntn=person["ntn"]), {"/ntn": "applicant_conflict"}),
        (cases.company(cnic=person["cnic"]), {"/cnic": "applicant_conflict"}),
        (cases.company(ntn="1", cnic=person["cnic"]), {"/ntn": "ntn_malformed", "/cnic": "applicant_conflict"}),
        (cases.individual(ntn=firm["ntn"]), {"/ntn": "applicant_conflict"}),
        (cases.individual(), {}),
        (person, {}),
        (person | {"kind": ["company"]}, {"/kind": "invalid_value"}),
    ):
        body = given | {"email": "@", "legal_name": " "}
        answer = await pseb.post("/v1/applicants", json=body)
        assert (answer.status_code, cases.codes(answer)) == (422, malformed | told)
        elsewhere = await pasha.post("/v1/applicants", json=body)
        assert "applicant_conflict" not in cases.codes(elsewhere).values()
    patch = {"ntn": firm["ntn"], "email": "@"}
    answer = await pseb.patch(f"/v1/applicants/{own['id']}", json=patch, headers={"If-Match": '"1"'})
    assert (answer.status_code, cases.codes(answer)) == (
        422,
        {"/email": "email_malformed", "/ntn": "applicant_conflict"},
    )
    assert (await pseb.get(f"/v1/applicants/{own['id']}")).json() == own
    assert await count(pseb) == 2


async def test_records_of_other_partners_cause_no_conflict(pseb: Caller, pasha: Caller) -> None:
    person = cases.individual(ntn="7654321-0")
    assert (await pseb.post("/v1/applicants", json=person)).status_code == 201
    assert (await pasha.post("/v1/applicants", json=cases.company(ntn=person["ntn"]))).status_code == 201


async def test_text_is_kept_trimmed_and_in_nfc(pseb: Caller) -> None:
    answer = await pseb.post("/v1/applicants", json=cases.company(legal_name="  Cafe\u0301 Karachi ", pseb_number=" "))
    assert answer.status_code == 201
    assert (answer.json()["legal_name"], answer.json()["pseb_number"]) == ("Caf\u00e9 Karachi", None)
