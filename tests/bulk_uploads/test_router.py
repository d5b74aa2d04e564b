"""Reading uploads, their rows and their exports, and access to them."""

import csv
import io
from typing import Any

import asyncpg
import pytest

from tests.support import cases, uploads
from tests.support.service import Caller, Service

UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"
CNIC = "90007-7654321-3"


def table(answer_text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer_text, newline="")))


async def refused_rows(caller: Caller, upload: dict[str, Any]) -> list[dict[str, str]]:
    return table((await caller.get(f"/v1/bulk-uploads/{upload['id']}/refused.csv")).text)


@pytest.mark.parametrize("below", ["", "/rows", "/problems.csv", "/refused.csv"])
async def test_anothers_upload_is_not_found_as_if_it_did_not_exist(
    pseb: Caller, pasha: Caller, nayatel: Caller, below: str
) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row("A"), uploads.row("B", email="@")]))
    for other in (pasha, nayatel):
        theirs = await other.get(f"/v1/bulk-uploads/{done['id']}{below}")
        absent = await other.get(f"/v1/bulk-uploads/{UNKNOWN_ID}{below}")
        assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found")
        assert theirs.json() == {**absent.json(), "instance": theirs.json()["instance"]}


async def test_a_partner_lists_its_own_uploads_and_the_regulator_everyones(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    mine = await uploads.ingest(pseb, uploads.csv_of([uploads.row("A")]))
    theirs = await uploads.ingest(pasha, uploads.csv_of([uploads.row("A")]))
    waiting = (await uploads.send(pseb, uploads.csv_of([uploads.row("B")]))).json()
    listed = {
        caller: [each["id"] for each in (await caller.get(f"/v1/bulk-uploads{query}")).json()["items"]]
        for caller, query in ((pseb, ""), (pasha, ""), (officer, "?status=completed"))
    }
    assert listed == {pseb: [mine["id"], waiting["id"]], pasha: [theirs["id"]], officer: [mine["id"], theirs["id"]]}


@pytest.mark.parametrize("query", ["outcome=lost", "limit=0", "limit=501", "cursor=abc", "line=3"])
async def test_invalid_filters_of_rows_are_refused(pseb: Caller, query: str) -> None:
    upload = (await uploads.send(pseb, uploads.csv_of([uploads.row("A")]))).json()
    answer = await pseb.get(f"/v1/bulk-uploads/{upload['id']}/rows?{query}")
    assert cases.codes(answer) == {f"/query/{query.partition('=')[0]}": "invalid_value"}


async def test_a_cursor_of_another_uploads_rows_is_refused(pseb: Caller) -> None:
    body = uploads.csv_of([uploads.row("A"), uploads.row("B")])
    first, second = await uploads.ingest(pseb, body), await uploads.ingest(pseb, body)
    cursor = (await pseb.get(f"/v1/bulk-uploads/{first['id']}/rows?limit=1")).json()["next_cursor"]
    answer = await pseb.get(f"/v1/bulk-uploads/{second['id']}/rows?limit=1&cursor={cursor}")
    assert cases.codes(answer) == {"/query/cursor": "invalid_value"}


async def test_rows_are_listed_by_outcome_in_the_order_of_the_file_page_by_page(pseb: Caller) -> None:
    rows = [uploads.row(f"R{i}", **({"email": "@"} if i % 3 == 0 else {})) for i in range(10)]
    upload = await uploads.ingest(pseb, uploads.csv_of(rows))
    found: list[dict[str, Any]] = []
    path = f"/v1/bulk-uploads/{upload['id']}/rows?outcome=refused&limit=3"
    while path:
        page = await pseb.get(path)
        found += page.json()["items"]
        path = page.headers["Link"].partition(">")[0].removeprefix("<") if "Link" in page.headers else ""
    assert [(row["line"], row["reference"], row["outcome"]) for row in found] == [
        (i + 2, f"R{i}", "refused") for i in (0, 3, 6, 9)
    ]
    assert {problem["code"] for row in found for problem in row["problems"]} == {"email_malformed"}
    counts = upload["counts"]
    assert counts == {"total": 10, "created": 6, "unchanged": 0, "updated": 0, "refused": 4}


async def test_an_unchanged_upload_is_not_sent_again(service: Service, pseb: Caller) -> None:
    taken = await uploads.send(pseb, uploads.csv_of([uploads.row("A")]))
    headers = {"If-None-Match": taken.headers["ETag"]}
    assert (await pseb.get(taken.headers["Location"], headers=headers)).status_code == 304
    await service.ingest_all()
    moved = await pseb.get(taken.headers["Location"], headers=headers)
    assert (moved.status_code, moved.json()["status"]) == (200, "completed")


async def test_refused_rows_are_exported_in_the_columns_of_the_upload_and_accepted_once_corrected(
    pseb: Caller,
) -> None:
    columns = ("networks", "mobile", "track", "email", "applicant_kind", "legal_name", "ntn", "purpose", "protocol",
               "operator", "reference", "description")  # fmt: skip
    valid = [
        uploads.row(f"R{i}", description='@home,\n=2+2 "quoted" دفتر', mobile=f"+92300123456{i}") for i in range(3)
    ]
    invalid = [valid[0], {**valid[1], "email": "nobody"}, {**valid[2], "networks": "10.0.0.1"}]
    first = await uploads.ingest(pseb, uploads.csv_of(invalid, columns))
    assert first["counts"]["refused"] == 2

    exported = await refused_rows(pseb, first)
    assert tuple(exported[0]) == columns
    assert [row["mobile"] for row in exported] == ["'+923001234561", "'+923001234562"]
    exported[0]["email"], exported[1]["networks"] = valid[1]["email"], valid[2]["networks"]
    again = await uploads.ingest(pseb, uploads.csv_of(exported, columns))
    assert again["counts"] == {"total": 2, "created": 2, "unchanged": 0, "updated": 0, "refused": 0}
    cases_ = (await pseb.get("/v1/registrations")).json()["items"]
    assert {case["description"] for case in cases_} == {'@home,\n=2+2 "quoted" دفتر'}
    mobiles = {each["mobile"] for each in (await pseb.get("/v1/applicants")).json()["items"]}
    assert mobiles == {f"+92300123456{i}" for i in range(3)}


async def test_refused_rows_are_exported_byte_for_byte_even_when_they_are_not_text(pseb: Caller) -> None:
    header, row, _ = uploads.csv_of([uploads.row("A")]).split(b"\r\n")
    body = b"\r\n".join([header, row.replace(b"Indus", b"Ind\xff\x00us"), b"one,two", b""])
    done = await uploads.ingest(pseb, body)
    assert done["counts"]["refused"] == 2
    exported = (await pseb.get(f"/v1/bulk-uploads/{done['id']}/refused.csv")).content
    assert exported == body.replace(b",+92", b",'+92")


async def test_no_exported_cell_begins_like_a_formula(pseb: Caller) -> None:
    formulas = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    rows = [uploads.row(text, operator=text, email=text, legal_name=text) for text in formulas]
    done = await uploads.ingest(pseb, uploads.csv_of(rows))
    assert done["counts"]["refused"] == len(formulas)
    for name in ("problems.csv", "refused.csv"):
        answer = await pseb.get(f"/v1/bulk-uploads/{done['id']}/{name}")
        assert answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
        cells = [cell for row in csv.reader(io.StringIO(answer.text, newline="")) for cell in row]
        assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []


async def test_no_cnic_is_readable_in_the_tables_of_uploads(service: Service, pseb: Caller, database_url: str) -> None:
    rows = [uploads.row("A", cnic=CNIC), uploads.row("B", cnic=CNIC, email="@"), uploads.row("C", cnic=f"{CNIC}9")]
    await uploads.send(pseb, uploads.csv_of(rows))

    async def dump() -> str:
        connection = await asyncpg.connect(database_url)
        try:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            contents = [await connection.fetch(f"SELECT t::text FROM {name} t") for (name,) in tables]
        finally:
            await connection.close()
        return "\n".join(str(row[0]) for each in contents for row in each)

    before = await dump()
    await service.ingest_all()
    for content in (before, await dump()):
        assert "bulk_upload.received" in content
        assert CNIC not in content
        assert CNIC.encode().hex() not in content


async def test_the_problem_of_a_malformed_number_does_not_repeat_it(pseb: Caller) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row("C", cnic=f"{CNIC}9")]))
    problems = (await pseb.get(f"/v1/bulk-uploads/{done['id']}/problems.csv")).text
    assert [each["code"] for each in table(problems)] == ["cnic_malformed"]
    assert CNIC not in problems
