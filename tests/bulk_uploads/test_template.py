"""The template is accepted as it is, keeps texts as texts in a spreadsheet, and offers the codes of the register."""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from python_calamine import load_workbook

from app.bulk_uploads.column_guide import ALWAYS, GUIDES
from app.bulk_uploads.rules import COLUMNS, REQUIRED_COLUMNS
from app.registrations.rules import Track
from tests.support import uploads
from tests.support.service import Caller

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
URDU = re.compile("[\u0600-\u06ff]{2}")
# template.xlsx with two rows that LibreOffice entered and saved
FILLED = Path(__file__).parent / "template-filled-by-calc.xlsx"


async def template(caller: Caller, suffix: str) -> bytes:
    answer = await caller.get(f"/v1/bulk-uploads/template.{suffix}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="registrations.{suffix}"'
    return answer.content


def sheet_of(workbook: bytes, number: int) -> Element:
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        found: Element = fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
    return found


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
async def test_a_template_is_for_those_who_read_registrations(pseb: Caller, suffix: str) -> None:
    path = f"/v1/bulk-uploads/template.{suffix}"
    anonymous = await pseb.get(path, headers={"Authorization": ""})
    assert anonymous.status_code == 401


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
async def test_a_template_that_is_known_is_not_sent_again(pseb: Caller, suffix: str) -> None:
    path = f"/v1/bulk-uploads/template.{suffix}"
    first = await pseb.get(path)
    assert first.headers["cache-control"] == "private, no-cache"
    again = await pseb.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await pseb.get(path, headers={"If-None-Match": '"other"'})).content == first.content


async def test_the_example_row_of_the_template_is_accepted(pseb: Caller) -> None:
    body = await template(pseb, "csv")
    assert body.startswith(b"\xef\xbb\xbf")
    done = await uploads.ingest(pseb, body)
    assert done["counts"] == uploads.counts(1, created=1)


async def test_the_columns_of_the_workbook_are_text_and_its_lists_have_the_codes_of_the_register(pseb: Caller) -> None:
    body = await template(pseb, "xlsx")
    workbook = load_workbook(io.BytesIO(body))
    assert workbook.sheet_names == ["registrations", "Instructions"]
    rows = workbook.get_sheet_by_name("registrations").to_python()
    assert rows == [list(COLUMNS)]

    sheet = sheet_of(body, 1)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        formats = fromstring(archive.read("xl/styles.xml")).find(f"{MAIN}cellXfs")
    assert formats is not None
    columns = list(sheet.iter(f"{MAIN}col"))
    covered = {at for each in columns for at in range(int(each.attrib["min"]), int(each.attrib["max"]) + 1)}
    assert covered == set(range(1, len(COLUMNS) + 1))
    assert {formats[int(each.attrib["style"])].attrib["numFmtId"] for each in columns} == {"49"}  # Text

    lists = {each.attrib["sqref"][0]: each.findtext(f"{MAIN}formula1") for each in sheet.iter(f"{MAIN}dataValidation")}
    offered = {name: lists["ABCDEFGHIJKLMNOPQ"[COLUMNS.index(name)]] for name in COLUMNS if at_letter(name) in lists}
    assert offered.keys() == {"track", "applicant_kind", "purpose", "protocol", "operator"}
    instructions = workbook.get_sheet_by_name("Instructions").to_python(skip_empty_area=False)
    codes = {name: listed(instructions, reference or "") for name, reference in offered.items()}
    assert codes["track"] == [each.value for each in Track]
    operators = (await pseb.get("/v1/operators")).json()["items"]
    assert codes["operator"] == [each["code"] for each in operators]


def at_letter(name: str) -> str:
    return "ABCDEFGHIJKLMNOPQ"[COLUMNS.index(name)]


def listed(rows: Sequence[Sequence[object]], reference: str) -> list[object]:
    match = re.fullmatch(r"Instructions!\$([A-Z])\$(\d+):\$\1\$(\d+)", reference)
    assert match, reference
    return [rows[at][ord(match[1]) - ord("A")] for at in range(int(match[2]) - 1, int(match[3]))]


async def test_each_column_is_explained_in_english_and_urdu(pseb: Caller) -> None:
    workbook = load_workbook(io.BytesIO(await template(pseb, "xlsx")))
    rows = {str(row[0]): [str(cell) for cell in row] for row in workbook.get_sheet_by_name("Instructions").to_python()}
    for name, guide in GUIDES.items():
        assert rows[name][1:5] == [guide.needed, guide.example, guide.write, guide.taken]
        assert URDU.search(rows[name][5])


def test_the_guide_has_every_column_and_says_which_are_needed() -> None:
    assert tuple(GUIDES) == COLUMNS
    assert {name for name, guide in GUIDES.items() if guide.needed == ALWAYS} == set(REQUIRED_COLUMNS)


async def test_a_template_filled_and_saved_in_a_spreadsheet_keeps_every_zero_and_sign(pseb: Caller) -> None:
    done = await uploads.ingest(pseb, FILLED.read_bytes(), upload_format="xlsx")
    assert (done["counts"]["created"], done["counts"]["refused"]) == (2, 0)
    company, person = (await pseb.get("/v1/registrations")).json()["items"]
    assert (company["reference"], company["subscriber_id"]) == ("0001", "0042")
    assert company["description"] == "=1+1 دفتر"
    assert (person["reference"], person["networks"]) == ("0002", ["203.99.50.77/32"])
    applicants = {each["kind"]: each for each in (await pseb.get("/v1/applicants")).json()["items"]}
    assert applicants["company"]["ntn"] == "0123456-7"
    assert (applicants["company"]["pseb_number"], applicants["company"]["pasha_number"]) == ("1-2", "007")
    assert applicants["individual"]["mobile"] == "+923001234568"
