"""XLSX is read as the sheet shows it, however a program writes it, and a cell that is unsure is refused by name."""

import io
import json
import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bulk_uploads.readers.workbook_process.archive import write_file
from app.bulk_uploads.readers.workbook_process.lines import Limits
from tests.support import workbooks
from tests.support.workbooks import cells_xml, of_xml, opened

DATE = "make the column Text and type the value again."
LOST = f"A2 is a number of more than 15 digits, and those beyond are lost: {DATE}"
STYLES = (
    '<numFmts><numFmt numFmtId="164" formatCode="0000000\\-0"/><numFmt numFmtId="165" formatCode="d\\-mmm"/>'
    '<numFmt numFmtId="166" formatCode="h:mm"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="16"/><xf numFmtId="166"/>'
    '<xf numFmtId="11"/><xf/></cellXfs><dxfs><dxf><numFmt numFmtId="164" formatCode="General"/></dxf></dxfs>'
)


def read_cell(cell: str, **parts: str) -> tuple[str, str]:
    """Return the text and the sentence of a cell from its XML; it is the cell A2."""
    rows = opened(of_xml(cells_xml(cell, '<c t="inlineStr"><is><t>x</t></is></c>'), styles=STYLES, **parts)).rows
    _, _, cells, *more = rows[1]
    assert cells[1] == "x"
    return cells[0], more[0][0][1] if more else ""


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ('<c t="e"><v>#REF!</v></c>', "A2 is #REF!: mend the formula, or type the value."),
        ('<c t="e"><v>#N/A</v></c>', "A2 is #N/A: mend the formula, or type the value."),
        ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', "A2 is #DIV/0!: mend the formula, or type the value."),
        ('<c t="e"><v>what a parser would say</v></c>', "A2 is an error: mend the formula, or type the value."),
        (
            '<c><f>"PSEB-"&amp;ROW()</f><v></v></c>',
            "A2 is a formula without a saved value: open the file in the spreadsheet, save it, and send it again.",
        ),
        (
            '<c><f t="shared" si="0"/></c>',
            "A2 is a formula without a saved value: open the file in the spreadsheet, save it, and send it again.",
        ),
        ('<c s="2"><v>47880</v></c>', f"A2 is the date 2031-02-01: {DATE}"),
        ('<c s="3"><v>47880.5</v></c>', f"A2 is the date 2031-02-01: {DATE}"),
        ('<c t="d"><v>2031-02-01T00:00:00</v></c>', f"A2 is the date 2031-02-01: {DATE}"),
        ('<c s="4"><v>0.5</v></c>', f"A2 is a time: {DATE}"),
        ('<c s="2"><v>3001234567</v></c>', f"A2 has the number format of a date: {DATE}"),
        ('<c s="2"><v>-1</v></c>', f"A2 has the number format of a date: {DATE}"),
        ("<c><v>1.23456789012346E+018</v></c>", LOST),
        ("<c><v>1234567890123456</v></c>", LOST),
        ("<c><v>1E999</v></c>", LOST),
        ("<c><v>NaN</v></c>", "A2 cannot be read: type the value again."),
        ("<c><v>12 apples</v></c>", "A2 cannot be read: type the value again."),
        ('<c t="s"><v>99</v></c>', "A2 cannot be read: type the value again."),
        ('<c t="s"><v>-1</v></c>', "A2 cannot be read: type the value again."),
    ],
)  # fmt: skip
def test_a_cell_that_is_unsure_refuses_its_row_by_name(cell: str, sentence: str) -> None:
    assert read_cell(cell) == ("", sentence)


def test_a_zero_that_a_program_saved_for_every_formula_refuses_its_row() -> None:
    body = workbooks.of_sheets(("Sheet1", lambda sheet, _: sheet.write_formula(0, 0, '="F-"&ROW()')))
    assert "without a saved value" in opened(body).rows[0][3][0][1]
    saved = re.sub(' fullCalcOnLoad="1"', "", workbooks.part(body, "xl/workbook.xml"))
    assert opened(workbooks.patched(body, {"xl/workbook.xml": saved})).rows == [[0, 1, ["0"]]]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<c><v>1234567</v></c>", "1234567"),
        ("<c><v>1234567.0</v></c>", "1234567"),
        ("<c><v>3E+10</v></c>", "30000000000"),
        ("<c><v>999999999999999</v></c>", "999999999999999"),
        ("<c><v>0300</v></c>", "300"),
        ("<c><v>-5</v></c>", "-5"),
        ("<c><v>0.10000000000000001</v></c>", "0.1"),
        ("<c><v>1.0000000000000001E-5</v></c>", "0.00001"),
        ('<c s="1"><v>76543210</v></c>', "7654321-0"),
        ('<c s="1"><v>1.5</v></c>', "1.5"),
        ('<c s="5"><v>30000000000</v></c>', "30000000000"),
        ('<c s="6"><v>7</v></c>', "7"),
        ('<c s="99"><v>7</v></c>', "7"),
        ('<c t="b"><v>1</v></c>', "TRUE"),
        ('<c t="b"><v>0</v></c>', "FALSE"),
        ('<c t="str"><f>"a"</f><v>a</v></c>', "a"),
        ('<c t="str"><f>""</f><v></v></c>', ""),
        ("<c><f>1+1</f><v>2</v></c>", "2"),
        ('<c s="2"/>', ""),
        ('<c s="2"><v></v></c>', ""),
        ('<c t="inlineStr"><is><r><t>rich </t></r><r><rPr><b/></rPr><t>text</t></r></is></c>', "rich text"),
        ('<c t="inlineStr"><is><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh></is></c>', "東京"),
        ('<c t="inlineStr"><is><t xml:space="preserve"> a&amp;b </t></is></c>', " a&b "),
        ('<c t="inlineStr"><is><t>39.49.2.1_x000D_\n39.49.2.2</t></is></c>', "39.49.2.1\n39.49.2.2"),
        ('<c t="inlineStr"><is><t>_x005F_x0041_ _xD83D__xDE00_ _xD800_ _x12</t></is></c>', "_x0041_ 😀 \ufffd _x12"),
        ('<c t="inlineStr"><is><t>1-2</t></is></c>', "1-2"),
        ('<c t="inlineStr" s="2"><is><t>1-2</t></is></c>', "1-2"),
    ],
)
def test_a_cell_is_read_as_the_sheet_shows_it(cell: str, text: str) -> None:
    assert read_cell(cell) == (text, "")


def test_shared_texts_are_read_without_phonetic_runs() -> None:
    strings = (
        "<si><t>plain</t></si><si><r><t>ri</t></r><r><t>ch</t></r></si>"
        '<si><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh><phoneticPr fontId="1"/></si>'
        "<si/><si><t>a_x0041_</t></si>"
    )
    row = "".join(f'<c t="s"><v>{i}</v></c>' for i in range(5))
    assert opened(of_xml(f"<row>{row}</row>", strings=strings)).rows == [[0, 1, ["plain", "rich", "東京", "", "aA"]]]


def test_dates_count_from_1904_where_the_workbook_says_so() -> None:
    body = of_xml('<row><c s="2"><v>46418</v></c></row>', styles=STYLES)
    main = workbooks.part(body, "xl/workbook.xml").replace("<workbookPr ", '<workbookPr date1904="1" ')
    assert "the date 2031-02-01" in opened(workbooks.patched(body, {"xl/workbook.xml": main})).rows[0][3][0][1]


def test_missing_references_are_counted() -> None:
    first = '<row><c><v>1</v></c><c r="D1"><v>2</v></c><c><v>3</v></c></row>'
    others = '<row r="5"><c r="B5"><v>4</v></c></row><row><c><v>5</v></c></row>'
    assert [row[1:] for row in opened(of_xml(first + others)).rows] == [
        [1, ["1", "", "", "2", "3"]],
        [5, ["", "4"]],
        [6, ["5"]],
    ]


def test_cells_out_of_order_keep_their_columns() -> None:
    rows = '<row r="1"><c r="C1"><v>3</v></c><c r="A1"><v>1</v></c></row>'
    assert opened(of_xml(rows)).rows == [[0, 1, ["1", "", "3"]]]


def test_prefixes_strict_namespaces_and_other_places_of_parts_are_read() -> None:
    strict = "http://purl.oclc.org/ooxml"
    relations = (
        f'<x:Relationships xmlns:x="{strict}/r"><x:Relationship Id="rId1"'
        f' Type="{strict}/officeDocument/relationships/{{}}" Target="{{}}"/></x:Relationships>'
    )
    body = workbooks.archive_of(
        {
            "[Content_Types].xml": b"",
            "_rels/.rels": relations.format("officeDocument", "/book/Workbook.xml").encode(),
            "book/Workbook.xml": f'<x:workbook xmlns:x="{strict}/m" xmlns:q="{strict}/q"><x:sheets>'
            '<x:sheet name="One" sheetId="7" q:id="rId1"/></x:sheets></x:workbook>'.encode(),
            "book/_rels/workbook.xml.rels": relations.format("worksheet", "../parts/One.xml").encode(),
            "parts/one.xml": (
                f'<x:worksheet xmlns:x="{strict}/m"><x:sheetData><x:row r="2"><x:c r="B2" t="inlineStr">'
                "<x:is><x:t>a</x:t></x:is></x:c></x:row></x:sheetData></x:worksheet>"
            ).encode("utf-16"),
        }
    )
    found = opened(body)
    assert (found.rows, [sheet.name for sheet in found.converted.sheets]) == ([[0, 2, ["", "a"]]], ["One"])


def test_merged_cells_have_the_value_of_the_range_in_rows_that_exist() -> None:
    def fill(sheet: Any, _: Any) -> None:
        sheet.merge_range("A1:C1", "title")
        sheet.write_row("A2", ["a", "b", "c", "d"])
        for row in (3, 4, 6):
            sheet.write(row - 1, 3, f"d{row}")
        sheet.merge_range("A3:A9", "all")
        sheet.merge_range("B3:C4", "both")

    rows = opened(workbooks.of_sheets(("Sheet1", fill))).rows
    assert rows[2:] == [
        [0, 3, ["all", "both", "", "d3"], [], [[2, "both"]]],
        [0, 4, ["", "", "", "d4"], [], [[0, "all"], [1, "both"], [2, "both"]]],
        [0, 6, ["", "", "", "d6"], [], [[0, "all"]]],
    ]


def test_a_merged_cell_that_is_unsure_refuses_each_of_its_rows() -> None:
    rows = '<row r="1"><c t="e"><v>#REF!</v></c><c><v>1</v></c></row><row r="2"><c r="B2"><v>2</v></c></row>'
    after = '<mergeCells><mergeCell ref="A1:A2"/><mergeCell ref="B1"/><mergeCell ref="nonsense"/></mergeCells>'
    sentence = [0, "A1 is #REF!: mend the formula, or type the value."]
    assert [row[3] for row in opened(of_xml(rows, after=after)).rows] == [[sentence], [sentence]]


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=4), max_size=5))
@settings(deadline=None)
def test_any_table_of_texts_reads_back(rows: list[list[str]]) -> None:
    def fill(sheet: Any, _: Any) -> None:
        for number, cells in enumerate(rows):
            for position, cell in enumerate(cells):
                sheet.write_string(number, position, cell)

    out = io.BytesIO()
    write_file(io.BytesIO(workbooks.of_sheets(("Sheet1", fill))), out, Limits(256, 65_536))
    *lines, _ = out.getvalue().splitlines()
    found = {row: cells for _, row, cells in map(json.loads, lines)}
    for number, cells in enumerate(rows, start=1):
        written = ["" if cell.isspace() else cell for cell in cells]
        read = found.get(number, [])
        assert read + [""] * (len(written) - len(read)) == written


def test_a_moment_is_a_date_too() -> None:
    def fill(sheet: Any, workbook: Any) -> None:
        moment = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.write_datetime(0, 0, datetime(2026, 1, 31, 9, 30), moment)  # noqa: DTZ001 - a spreadsheet has no zones

    assert "A1 is the date 2026-01-31" in opened(workbooks.of_sheets(("Sheet1", fill))).rows[0][3][0][1]
