"""``problems.csv`` and ``refused.csv`` open in a spreadsheet, say where each problem is, and can be sent again."""

import csv
import io
from typing import Any
from uuid import UUID

import pytest

from app.bulk_uploads import store
from app.bulk_uploads.readers.layout import Layout, Table
from app.core.keyring import Keyring
from tests.support import postgres, uploads
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
    assert again["counts"] == {"total": 2, "created": 2, "unchanged": 0, "updated": 0, "refused": 0}
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
async def of_a_workbook(service: Service, pseb: Caller, database_url: str, keyring: Keyring) -> str:
    """The id of an upload whose rows are on the second of two sheets, and which names what it took otherwise."""
    sent = await uploads.ingest(pseb, uploads.csv_of([uploads.row("B", mobile="0300")], COLUMNS))
    tables = [Table("Lahore", 0, 1, COLUMNS), Table("Multan", 1000, 3, ("", *COLUMNS))]
    layout = Layout(None, None, tables, ("Remarks",)).to_json()
    problem = {
        "line": 1007,
        "column": "mobile",
        "code": "mobile_malformed",
        "detail": "Not a mobile number.",
        "given": "0300-***567",
    }
    values = {
        "layout": layout,
        "warnings": ["Multan: rows 4 to 6 are filtered out; they were taken."],
        "normalized": {"networks": 2},
        "options": {"clear": True, "rename": False},
    }
    row = {
        "line": 1007,
        "problems": [problem],
        "normalized": [{"column": "networks", "given": "203.99.50.5/ 32", "taken": "203.99.50.5/32"}],
        "applicant_changes": [{"column": "mobile", "before": "+92300***567", "after": None}],
    }
    await postgres.update(database_url, "bulk_uploads", "id", UUID(sent["id"]), values)
    await postgres.update(database_url, "bulk_upload_rows", "bulk_upload_id", UUID(sent["id"]), row)
    return str(sent["id"])
