"""Each row is created, unchanged, updated or refused, and a dry run predicts which."""

from typing import Any

import pytest

from tests.support import cases, events, invalid_rows, uploads
from tests.support.service import Caller, Service


async def problems(caller: Caller, upload: dict[str, Any]) -> list[tuple[int, str, str]]:
    answer = await caller.get(f"/v1/bulk-uploads/{upload['id']}/problems.csv")
    assert answer.status_code == 200, answer.text
    return invalid_rows.read_problems(answer.text)


async def registered(caller: Caller) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await caller.get("/v1/registrations?limit=500")).json()["items"]
    return items


@pytest.mark.parametrize("chunk_rows", [2_000, 7])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_each_defect_gives_its_line_column_and_code_and_nothing_else_is_refused(
    pseb: Caller, chunk_rows: int, dry_run: bool
) -> None:
    body, expected = invalid_rows.upload()
    done = await uploads.ingest(pseb, body, chunk_rows=chunk_rows, dry_run=dry_run)
    assert await problems(pseb, done) == expected
    assert (done["status"], done["dry_run"]) == ("completed", dry_run)
    half = len(invalid_rows.DEFECTS)
    assert done["counts"] == uploads.counts(2 * half, created=half, refused=half)
    assert len(await registered(pseb)) == (0 if dry_run else half)


async def test_rows_with_invalid_utf8_or_without_their_cells_are_refused_by_themselves(pseb: Caller) -> None:
    good = uploads.csv_of([uploads.row("GOOD-1"), uploads.row("GOOD-2")])
    header, first, second, _ = good.split(b"\r\n")
    broken = first.replace(b"GOOD-1", b"BAD-\xff").replace(b"Indus", b"Ind\xc3us")
    body = b"\n".join([header, broken, first, b"only,three,cells", second + b",", second, b'""'])
    done = await uploads.ingest(pseb, body)
    assert done["counts"] == uploads.counts(5, created=2, refused=3)
    found = await problems(pseb, done)
    assert found[:2] == [(2, "legal_name", "invalid_value"), (2, "reference", "invalid_value")]
    assert {(line, code) for line, _, code in found[2:-1]} == {(4, "invalid_value"), (4, "missing_field")}
    assert found[-1] == (6, "reference", "reference_duplicate")


async def test_a_cell_of_sixty_kilobytes_refuses_its_row_and_no_other(pseb: Caller) -> None:
    rows = [uploads.row("WIDE", description="x" * 60_000), uploads.row("NEXT")]
    done = await uploads.ingest(pseb, uploads.csv_of(rows))
    assert await problems(pseb, done) == [(2, "description", "invalid_value")]
    assert done["counts"] == uploads.counts(2, created=1, refused=1)


@pytest.mark.parametrize("number", ["90009-1357924-6", "9000913579246", "90009 1357924 6"])
@pytest.mark.parametrize("column", ["reference", "legal_name", "subscriber_id", "description"])
async def test_a_cnic_outside_its_own_column_is_refused_and_not_repeated(
    pseb: Caller, column: str, number: str
) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of([{**uploads.row("FREE"), column: f"of {number}"}]))
    assert await problems(pseb, done) == [(2, column, "invalid_value")]
    rows = await pseb.get(f"/v1/bulk-uploads/{done['id']}/rows")
    exported = await pseb.get(f"/v1/bulk-uploads/{done['id']}/problems.csv")
    assert "the field cnic" in exported.text
    assert number not in exported.text + rows.text


@pytest.mark.parametrize(
    ("column", "code"),
    [("operator", "unknown_operator"), ("networks", "network_malformed"), ("cnic", "cnic_malformed")],
)
@pytest.mark.parametrize("number", ["90009-1357924-6", "9000913579246", "90009.1357924.6"])
async def test_no_problem_of_a_row_repeats_a_cnic_that_slipped_into_another_column(
    pseb: Caller, column: str, code: str, number: str
) -> None:
    number = number if column != "cnic" else f"{number}0"  # one digit too many
    done = await uploads.ingest(pseb, uploads.csv_of([{**uploads.row("FREE"), column: number}]))
    assert await problems(pseb, done) == [(2, column, code)]
    rows = await pseb.get(f"/v1/bulk-uploads/{done['id']}/rows")
    exported = await pseb.get(f"/v1/bulk-uploads/{done['id']}/problems.csv")
    assert number not in exported.text + rows.text


async def test_a_number_of_an_applicant_of_the_other_kind_is_refused(pseb: Caller) -> None:
    company = uploads.row("CO", cnic="90009-1234567-1")
    person = uploads.row("PE", applicant_kind="individual", track="vpn_freelancer", purpose="freelancing", ntn="")
    done = await uploads.ingest(pseb, uploads.csv_of([company, {**person, "cnic": company["cnic"]}]))
    assert await problems(pseb, done) == [(3, "cnic", "applicant_conflict")]


async def test_a_network_that_is_granted_to_someone_else_is_refused_without_saying_whose(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    granted = await cases.approved(pseb, officer)
    done = await uploads.ingest(pasha, uploads.csv_of([uploads.row("T", networks=granted["networks"][0])]))
    assert await problems(pasha, done) == [(2, "networks", "network_taken")]
    exported = (await pasha.get(f"/v1/bulk-uploads/{done['id']}/problems.csv")).text
    assert granted["applicant_id"] not in exported
    assert "Indus" not in exported


async def test_a_reference_with_other_content_is_refused(pseb: Caller) -> None:
    first = uploads.row("SAME")
    await uploads.ingest(pseb, uploads.csv_of([first]))
    done = await uploads.ingest(pseb, uploads.csv_of([{**first, "networks": cases.address()}]))
    assert await problems(pseb, done) == [(2, "reference", "reference_duplicate")]


@pytest.mark.parametrize("chunk_rows", [2_000, 7])
async def test_a_dry_run_predicts_the_outcomes_and_changes_nothing(
    service: Service, pseb: Caller, chunk_rows: int
) -> None:
    company = cases.company(cnic="90009-7654321-1")
    applicant = {"applicant_kind": "company", **{name: text for name, text in company.items() if name != "kind"}}
    network = cases.address()
    rows = [uploads.row(f"R{i}") for i in range(20)]
    rows[3] |= {**applicant, "networks": network}
    rows[12] |= {**applicant, "networks": network}  # overlaps a network of the same applicant in an earlier chunk
    rows[15] |= {"applicant_kind": "individual", "track": "vpn_freelancer", "ntn": "", "cnic": company["cnic"]}
    rows[19] |= {"reference": "R2"}
    body = uploads.csv_of(rows)

    dry_run = await uploads.ingest(pseb, body, dry_run=True, chunk_rows=chunk_rows)
    assert await registered(pseb) == []
    assert (await pseb.get("/v1/applicants")).json()["items"] == []
    log = [each["name"] for each in await events.wait_for_event(pseb, "bulk_upload.completed")]
    assert [each for each in log if each.startswith(("registration.", "applicant."))] == []

    done = await uploads.ingest(pseb, body, chunk_rows=chunk_rows)
    assert dry_run["counts"] == done["counts"] == uploads.counts(20, created=17, refused=3)
    assert await problems(pseb, dry_run) == await problems(pseb, done)
    lists = [(await pseb.get(f"/v1/bulk-uploads/{each['id']}/rows")).json()["items"] for each in (dry_run, done)]
    assert [row["outcome"] for row in lists[0]] == [row["outcome"] for row in lists[1]]
    assert all(row["registration_id"] is None for row in lists[0])


async def test_the_same_file_again_is_unchanged_and_keeps_every_version(pseb: Caller) -> None:
    body = uploads.csv_of([uploads.row(f"U{i}") for i in range(5)])
    await uploads.ingest(pseb, body)
    before = await registered(pseb)
    again = await uploads.ingest(pseb, body, chunk_rows=2)
    assert again["counts"] == uploads.counts(5, unchanged=5)
    assert await registered(pseb) == before
    rows = (await pseb.get(f"/v1/bulk-uploads/{again['id']}/rows")).json()["items"]
    assert [row["registration_id"] for row in rows] == [each["id"] for each in before]


async def test_another_partners_references_are_its_own(pseb: Caller, pasha: Caller) -> None:
    await uploads.ingest(pseb, uploads.csv_of([uploads.row("SHARED")]))
    done = await uploads.ingest(pasha, uploads.csv_of([uploads.row("SHARED")]))
    assert done["counts"] == uploads.counts(1, created=1)


@pytest.mark.parametrize(
    ("action", "reasons"), [("reject", {"reason_codes": ["operator_mismatch"]}),
                            ("request_information", {"reason_codes": ["document_missing"]})],
)  # fmt: skip
async def test_a_returned_case_is_corrected_and_resubmitted(
    pseb: Caller, officer: Caller, action: str, reasons: dict[str, Any]
) -> None:
    row = uploads.row("BACK")
    await uploads.ingest(pseb, uploads.csv_of([row]))
    (case,) = await registered(pseb)
    assert (await cases.decide(officer, case, action, **reasons)).status_code == 201

    done = await uploads.ingest(pseb, uploads.csv_of([{**row, "operator": "ptcl", "networks": "39.32.7.7"}]))
    assert done["counts"] == uploads.counts(1, updated=1)
    (corrected,) = await registered(pseb)
    assert (corrected["id"], corrected["status"]) == (case["id"], "submitted")
    assert (corrected["operator"], corrected["networks"]) == ("ptcl", ["39.32.7.7/32"])


async def test_a_rows_details_update_the_partners_own_record_of_the_applicant(pseb: Caller) -> None:
    row = uploads.row("A1")
    await uploads.ingest(pseb, uploads.csv_of([row]))
    newer = {**row, "reference": "A2", "networks": cases.address(), "email": "noc@indus.example.pk"}
    await uploads.ingest(pseb, uploads.csv_of([newer]))
    (applicant,) = (await pseb.get("/v1/applicants")).json()["items"]
    assert (applicant["email"], applicant["version"]) == ("noc@indus.example.pk", 2)
