"""The applicants of an upload: what its rows leave out stays, and contradictory rows are refused."""

from random import Random
from typing import Any

import pytest

from app.bulk_uploads.rules import COLUMNS
from tests.support import cases, uploads
from tests.support.service import Caller, Service

KNOWN = {"legal_name": "Keeps Ltd", "ntn": "7700001-1", "cnic": "35202-1111111-1", "mobile": "+923009990001"}
WITHOUT_NUMBERS = tuple(each for each in COLUMNS if each not in ("cnic", "mobile", "pseb_number", "pasha_number"))


async def problems(caller: Caller, done: dict[str, Any]) -> list[tuple[int, str, str, str]]:
    """Return line, column, code and detail of each problem of the upload."""
    rows = (await caller.get(f"/v1/bulk-uploads/{done['id']}/rows?outcome=refused")).json()["items"]
    return [(each["line"], each["column"], each["code"], each["detail"]) for row in rows for each in row["problems"]]


async def applicants(caller: Caller) -> list[dict[str, Any]]:
    """Return the caller's records."""
    found: list[dict[str, Any]] = (await caller.get("/v1/applicants")).json()["items"]
    return found


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("chunk_rows", [1, 2_000])
async def test_the_second_of_two_names_under_one_ntn_is_refused_and_both_names_are_said(
    pseb: Caller, chunk_rows: int, dry_run: bool
) -> None:
    first = uploads.row("F-002", legal_name="Alpha Bank Ltd")
    second = uploads.row("F-003", legal_name="Beta Exports Ltd", ntn=first["ntn"])
    third = uploads.row("F-004", legal_name="Alpah Bank Ltd", ntn=first["ntn"])
    body = uploads.csv_of([first, second, third, {**first, "reference": "F-005", "networks": cases.address()}])
    done = await uploads.ingest(pseb, body, dry_run=dry_run, chunk_rows=chunk_rows)
    assert (done["counts"]["created"], done["counts"]["refused"]) == (2, 2)
    other, typing_error = await problems(pseb, done)
    assert other[:3] == (3, "legal_name", "applicant_conflict")
    assert "'Alpha Bank Ltd'" in other[3]
    assert "'Beta Exports Ltd'" in other[3]
    assert typing_error[:3] == (4, "legal_name", "applicant_conflict")
    assert "differ by one character" in typing_error[3]
    assert [each["legal_name"] for each in await applicants(pseb)] == ([] if dry_run else ["Alpha Bank Ltd"])


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_name_that_contradicts_an_earlier_upload_is_refused_and_nothing_of_its_row_is_taken(
    pseb: Caller, dry_run: bool
) -> None:
    await uploads.ingest(pseb, uploads.csv_of([uploads.row("F-1", **KNOWN)]))
    before = await applicants(pseb)
    row = uploads.row("F-2", **{**KNOWN, "legal_name": "Beta Exports Ltd", "mobile": "+923001111111"})
    done = await uploads.ingest(pseb, uploads.csv_of([row]), dry_run=dry_run)
    assert [each[:3] for each in await problems(pseb, done)] == [(2, "legal_name", "applicant_conflict")]
    assert await applicants(pseb) == before


async def test_an_ntn_and_a_cnic_that_lead_to_two_records_refuse_the_row_without_repeating_the_cnic(
    pseb: Caller,
) -> None:
    other = uploads.row("F-2", cnic="35202-2222222-2")
    mixed = uploads.row("F-3", **{**KNOWN, "cnic": other["cnic"]})
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row("F-1", **KNOWN), other, mixed]))
    (problem,) = await problems(pseb, done)
    assert problem[:3] == (4, "cnic", "applicant_conflict")
    assert KNOWN["ntn"] in problem[3]
    assert other["cnic"] not in problem[3]


@pytest.mark.parametrize("columns", [COLUMNS, WITHOUT_NUMBERS], ids=["blank cells", "columns left out"])
@pytest.mark.parametrize("chunk_rows", [1, 2_000])
async def test_a_blank_cell_and_a_column_left_out_keep_what_is_known_of_an_applicant(
    pseb: Caller, chunk_rows: int, columns: tuple[str, ...]
) -> None:
    await uploads.ingest(pseb, uploads.csv_of([uploads.row("F-001", **KNOWN)]))
    before = await applicants(pseb)
    assert (before[0]["cnic"], before[0]["mobile"]) == ("*****-*****11-1", KNOWN["mobile"])
    short = [uploads.row(f"F-{n}", **{**KNOWN, "email": before[0]["email"]}) for n in range(3)]
    rows = [{name: cell for name, cell in row.items() if name in WITHOUT_NUMBERS} for row in short]
    done = await uploads.ingest(pseb, uploads.csv_of(rows, columns), chunk_rows=chunk_rows)
    assert done["counts"]["created"] == 3
    assert await applicants(pseb) == before


@pytest.mark.parametrize("dry_run", [True, False])
async def test_changes_of_an_applicant_are_told_masked_and_counted(pseb: Caller, dry_run: bool) -> None:
    await uploads.ingest(pseb, uploads.csv_of([uploads.row("F-1", **KNOWN, pseb_number="P-1", email="a@b.example.pk")]))
    (before,) = await applicants(pseb)
    same = {**KNOWN, "email": "a@b.example.pk"}
    rows = [
        uploads.row("F-2", **{**same, "mobile": "", "cnic": ""}),
        uploads.row("F-3", **{**same, "mobile": "0300-1111111", "email": "new@b.example.pk"}),
        uploads.row("F-4", **{**same, "email": "new@b.example.pk", "mobile": "-", "pseb_number": "-"}),
        uploads.row("F-5"),
        uploads.row("F-6", **{**same, "legal_name": "Keeps Exports Ltd", "mobile": "", "email": "new@b.example.pk"}),
    ]
    query = f"dry_run={str(dry_run).lower()}&clear=true&rename=true"
    sent = await pseb.post(
        f"/v1/bulk-uploads?{query}", content=uploads.csv_of(rows), headers={"Content-Type": "text/csv"}
    )
    await pseb.service.ingest_all(2)
    done = (await pseb.get(sent.headers["Location"])).json()
    assert (done["applicants"], done["counts"]["created"]) == ({"created": 1, "changed": 3}, 5)
    told = (await pseb.get(f"{sent.headers['Location']}/rows")).json()["items"]
    assert [[tuple(each.values()) for each in row["applicant_changes"]] for row in told] == [
        [],
        [("email", "a***@b.example.pk", "n***@b.example.pk"), ("mobile", "+*********001", "+*********111")],
        [("mobile", "+*********111", None), ("pseb_number", "P-1", None)],
        [],
        [("legal_name", "Keeps Ltd", "Keeps Exports Ltd")],
    ]
    after = next(each for each in await applicants(pseb) if each["id"] == before["id"])
    if dry_run:
        assert after == before
    else:
        names = ("legal_name", "mobile", "pseb_number", "email", "cnic")
        assert [after[name] for name in names] == ["Keeps Exports Ltd", None, None, "new@b.example.pk", before["cnic"]]


async def test_uploads_are_answered_alike_whatever_another_partner_has(pseb: Caller, pasha: Caller) -> None:
    rows = [uploads.row("F-1", **KNOWN), uploads.row("F-2", **{**KNOWN, "legal_name": "Keps Ltd"})]
    others = [uploads.row("O-1", ntn=KNOWN["ntn"], legal_name="Other Ltd"), uploads.row("O-2", cnic=KNOWN["cnic"])]
    await uploads.ingest(pasha, uploads.csv_of(others))
    found = [await problems(pseb, await uploads.ingest(pseb, uploads.csv_of(rows)))]
    third = await pseb.service.caller("third")
    found.append(await problems(third, await uploads.ingest(third, uploads.csv_of(rows))))
    assert found[0] == found[1]
    assert "Other" not in str(found)


def random_rows(random: Random, count: int) -> list[dict[str, str]]:
    """Rows of few names and numbers, so that many meet, with blank cells."""
    names, ntns = ["Keeps Ltd", "KEEPS LTD", "Keps Ltd", "Beta Ltd"], ["7700001-1", "7700002-2"]
    cnics = ["35202-1111111-1", "35202-2222222-2"]
    rows = []
    for number in range(count):
        changes = {"legal_name": random.choice(names), "ntn": random.choice(ntns), "cnic": random.choice(["", *cnics])}
        if random.random() < 0.3:
            changes |= {"applicant_kind": "individual", "track": "vpn_freelancer", "purpose": "freelancing"}
            changes |= {"ntn": random.choice(["", "", *ntns]), "cnic": random.choice(cnics)}
        changes |= {"mobile": random.choice(["", "+923001111111"]), "pseb_number": random.choice(["", "", "1", "2"])}
        rows.append(uploads.row(f"R{number}", **changes, email=random.choice(["a@example.pk", "b@example.pk"])))
    return rows


@pytest.mark.parametrize("seed", range(3))
async def test_the_size_of_chunks_and_a_dry_run_change_no_outcome(service: Service, seed: int) -> None:
    random = Random(seed)
    before, body = (uploads.csv_of(random_rows(random, count)) for count in (3, 30))
    results = []
    for number, (chunk_rows, dry_run) in enumerate([(1_000, False), (1, False), (3, False), (1_000, True), (3, True)]):
        caller = await service.caller(f"association-{number}")
        await uploads.ingest(caller, before.replace(b"R", b"B"))
        done = await uploads.ingest(caller, body, chunk_rows=chunk_rows, dry_run=dry_run)
        names = ("kind", "legal_name", "ntn", "cnic", "email", "mobile", "pseb_number")
        left = [{name: each[name] for name in names} for each in await applicants(caller)]
        ordered = sorted(left, key=str)
        results.append((done["counts"], await problems(caller, done), None if dry_run else ordered))
    whole = results[0]
    assert 0 < whole[0]["refused"] < 30
    assert all(each[:2] == whole[:2] and each[2] in (None, whole[2]) for each in results)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("chunk_rows", [1, 2_000])
async def test_a_row_that_the_register_refuses_changes_no_applicant(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller, dry_run: bool, chunk_rows: int
) -> None:
    taken = await cases.approved(pasha, officer)
    known = uploads.row("KNOWN", mobile="0300-1111111")
    await uploads.ingest(pseb, uploads.csv_of([known]))
    rows = [
        {**known, "reference": "A", "mobile": "0300-2222222", "networks": taken["networks"][0]},
        uploads.row("B", networks=taken["networks"][0]),
        {**known, "networks": cases.address(), "mobile": "0300-3333333"},
        {**known, "reference": "C", "networks": cases.address(), "pseb_number": "P-1", "mobile": ""},
    ]
    done = await uploads.ingest(pseb, uploads.csv_of(rows), chunk_rows=chunk_rows, dry_run=dry_run)
    assert done["counts"] == uploads.counts(4, created=1, refused=3)
    assert done["applicants"] == {"created": 0, "changed": 1}
    found = (await pseb.get(f"/v1/bulk-uploads/{done['id']}/rows")).json()["items"]
    assert [[each["column"] for each in row["applicant_changes"]] for row in found] == [[], [], [], ["pseb_number"]]
    (applicant,) = (await pseb.get("/v1/applicants")).json()["items"]
    assert applicant["mobile"].endswith("111")
    assert (applicant["pseb_number"] == "P-1") is not dry_run


@pytest.mark.parametrize("dry_run", [False, True])
async def test_the_applicant_of_a_refused_row_is_created_by_its_next_row(
    pseb: Caller, pasha: Caller, officer: Caller, dry_run: bool
) -> None:
    taken = await cases.approved(pasha, officer)
    first = uploads.row("A", networks=taken["networks"][0], mobile="0300-1111111")
    second = {**first, "reference": "B", "networks": cases.address(), "mobile": "0300-2222222"}
    third = {**first, "reference": "C", "networks": cases.address(), "mobile": ""}
    done = await uploads.ingest(pseb, uploads.csv_of([first, second, third]), dry_run=dry_run)
    assert done["counts"] == uploads.counts(3, created=2, refused=1)
    assert done["applicants"] == {"created": 1, "changed": 0}
    found = (await pseb.get("/v1/applicants")).json()["items"]
    assert [each["mobile"][-3:] for each in found] == ([] if dry_run else ["222"])


async def test_the_networks_of_rows_that_are_registered_again_do_not_overlap_themselves_in_a_dry_run(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    taken = await cases.approved(pasha, officer)
    shared = cases.address()
    good = uploads.row("A", networks=shared)
    rows = [good, uploads.row("B", networks=taken["networks"][0]), {**good, "reference": "C"}]
    for chunk_rows in (1, 2, 3):
        done = await uploads.ingest(pseb, uploads.csv_of(rows), dry_run=True, chunk_rows=chunk_rows)
        problems = uploads.table(await pseb.get(f"/v1/bulk-uploads/{done['id']}/problems.csv"))
        assert [(each["reference"], each["code"]) for each in problems] == [
            ("B", "network_taken"),
            ("C", "network_overlap"),
        ]
