"""Rows of uploads are erased after their retention period, those of a dry run after a day."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.bulk_uploads import erasure
from app.bulk_uploads.ingestion import ingest
from tests.support import cases, uploads
from tests.support.erasure import NOTHING_DAYS, age_by_days, columns_with, erase, sweep
from tests.support.service import Caller, Service

PATHS = ("rows", "problems.csv", "refused.csv")
ROWS = [uploads.row("DRY-1"), uploads.row("DRY-2", email="@"), uploads.row("DRY-3", networks="10.0.0.1")]


async def statuses(caller: Caller, upload: dict[str, Any]) -> list[int]:
    """Return the status codes of the requests for the rows."""
    return [(await caller.get(f"/v1/bulk-uploads/{upload['id']}/{path}")).status_code for path in PATHS]


async def test_the_rows_of_a_dry_run_are_kept_for_a_day(service: Service, pseb: Caller) -> None:
    dry = await uploads.ingest(pseb, uploads.csv_of(ROWS), dry_run=True)
    real = await uploads.ingest(pseb, uploads.csv_of([uploads.row("REAL-1"), uploads.row("REAL-2", email="@")]))
    await age_by_days(service, 0.9)
    await sweep(service)
    assert await statuses(pseb, dry) == [200, 200, 200]
    await age_by_days(service, 0.2)
    await sweep(service)
    assert await statuses(pseb, dry) == [410, 410, 410]
    assert await columns_with(service, "DRY-") == []
    answer = await pseb.get(f"/v1/bulk-uploads/{dry['id']}/rows")
    assert answer.json()["code"] == "dry_run_forgotten"
    assert len((await pseb.get(f"/v1/bulk-uploads/{real['id']}/refused.csv")).text.splitlines()) == 2


async def test_the_counts_of_a_dry_run_stay_and_its_version_changes_when_the_rows_are_erased(
    service: Service, pseb: Caller
) -> None:
    dry = await uploads.ingest(pseb, uploads.csv_of(ROWS), dry_run=True)
    assert dry["erased_at"] is None
    await age_by_days(service, 1.1)
    await sweep(service)
    answer = await pseb.get(f"/v1/bulk-uploads/{dry['id']}", headers={"If-None-Match": f'"{dry["version"]}"'})
    assert (answer.status_code, answer.json()["counts"]) == (200, dry["counts"])
    assert answer.json()["erased_at"] is not None


async def test_an_unfinished_dry_run_is_not_erased(service: Service, pseb: Caller) -> None:
    upload_id = await uploads.submit(pseb, uploads.csv_of(ROWS), dry_run=True)
    await age_by_days(service, 30)
    await sweep(service)
    await service.ingest_all()
    assert (await uploads.get(pseb, upload_id))["counts"]["refused"] == 2
    assert (await pseb.get(f"/v1/bulk-uploads/{upload_id}/refused.csv")).status_code == 200


async def test_refused_rows_of_a_real_upload_lose_their_cells_and_keep_their_problems(
    service: Service, pseb: Caller
) -> None:
    upload = await uploads.ingest(pseb, uploads.csv_of([uploads.row("A", email="@")]))
    path = f"/v1/bulk-uploads/{upload['id']}"
    await age_by_days(service, NOTHING_DAYS - 1)
    await sweep(service)
    assert len((await pseb.get(f"{path}/refused.csv")).text.splitlines()) == 2
    await age_by_days(service, 2)
    await sweep(service)
    assert len((await pseb.get(f"{path}/refused.csv")).text.splitlines()) == 1
    assert "email_malformed" in (await pseb.get(f"{path}/problems.csv")).text
    assert (await uploads.get(pseb, upload["id"]))["erased_at"] is not None


async def test_names_and_cells_that_rows_quote_are_erased_with_the_cells(service: Service, pseb: Caller) -> None:
    known = uploads.row("N-1", legal_name="Ayesha Quoted", mobile="0300-1234567")
    other = uploads.row("N-2", legal_name="Bilal Quoted", ntn=known["ntn"])
    upload = await uploads.ingest(pseb, uploads.csv_of([known, other]))
    renamed = {**known, "reference": "N-3", "networks": cases.address(), "legal_name": "Carim Quoted"}
    content = uploads.csv_of([renamed])
    await pseb.post("/v1/bulk-uploads?rename=true", content=content, headers={"Content-Type": "text/csv"})
    await service.ingest_all()
    quoting = {"bulk_upload_rows.applicant_changes", "bulk_upload_rows.problems"}
    assert quoting <= set(await columns_with(service, "Quoted"))
    await age_by_days(service, NOTHING_DAYS + 1)
    await sweep(service)
    found = {place for place in await columns_with(service, "Quoted") if place.startswith("bulk_upload")}
    assert found == set()
    assert await columns_with(service, "****-****567") == []
    problems = (await pseb.get(f"/v1/bulk-uploads/{upload['id']}/problems.csv")).text
    assert "applicant_conflict" in problems
    assert "(erased)" in problems


@pytest.mark.parametrize("dry_run", [True, False])
async def test_more_rows_than_fit_one_transaction_are_all_erased(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setattr(erasure, "ROWS_PER_TRANSACTION", 2)
    monkeypatch.setattr(erasure, "UPLOADS_PER_QUERY", 1)
    for number in range(2):
        rows = [uploads.row(f"{number}-{i}", email="@") for i in range(4)]
        await uploads.ingest(pseb, uploads.csv_of(rows), dry_run=dry_run)
    await age_by_days(service, NOTHING_DAYS + 1)
    await sweep(service)
    assert [place for place in await columns_with(service, "\\x") if place == "bulk_upload_rows.sealed_cells"] == []


async def test_only_rows_of_the_same_partner_are_erased(service: Service, pseb: Caller, pasha: Caller) -> None:
    for caller in (pseb, pasha):
        await uploads.ingest(caller, uploads.csv_of([uploads.row("SAME-1")]), dry_run=True)
        await uploads.ingest(caller, uploads.csv_of([uploads.row("SAME-1")]))
    (case,) = (await pseb.get("/v1/registrations")).json()["items"]
    withdraw = await pseb.post(f"/v1/registrations/{case['id']}/withdraw", headers={"If-Match": "*"})
    assert withdraw.status_code == 200
    await erase(pseb, case["applicant_id"])
    references = {}
    for caller in (pseb, pasha):
        rows = [
            (await caller.get(f"/v1/bulk-uploads/{each['id']}/rows")).json()["items"][0]["reference"]
            for each in (await caller.get("/v1/bulk-uploads")).json()["items"]
        ]
        references[caller] = rows
    assert references == {pseb: [None, None], pasha: ["SAME-1", "SAME-1"]}


async def test_an_applicant_erased_between_two_chunks_of_an_upload_gets_a_new_record_for_the_next_row(
    service: Service, pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = uploads.row("B")
    known = {name: row[name] for name in ("legal_name", "ntn", "email", "mobile")}
    await pseb.post("/v1/applicants", json={"kind": "company", **known})
    upload_id = await uploads.submit(pseb, uploads.csv_of([{**row, "reference": "A", "operator": "nobody"}, row]))
    erased_ids: list[str] = []
    read_chunks = ingest.read_chunks  # type: ignore[attr-defined]  # imported there

    async def with_an_erasure_between(*arguments: Any) -> AsyncIterator[Any]:
        number = 0
        async for chunk in read_chunks(*arguments):
            if number == 1:
                (applicant,) = (await pseb.get("/v1/applicants")).json()["items"]
                erased_ids.append((await erase(pseb, applicant["id"]))["id"])
            number += 1
            yield chunk

    monkeypatch.setattr(ingest, "read_chunks", with_an_erasure_between)
    await service.ingest_all(chunk_rows=1)
    assert (await uploads.get(pseb, upload_id))["counts"]["created"] == 1
    (case,) = (await pseb.get("/v1/registrations")).json()["items"]
    assert erased_ids != [case["applicant_id"]]
    assert (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()["erased_at"] is None
