"""Reading applicants: filters, pages and conditional requests."""

from tests.support import cases
from tests.support.service import Caller


async def test_unusable_filters_and_pages_are_refused_at_their_parameter(pseb: Caller) -> None:
    for query, expected in (
        ("kind=partnership", {"/query/kind": "invalid_value"}),
        ("ntn=12", {"/query/ntn": "ntn_malformed"}),
        ("colour=green", {"/query/colour": "invalid_value"}),
        ("cnic=90001-0000001-1", {"/query/cnic": "invalid_value"}),
        ("limit=0", {"/query/limit": "invalid_value"}),
        ("limit=501", {"/query/limit": "invalid_value"}),
        ("cursor=bm90aGluZw", {"/query/cursor": "invalid_value"}),
        ("partner_id=pseb", {"/query/partner_id": "invalid_value"}),
    ):
        answer = await pseb.get(f"/v1/applicants?{query}")
        assert (answer.status_code, cases.codes(answer)) == (422, expected)
    answer = await pseb.get("/v1/applicants/not-a-uuid")
    assert (answer.status_code, cases.codes(answer)) == (422, {"/path/applicant_id": "invalid_value"})


async def test_filters_narrow_the_list(pseb: Caller, pasha: Caller, officer: Caller) -> None:
    bodies = [
        cases.company(pseb_number="PSEB-1"),
        cases.company(pasha_number="PASHA-2"),
        cases.individual(email="Person@Example.com"),
    ]
    made = [(await pseb.post("/v1/applicants", json=body)).json() for body in bodies]
    other = (await pasha.post("/v1/applicants", json=bodies[0])).json()
    for query, expected in (
        ({}, made),
        ({"kind": "individual"}, made[2:]),
        ({"ntn": made[0]["ntn"]}, made[:1]),
        ({"pseb_number": "PSEB-1"}, made[:1]),
        ({"pasha_number": "PASHA-2"}, made[1:2]),
        ({"email": made[2]["email"]}, made[2:]),
        ({"partner_id": other["partner_id"]}, []),
        ({"ntn": "0000000-0"}, []),
    ):
        found = (await pseb.get("/v1/applicants", params=query)).json()["items"]
        assert found == expected, query
    everyones = (await officer.get("/v1/applicants", params={"ntn": made[0]["ntn"]})).json()["items"]
    assert [each["id"] for each in everyones] == [made[0]["id"], other["id"]]
    theirs = (await officer.get("/v1/applicants", params={"partner_id": other["partner_id"]})).json()["items"]
    assert [each["id"] for each in theirs] == [other["id"]]


async def test_pages_follow_one_another_without_gap_or_repeat_and_keep_the_filter(pseb: Caller) -> None:
    made = [(await pseb.post("/v1/applicants", json=cases.company())).json()["id"] for _ in range(5)]
    await pseb.post("/v1/applicants", json=cases.individual())
    seen: list[str] = []
    path: str | None = "/v1/applicants?kind=company&limit=2"
    pages = 0
    while path:
        answer = await pseb.get(path)
        seen += [each["id"] for each in answer.json()["items"]]
        pages += 1
        assert ("next" in answer.links) == (answer.json()["next_cursor"] is not None)
        path = answer.links["next"]["url"] if answer.links else None
    assert (seen, pages) == (made, 3)


async def test_a_matching_etag_gets_304_without_a_body(pseb: Caller) -> None:
    made = await pseb.post("/v1/applicants", json=cases.company())
    path, tag = made.headers["Location"], made.headers["ETag"]
    for held in (tag, f"W/{tag}", f'"7", {tag}', "*"):
        answer = await pseb.get(path, headers={"If-None-Match": held})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    await pseb.patch(path, json={"mobile": None}, headers={"If-Match": tag})
    assert (await pseb.get(path, headers={"If-None-Match": tag})).status_code == 200
