"""Reading uploads, their rows and their exports, and access to them."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy import select

from app.bulk_uploads.models import BulkUpload
from tests.support import cases, uploads
from tests.support.service import Caller, Service

UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"
CNIC = "90007-7654321-3"


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
    assert upload["counts"] == uploads.counts(10, created=6, refused=4)


async def test_an_unchanged_upload_is_not_sent_again(service: Service, pseb: Caller) -> None:
    taken = await uploads.send(pseb, uploads.csv_of([uploads.row("A")]))
    headers = {"If-None-Match": taken.headers["ETag"]}
    assert (await pseb.get(taken.headers["Location"], headers=headers)).status_code == 304
    await service.ingest_all()
    moved = await pseb.get(taken.headers["Location"], headers=headers)
    assert (moved.status_code, moved.json()["status"]) == (200, "completed")


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


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("encoding=latin-1", "/query/encoding"),
        ("clear=perhaps", "/query/clear"),
        ("rename=", "/query/rename"),
        ("renew=perhaps", "/query/renew"),
        ("guess=true", "/query/guess"),
        (f"ignore_columns={'x' * 501}", "/query/ignore_columns"),
        ("&".join(["ignore_columns=x"] * 65), "/query/ignore_columns"),
    ],
)
async def test_an_option_that_is_none_is_refused_before_the_file_is_stored(
    pseb: Caller, query: str, pointer: str
) -> None:
    answer = await pseb.post(
        f"/v1/bulk-uploads?{query}", content=uploads.csv_of([uploads.row("A")]), headers={"Content-Type": "text/csv"}
    )
    assert cases.codes(answer) == {pointer: "invalid_value"}
    assert (await pseb.get("/v1/bulk-uploads")).json()["items"] == []


async def test_an_upload_keeps_its_options(service: Service, pseb: Caller) -> None:
    query = (
        "clear=true&rename=true&renew=true&encoding=windows-1256&ignore_columns=Remarks&ignore_columns=Name,%20old,City"
    )
    body = uploads.csv_of([uploads.row("A")])
    answer = await pseb.post(f"/v1/bulk-uploads?{query}", content=body, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 202, answer.text
    assert [answer.json()[name] for name in ("clear", "rename", "renew")] == [True] * 3
    async with service.database.transaction(read_only=True) as tx:
        (stored,) = await tx.scalars(select(BulkUpload.options))
    assert stored == {
        "clear": True,
        "rename": True,
        "renew": True,
        "encoding": "windows-1256",
        "ignore_columns": ["Remarks", "Name, old,City", "Name", "old", "City"],
    }


@pytest.mark.parametrize("media_type", ["text/tab-separated-values", "application/vnd.ms-excel.sheet.macroEnabled.12"])
async def test_the_types_that_browsers_give_to_spreadsheets_are_taken(pseb: Caller, media_type: str) -> None:
    rows = [uploads.row("A")]
    body = uploads.csv_of(rows) if media_type.startswith("text/") else uploads.xlsx_of(rows)
    answer = await pseb.post("/v1/bulk-uploads", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == 202, answer.text
