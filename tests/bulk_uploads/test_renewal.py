"""Files renew and move registrations: by the column ``replaces``, and with the option ``renew``."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.support import cases, uploads
from tests.support.service import Caller, Service

PUT = text(
    "UPDATE registrations SET status = :status, expires_at = now() + :left "
    "WHERE reference = :of AND replaced_by IS NULL"
)


async def put(service: Service, reference: str, status: str, days_left: int = 300) -> None:
    async with service.database.transaction() as tx:
        await tx.execute(PUT, {"status": status, "left": timedelta(days=days_left), "of": reference})


async def ingest(
    caller: Caller, rows: list[dict[str, str]], query: str = "", *, form: str = "csv", chunk_rows: int = 2_000
) -> list[dict[str, Any]]:
    """Send a file and return its rows."""
    path, headers = f"/v1/bulk-uploads?{query}", {"Content-Type": uploads.TYPES[form]}
    answer = await caller.post(path, content=uploads.WRITERS[form](rows), headers=headers)
    assert answer.status_code == 202, answer.text
    await caller.service.ingest_all(chunk_rows)
    found = await caller.get(f"{answer.headers['Location']}/rows")
    items: list[dict[str, Any]] = found.json()["items"]
    return items


def told(rows: list[dict[str, Any]]) -> list[Any]:
    """Return the outcome of each row, with the case that it replaces, or with its problem."""
    return [
        (row["outcome"], *((each["column"], each["code"]) for each in row["problems"]))
        if row["problems"]
        else (row["outcome"], row["replaces"])
        for row in rows
    ]


async def registered(caller: Caller) -> dict[str, dict[str, Any]]:
    """Return the newest of the caller's cases by reference."""
    items = (await caller.get("/v1/registrations?limit=500")).json()["items"]
    return {each["reference"]: each for each in items}


async def decide(officer: Caller, reference: str, action: str, **more: Any) -> None:
    items = (await officer.get("/v1/registrations?limit=500")).json()["items"]
    case = next(each for each in reversed(items) if each["reference"] == reference)
    answer = await cases.decide(officer, case, action, **more)
    assert answer.status_code == 201, answer.text


async def granted(caller: Caller, officer: Caller, *references: str) -> list[dict[str, str]]:
    """Return the rows of a file whose cases are approved."""
    rows = [uploads.row(reference) for reference in references]
    await ingest(caller, rows)
    for reference in references:
        await decide(officer, reference, "approve")
    return rows


async def test_a_reference_that_is_unknown_or_anothers_is_no_case_to_replace(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    await granted(pasha, officer, "THEIRS")
    rows = [uploads.row("A", replaces="NOBODYS"), uploads.row("B", replaces="THEIRS")]
    first, second = await ingest(pseb, rows)
    assert told([first, second]) == [("refused", ("replaces", "not_found"))] * 2
    assert first["problems"][0]["detail"] == second["problems"][0]["detail"]
    assert await registered(pseb) == {}


@pytest.mark.parametrize("cell", ["x" * 101, "#N/A", "of 90009-1357924-6"])
async def test_a_cell_that_is_no_reference_is_refused(pseb: Caller, cell: str) -> None:
    (row,) = await ingest(pseb, [uploads.row("A", replaces=cell, email="@")])
    assert {each["column"]: each["code"] for each in row["problems"]} == {
        "replaces": "invalid_value",
        "email": "email_malformed",
    }
    assert "1357924" not in str(row)


async def test_a_case_that_was_never_granted_or_is_of_another_applicant_is_not_replaced(
    pseb: Caller, officer: Caller
) -> None:
    await granted(pseb, officer, "OLD")
    open_ = uploads.row("OPEN")
    await ingest(pseb, [open_])
    moved = {**open_, "reference": "A", "networks": cases.address(), "replaces": "OPEN"}
    rows = [moved, uploads.row("B", replaces="OLD")]
    assert told(await ingest(pseb, rows)) == [
        ("refused", ("replaces", "illegal_transition")),
        ("refused", ("replaces", "invalid_value")),
    ]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("chunk_rows", [1, 2_000])
async def test_the_second_row_that_replaces_a_case_is_refused(
    pseb: Caller, officer: Caller, dry_run: bool, chunk_rows: int
) -> None:
    (old,) = await granted(pseb, officer, "OLD")
    case = (await registered(pseb))["OLD"]
    rows = [{**old, "reference": each, "networks": cases.address(), "replaces": "OLD"} for each in ("A", "B")]
    found = await ingest(pseb, rows, f"dry_run={str(dry_run).lower()}", chunk_rows=chunk_rows)
    assert told(found) == [("created", case["id"]), ("refused", ("replaces", "successor_exists"))]


async def test_an_ended_case_gets_no_new_one_without_renew_or_replaces(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    rows = await granted(pseb, officer, "EXPIRED", "REVOKED")
    await put(service, "EXPIRED", "expired", -1)
    await put(service, "REVOKED", "revoked")
    found = await ingest(pseb, rows)
    assert [(row["outcome"], row["status"]) for row in found] == [("unchanged", "expired"), ("unchanged", "revoked")]
    moved = [{**row, "networks": cases.address()} for row in rows]
    assert told(await ingest(pseb, moved)) == [("refused", ("reference", "reference_duplicate"))] * 2
    assert len(await registered(pseb)) == 2


@pytest.mark.parametrize("form", ["csv", "ndjson", "xlsx"])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_renew_submits_a_successor_of_what_ends_within_60_days_or_has_ended(
    service: Service, pseb: Caller, officer: Caller, form: str, dry_run: bool
) -> None:
    states = {
        "SOON": ("approved", 59),
        "LATER": ("approved", 61),
        "LAPSED": ("lapsed", -1),
        "EXPIRED": ("expired", -1),
        "SUSPENDED": ("suspended", 1),
        "REVOKED": ("revoked", 1),
        "SURRENDERED": ("surrendered", 1),
    }
    rows = await granted(pseb, officer, *states)
    await ingest(pseb, [uploads.row("OPEN")])
    before = await registered(pseb)
    for reference, state in states.items():
        await put(service, reference, *state)
    found = await ingest(pseb, [*rows, uploads.row("NEW")], f"renew=true&dry_run={str(dry_run).lower()}", form=form)
    renewed = ("SOON", "LAPSED", "EXPIRED")
    assert told(found) == [
        *(("created", before[name]["id"]) if name in renewed else ("unchanged", None) for name in states),
        ("created", None),
    ]
    after = await registered(pseb)
    assert {name for name, case in after.items() if case["replaces"]} == (set() if dry_run else set(renewed))


async def test_a_renewal_that_is_sent_again_changes_nothing_and_corrects_what_was_rejected(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    rows = await granted(pseb, officer, "A", "B")
    for reference in ("A", "B"):
        await put(service, reference, "expired", -1)
    first = await ingest(pseb, rows, "renew=true")
    assert told(await ingest(pseb, rows, "renew=true")) == [("unchanged", None)] * 2
    await decide(officer, "A", "reject", reason_codes=["document_missing"])
    again = await ingest(pseb, rows, "renew=true")
    assert [(row["outcome"], row["status"]) for row in again] == [("unchanged", "rejected"), ("unchanged", "submitted")]
    mended = [{**row, "description": "with the lease"} for row in rows]
    assert told(await ingest(pseb, mended, "renew=true")) == [
        ("updated", first[0]["replaces"]),
        ("refused", ("reference", "reference_duplicate")),
    ]


async def test_a_file_with_the_column_replaces_renews_once_though_it_is_sent_each_night(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    old, kept = await granted(pseb, officer, "OLD", "KEPT")
    before = await registered(pseb)
    rows = [
        {**old, "reference": "MOVED", "networks": cases.address(), "replaces": "OLD"},
        {**kept, "replaces": "KEPT", "networks": cases.address()},
    ]
    first = await ingest(pseb, rows)
    assert told(first) == [("created", before["OLD"]["id"]), ("created", before["KEPT"]["id"])]
    assert told(await ingest(pseb, rows)) == [("unchanged", None)] * 2
    for reference in ("MOVED", "KEPT"):
        await decide(officer, reference, "approve")
    nightly = await ingest(pseb, rows)
    assert [(row["outcome"], row["status"]) for row in nightly] == [("unchanged", "approved")] * 2

    for reference in ("MOVED", "KEPT"):
        await put(service, reference, "lapsed", -1)
    successors = {row["reference"]: row["registration_id"] for row in first}
    lapsed = await ingest(pseb, rows)
    assert told(lapsed) == [("unchanged", None), ("created", successors["KEPT"])]
    assert told(await ingest(pseb, rows, "renew=true")) == [("created", successors["MOVED"]), ("unchanged", None)]


async def test_the_renewal_window_is_by_the_clock_of_the_register(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    rows = await granted(pseb, officer, "A")
    assert told(await ingest(pseb, rows, "renew=true")) == [("unchanged", None)]
    await service.move_clock(timedelta(days=310))
    assert told(await ingest(pseb, rows, "renew=true")) == [("created", (await registered(pseb))["A"]["replaces"])]


async def test_a_whole_register_is_renewed_by_one_file_and_one_batch_decision_without_a_serial(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    rows = [uploads.row(f"R{i}", networks=f"{cases.address()} {cases.address()}") for i in range(40)]
    await ingest(pseb, rows)
    approve = {"action": "approve", "selection": {"renewals": "unchanged"}}
    assert (await officer.post("/v1/review-decisions/batch", json=approve)).json()["counts"]["selected"] == 0
    items = (await pseb.get("/v1/registrations?limit=500")).json()["items"]
    ids = [case["id"] for case in items]
    first = {"action": "approve", "selection": {"registration_ids": ids}}
    assert (await officer.post("/v1/review-decisions/batch", json=first)).json()["counts"]["decided"] == 40
    published = await service.publish()
    assert published is not None
    assert published.count == 80
    await service.move_clock(timedelta(days=340))

    moved = uploads.row("MOVED")
    await ingest(pseb, [moved])
    done = await ingest(pseb, [*rows, {**moved, "description": "new"}], "renew=true", chunk_rows=7)
    assert told(done) == [*(("created", id_) for id_ in ids), ("refused", ("reference", "reference_duplicate"))]
    decided = (await officer.post("/v1/review-decisions/batch", json=approve)).json()
    assert decided["counts"] == {"selected": 40, "decided": 40, "refused": 0}
    assert await service.publish() is None
    nightly = await ingest(pseb, rows, "renew=true")
    assert {(row["outcome"], row["status"], row["in_force"]) for row in nightly} == {("unchanged", "approved", True)}
    renewed = await registered(pseb)
    assert {renewed[row["reference"]]["replaces"] for row in rows} == set(ids)
    assert (await pseb.get(f"/v1/registrations/{ids[0]}")).json()["status"] == "superseded"
