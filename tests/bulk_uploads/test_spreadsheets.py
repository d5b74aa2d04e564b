"""Values and workbooks as people make them are taken and told; refused rows come back mended."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from app.bulk_uploads.rules import COLUMNS
from tests.support import cases, uploads, workbooks
from tests.support.files import CSV, TYPES, outcomes, text, upload
from tests.support.service import Caller

# Values


async def test_values_that_are_clear_are_taken_in_their_normal_form_and_told_masked(pseb: Caller) -> None:
    one = cases.address()
    block = one.rsplit(".", 1)[0]
    given: list[dict[str, str]] = [
        {"mobile": "0300-1234567"},
        {"mobile": "00923001234567"},
        {"mobile": '="03001234567"'},
        {"networks": f"{block}.201,{block}.202"},
        {"networks": f"{block}.208-{block}.215"},
        {"networks": f"{block}.216 255.255.255.248"},
        {"ntn": "76543210"},
        {"track": "VPN Company", "purpose": "IT Services", "protocol": "IPSec", "operator": "NAYATEL"},
    ]
    done = await upload(pseb, text([uploads.row(f"N{i}", **cells) for i, cells in enumerate(given)]).encode())
    assert [outcome for _, outcome, _ in outcomes(done)] == ["created"] * len(given)
    told = [[(each["column"], each["given"], each["taken"]) for each in row["normalized"]] for row in done["rows"]]
    assert told[0] == [("mobile", "****-****567", "+*********567")]
    assert told[3] == [("networks", f"{block}.201,{block}.202", f"{block}.201 {block}.202")]
    assert told[4] == [("networks", f"{block}.208-{block}.215", f"{block}.208/29")]
    assert told[5] == [("networks", f"{block}.216 255.255.255.248", f"{block}.216/29")]
    assert told[6] == [("ntn", "76543210", "7654321-0")]
    assert len(told[7]) == 4
    counts = {"mobile": 3, "networks": 3, "ntn": 1, "operator": 1, "protocol": 1, "purpose": 1, "track": 1}
    assert done["normalized"] == counts
    mobiles = {each["mobile"] for each in (await pseb.get("/v1/applicants")).json()["items"]}
    assert mobiles == {"+923001234567"}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"networks": "39.49.1.57/"}, "39.49.1.57"),
        ({"networks": "https://39.49.1.58/"}, "39.49.1.58"),
        ({"networks": "39.49.1.59:1194"}, "39.49.1.59"),
        ({"networks": "039.049.001.063"}, "39.49.1.63"),
        ({"networks": "39.49.1.16-39.49.1.20"}, "39.49.1.16/30"),
        ({"ntn": "1234567"}, "check digit is missing"),
        ({"cnic": "3.52E+12"}, "digits are lost"),
        ({"mobile": "-"}, "clear=true"),
        ({"mobile": "\u2013"}, "write - and send the file with ?clear=true"),
        ({"applicant_kind": ""}, "applicant_kind is required"),
    ],
)
async def test_values_without_one_meaning_are_refused_with_what_to_write(
    pseb: Caller, cells: dict[str, str], words: str
) -> None:
    done = await upload(pseb, text([uploads.row("V", **cells)]).encode())
    assert outcomes(done)[0][1] == "refused"
    assert words in done["rows"][0]["problems"][0]["detail"]


# Workbooks and archives


async def test_lines_of_a_workbook_are_the_rows_of_its_first_sheet_that_is_read(pseb: Caller) -> None:
    first, second = ([[row.get(name, "") for name in COLUMNS]] for row in (uploads.row("S1"), uploads.row("S2")))

    def fill(*rows: list[str]) -> Callable[[Any, Any], None]:
        def write(sheet: Any, _: Any) -> None:
            for number, cells in enumerate(rows):
                sheet.write_row(number, 0, cells)

        return write

    body = workbooks.of_sheets(
        ("Read me", fill(["Fill in the lists"])),
        ("Companies", fill([*COLUMNS], *first)),
        ("Others", fill(["Others"], [*COLUMNS], *second)),
    )
    done = await upload(pseb, body, TYPES["xlsx"])
    places = [(row["sheet"], row["row"], row["line"], row["outcome"]) for row in done["rows"]]
    assert places == [("Companies", 2, 2, "created"), ("Others", 3, 5, "created")]
    assert done["read_as"]["sheets"] == ["Companies", "Others"]
    assert any("Read me" in each for each in done["warnings"])


@pytest.mark.parametrize("media_type", [CSV, TYPES["zip"], TYPES["xlsx"]])
async def test_the_content_decides_whether_a_file_is_a_workbook(pseb: Caller, media_type: str) -> None:
    done = await upload(pseb, uploads.xlsx_of([uploads.row("X")]), media_type)
    assert (done["format"], outcomes(done)) == ("xlsx", [(2, "created", [])])


async def test_an_archive_of_one_file_is_read_as_that_file(pseb: Caller) -> None:
    body = workbooks.archive_of({"list/": b"", "list/members.csv": text([uploads.row("Z")], ";").encode("utf-16")})
    done = await upload(pseb, body, TYPES["zip"])
    assert (done["format"], outcomes(done)) == ("csv", [(2, "created", [])])
    assert (done["read_as"]["encoding"], done["read_as"]["separator"]) == ("utf-16", ";")


async def test_a_csv_file_may_be_sent_as_windows_sends_it(pseb: Caller) -> None:
    done = await upload(pseb, text([uploads.row("W")]).encode(), "application/vnd.ms-excel")
    assert (done["format"], outcomes(done)) == ("csv", [(2, "created", [])])


# The way back


async def test_refused_rows_mended_in_a_spreadsheet_and_saved_in_any_format_are_taken(pseb: Caller) -> None:
    files = {each.suffix[1:]: each for each in workbooks.LIBREOFFICE_FILES.glob("mended.*")}
    mended = list(csv.DictReader(files["csv"].read_text("utf-8-sig").splitlines(keepends=True)))
    mistakes: list[dict[str, str]] = [{"networks": "39.49.3"}, {"mobile": "30"}, {"email": "nobody"}]
    rows = [{**row, **mistake} for row, mistake in zip(mended, mistakes, strict=True)]
    done = await upload(pseb, text(rows).encode())
    assert done["counts"]["refused"] == 3
    refused = (await pseb.get(f"/v1/bulk-uploads/{done['id']}/refused.csv")).content
    assert refused.startswith(b"\xef\xbb\xbf")
    listed = list(csv.DictReader(io.StringIO(refused.decode("utf-8-sig"), newline="")))
    assert [*listed[0]] == [*COLUMNS, "why"]
    assert [[word in each["why"] for word in ("Row", "networks", "mobile", "email")] for each in listed] == [
        [True, True, False, False], [True, False, True, False], [True, False, False, True]
    ]  # fmt: skip

    again = await upload(pseb, refused)
    assert again["counts"]["refused"] == 3
    taken = {name: await upload(pseb, files[name].read_bytes(), TYPES[name]) for name in ("xlsx", "ods", "xls", "csv")}
    assert taken["xlsx"]["counts"]["created"] == 3
    assert {name: each["counts"]["refused"] for name, each in taken.items()} == dict.fromkeys(taken, 0)
    assert {name: each["counts"]["unchanged"] for name, each in taken.items() if name != "xlsx"} == {
        "ods": 3, "xls": 3, "csv": 3
    }  # fmt: skip


async def test_a_reference_used_twice_in_a_workbook_is_told_by_sheet_and_row(pseb: Caller) -> None:
    def sheet(*references: str) -> Callable[[Any, Any], None]:
        rows = [uploads.row(each) for each in references]

        def fill(worksheet: Any, _: Any) -> None:
            for number, cells in enumerate([COLUMNS, *([row.get(name, "") for name in COLUMNS] for row in rows)]):
                worksheet.write_row(number, 0, cells)

        return fill

    body = workbooks.of_sheets(("Lahore", sheet("A", "B")), ("Multan", sheet("C", "D", "C")))
    done = await upload(pseb, body, TYPES["xlsx"])
    (problem,) = done["rows"][4]["problems"]
    assert problem["detail"] == "The reference 'C' is already in row 2 of the sheet 'Multan'."
