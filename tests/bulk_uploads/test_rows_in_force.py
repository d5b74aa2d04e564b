"""A row tells its case as it is now, and an upload counts the unchanged rows that are not in force."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from app.events.models import Event
from tests.support import cases, uploads
from tests.support.service import Caller, Service

STATE = ("status", "in_force", "expires_at")


async def rows_of(caller: Caller, upload: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    answer = await caller.get(f"/v1/bulk-uploads/{upload['id']}/rows{query}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def put(service: Service, **statuses: str) -> None:
    async with service.database.transaction() as tx:
        for reference, status in statuses.items():
            given = {"status": status, "reference": reference}
            await tx.execute(text("UPDATE registrations SET status = :status WHERE reference = :reference"), given)


async def approve(officer: Caller, upload: dict[str, Any]) -> None:
    selection = {"bulk_upload_id": upload["id"], "status": "submitted"}
    answer = await officer.post("/v1/review-decisions/batch", json={"selection": selection, "action": "approve"})
    assert answer.status_code in (200, 201), answer.text


async def test_a_row_without_a_case_has_no_state(pseb: Caller) -> None:
    rows = [uploads.row("A"), uploads.row("B", email="@")]
    for dry_run in (True, False):
        done = await uploads.ingest(pseb, uploads.csv_of(rows), dry_run=dry_run)
        of_a, of_b = await rows_of(pseb, done)
        assert [of_b[name] for name in STATE] == [None, None, None]
        assert [of_a[name] for name in STATE] == ([None] * 3 if dry_run else ["submitted", False, None])


async def test_a_row_tells_its_case_as_it_is_when_asked(service: Service, pseb: Caller, officer: Caller) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row("A")]))
    await approve(officer, done)
    (row,) = await rows_of(pseb, done)
    (case,) = (await pseb.get("/v1/registrations")).json()["items"]
    assert [row[name] for name in STATE] == ["approved", False, case["expires_at"]]
    await service.publish()
    for caller in (pseb, officer):
        (row,) = await rows_of(caller, done)
        assert [row[name] for name in STATE] == ["approved", True, case["expires_at"]]
    await put(service, A="expired")
    (row,) = await rows_of(pseb, done)
    assert [row[name] for name in STATE] == ["expired", False, case["expires_at"]]
    assert (row["outcome"], (await uploads.get(pseb, done["id"]))["counts"]["created"]) == ("created", 1)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("chunk_rows", [2, 2_000])
async def test_an_upload_counts_the_unchanged_rows_that_are_neither_on_the_list_nor_under_review(
    service: Service, pseb: Caller, officer: Caller, dry_run: bool, chunk_rows: int
) -> None:
    told = ["information_requested", "rejected", "suspended", "revoked", "expired"]
    quiet = ["submitted", "in_review", "approved", "lapsed"]
    body = uploads.csv_of([uploads.row(f"R{i}") for i in range(len(told + quiet))])
    await uploads.ingest(pseb, body)
    await put(service, **{f"R{i}": status for i, status in enumerate(told + quiet)})
    again = await uploads.ingest(pseb, body, dry_run=dry_run, chunk_rows=chunk_rows)
    assert (again["counts"]["unchanged"], again["counts"]["unchanged_not_in_force"]) == (9, 5)
    rows = await rows_of(pseb, again)
    assert [(row["outcome"], row["status"]) for row in rows] == [("unchanged", each) for each in told + quiet]
    async with service.database.transaction(read_only=True) as tx:
        (details,) = await tx.scalars(
            select(Event.details).where(Event.name == "bulk_upload.completed", Event.subject_id == UUID(again["id"]))
        )
    assert details["unchanged_not_in_force"] == 5


async def test_rows_are_listed_by_the_status_of_their_case(service: Service, pseb: Caller) -> None:
    body = uploads.csv_of([uploads.row(f"R{i}") for i in range(5)])
    done = await uploads.ingest(pseb, body)
    await put(service, R1="expired", R3="revoked", R4="expired")
    found: list[str] = []
    path = f"/v1/bulk-uploads/{done['id']}/rows?status=expired&status=revoked&outcome=created&limit=2"
    while path:
        page = await pseb.get(path)
        found += [each["reference"] for each in page.json()["items"]]
        path = page.headers["Link"].partition(">")[0].removeprefix("<") if "Link" in page.headers else ""
    assert found == ["R1", "R3", "R4"]
    assert await rows_of(pseb, done, "?status=expired&outcome=refused") == []
    answer = await pseb.get(f"/v1/bulk-uploads/{done['id']}/rows?status=gone")
    assert cases.codes(answer) == {"/query/status": "invalid_value"}
