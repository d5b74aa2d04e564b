"""``problems.csv`` and ``refused.csv`` open in a spreadsheet, say where each problem is, and can be sent again."""

import csv
import io
from typing import Any

import pytest
from sqlalchemy import update

from app.bulk_uploads.models import BulkUpload, BulkUploadRow
from app.bulk_uploads.readers.layout import Layout, Table
from tests.support import uploads
from tests.support.service import Caller, Service

CNIC = "90007-7654321-3"
COLUMNS = ("networks", "mobile", "track", "email", "applicant_kind", "legal_name", "ntn", "purpose", "protocol",
           "operator", "reference", "description")  # fmt: skip


async def exported(caller: Caller, upload: dict[str, Any], name: str) -> list[dict[str, str]]:
    return uploads.table(await caller.get(f"/v1/bulk-uploads/{upload['id']}/{name}"))


async def test_a_problem_says_its_row_letter_column_and_reference_and_what_to_write(pseb: Caller) -> None:
    rows = [uploads.row("A", description="of two\nlines"), uploads.row("B", email="@"), uploads.row("C", operator="x")]
    done = await uploads.ingest(pseb, uploads.csv_of(rows, COLUMNS))
    email, operator = await exported(pseb, done, "problems.csv")
    assert tuple(email) == (
        "sheet", "row", "line", "letter", "column", "reference", "code", "given", "detail", "remedy",
    )  # fmt: skip
    assert (email["sheet"], email["line"], email["letter"], email["column"]) == ("", "4", "D", "email")
    assert (email["reference"], email["code"]) == ("B", "email_malformed")
    assert email["remedy"].startswith("Write one address")
    assert (operator["letter"], operator["code"]) == ("J", "unknown_operator")
    assert "nayatel" in operator["remedy"]
    assert "/v1" not in operator["remedy"]


async def test_a_refused_row_says_why_in_its_last_column(pseb: Caller) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row("B", email="@", networks="10.0.0.1")], COLUMNS))
    (refused,) = await exported(pseb, done, "refused.csv")
    assert tuple(refused) == (*COLUMNS, "why")
    first, second = refused["why"].split(" Row 2, ")
    assert first.startswith("Row 2, ")
    assert {each.removeprefix("Row 2, ").partition(":")[0] for each in (first, second)} == {"D email", "A networks"}
    assert "\n" not in refused["why"]


async def test_refused_rows_are_exported_in_the_columns_of_the_upload_and_accepted_once_corrected(
    pseb: Caller,
) -> None:
    valid = [
        uploads.row(f"R{i}", description='@home,\n=2+2 "quoted" دفتر', mobile=f"+92300123456{i}") for i in range(3)
    ]
    invalid = [valid[0], {**valid[1], "email": "nobody"}, {**valid[2], "networks": "10.0.0.1"}]
    first = await uploads.ingest(pseb, uploads.csv_of(invalid, COLUMNS))
    assert first["counts"]["refused"] == 2

    mended = [{name: row[name] for name in COLUMNS} for row in await exported(pseb, first, "refused.csv")]
    assert [row["mobile"] for row in mended] == ["'+923001234561", "'+923001234562"]
    mended[0]["email"], mended[1]["networks"] = valid[1]["email"], valid[2]["networks"]
    again = await uploads.ingest(pseb, b"\xef\xbb\xbf" + uploads.csv_of(mended, COLUMNS))
    assert again["counts"] == uploads.counts(2, created=2)
    cases_ = (await pseb.get("/v1/registrations")).json()["items"]
    assert {case["description"] for case in cases_} == {'@home,\n=2+2 "quoted" دفتر'}
    mobiles = {each["mobile"] for each in (await pseb.get("/v1/applicants")).json()["items"]}
    assert mobiles == {f"+92300123456{i}" for i in range(3)}


async def test_refused_rows_keep_every_byte_and_cell_even_when_they_are_not_text_or_too_wide(pseb: Caller) -> None:
    header, row, _ = uploads.csv_of([uploads.row("A")]).split(b"\r\n")
    broken = row.replace(b"Indus", b"Ind\xff\x00us")
    wide = row + b",more,cells"
    done = await uploads.ingest(pseb, b"\r\n".join([header, broken, wide, b""]))
    assert done["counts"]["refused"] == 2
    content = (await pseb.get(f"/v1/bulk-uploads/{done['id']}/refused.csv")).content
    lines = [line.replace(b",'+92", b",+92") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\r\n")]
    assert lines[0] == header + b",why"
    assert lines[1].startswith(broken + b",")
    # under the header ``why`` they would be ignored when they come back
    assert lines[2].startswith(row + b",")
    assert lines[2].endswith(b",more,cells")


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


async def test_the_problem_of_a_malformed_number_does_not_repeat_it(pseb: Caller) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row("C", cnic=f"{CNIC}9")]))
    (problem,) = await exported(pseb, done, "problems.csv")
    assert problem["code"] == "cnic_malformed"
    assert CNIC not in "".join(problem.values())
    (refused,) = await exported(pseb, done, "refused.csv")
    assert refused["cnic"] == f"{CNIC}9"
    assert CNIC not in refused["why"]


@pytest.fixture
async def of_a_workbook(service: Service, pseb: Caller) -> str:
    """The id of an upload, stored as that of a workbook whose refused row is on the second of two sheets."""
    sent = await uploads.ingest(pseb, uploads.csv_of([uploads.row("B", email="@")], COLUMNS))
    tables = [Table("Lahore", 0, 1, COLUMNS), Table("Multan", 1000, 3, ("", *COLUMNS))]
    problem = {"line": 1007, "column": "mobile", "code": "mobile_malformed", "detail": "Too short", "given": "0300-***"}
    of_upload = {
        "format": "xlsx",
        "layout": Layout(None, None, tables, ("Remarks",)).to_json(),
        "warnings": ["Multan: the filtered-out rows 4 to 6 were taken."],
        "normalized": {"networks": 2},
        "applicants_created": 3,
        "applicants_changed": 1,
    }
    of_row = {
        "line": 1007,
        "problems": [problem],
        "normalized": [{"column": "networks", "given": "203.99.50.5 /32", "taken": "203.99.50.5/32"}],
        "applicant_changes": [{"column": "mobile", "before": "+92300***567", "after": None}],
    }
    async with service.database.transaction() as tx:
        await tx.execute(update(BulkUpload).values(of_upload))
        await tx.execute(update(BulkUploadRow).values(of_row))
    return str(sent["id"])


async def test_a_problem_in_a_workbook_names_the_sheet_and_its_row_alike_everywhere(
    pseb: Caller, of_a_workbook: str
) -> None:
    path = f"/v1/bulk-uploads/{of_a_workbook}"
    expected = {"sheet": "Multan", "row": 7, "line": 1007, "letter": "C", "column": "mobile", "given": "0300-***"}
    (row,) = (await pseb.get(f"{path}/rows")).json()["items"]
    assert (row["sheet"], row["row"], row["line"]) == ("Multan", 7, 1007)
    (problem,) = row["problems"]
    assert expected.items() <= problem.items()
    (listed,) = uploads.table(await pseb.get(f"{path}/problems.csv"))
    assert listed == {**{name: str(value) for name, value in problem.items()}, "reference": "B"}
    (refused,) = uploads.table(await pseb.get(f"{path}/refused.csv"))
    assert refused["why"].startswith("Multan row 7, C mobile: read '0300-***'. Too short.")


async def test_a_row_tells_what_was_taken_in_another_form_and_what_changed(pseb: Caller, of_a_workbook: str) -> None:
    (row,) = (await pseb.get(f"/v1/bulk-uploads/{of_a_workbook}/rows")).json()["items"]
    assert row["normalized"] == [{"column": "networks", "given": "203.99.50.5 /32", "taken": "203.99.50.5/32"}]
    assert row["applicant_changes"] == [{"column": "mobile", "before": "+92300***567", "after": None}]


async def test_an_upload_says_how_it_was_read_and_what_it_changed(pseb: Caller, of_a_workbook: str) -> None:
    upload = (await pseb.get(f"/v1/bulk-uploads/{of_a_workbook}")).json()
    assert upload["read_as"] == {
        "encoding": None,
        "separator": None,
        "header_row": 1,
        "sheets": ["Lahore", "Multan"],
        "ignored_columns": ["Remarks"],
    }
    assert upload["applicants"] == {"created": 3, "changed": 1}
    assert upload["normalized"] == {"networks": 2}
    assert upload["warnings"] == ["Multan: the filtered-out rows 4 to 6 were taken."]


async def test_a_cell_that_could_not_be_read_is_refused_again_until_it_is_typed(pseb: Caller) -> None:
    row = uploads.row("A", mobile="")
    first = await uploads.ingest(
        pseb,
        uploads.ndjson_of([{**row, "reference": True, "networks": True, "description": True}]),
        upload_format="ndjson",
    )
    (refused,) = await exported(pseb, first, "refused.csv")
    assert [refused[name] for name in ("reference", "networks", "mobile", "description")] == ["#N/A", "#N/A", "", ""]
    again = await uploads.ingest(pseb, uploads.csv_of([{name: refused[name] for name in COLUMNS}], COLUMNS))
    assert again["counts"]["refused"] == 1
    found = (await pseb.get(f"/v1/bulk-uploads/{again['id']}/rows")).json()["items"][0]["problems"]
    assert {each["column"] for each in found} == {"reference", "networks"}
