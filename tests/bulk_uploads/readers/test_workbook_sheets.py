"""Every visible sheet with the header is read, and people are told what was read and what was not."""

from typing import Any

import pytest

from app.bulk_uploads.errors import XlsxMalformed
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.rows import Row
from app.bulk_uploads.readers.workbook_sheets import read_converted, workbook_layout, workbook_warnings
from app.bulk_uploads.rules import UploadOptions
from app.core.errors import Invalid
from tests.support import workbooks

HEADER = ["reference", "track", "applicant_kind", "legal_name", "ntn", "email", "purpose", "operator", "networks"]
OTHER_ORDER = ["networks", "operator", "purpose", "email", "cnic", "legal_name", "applicant_kind", "track", "reference"]


def row_of(reference: str) -> list[str]:
    applicant = ["company", "Alpha Ltd", "7700001-1", "a@a.example.pk"]
    return [reference, "vpn_company", *applicant, "it_services", "ptcl", "39.49.0.1"]


def table(*rows: list[Any]) -> Any:
    """Return a function that writes rows to a sheet."""

    def fill(sheet: Any, _: Any) -> None:
        for number, cells in enumerate(rows):
            sheet.write_row(number, 0, cells)

    return fill


def hidden(*rows: list[Any]) -> Any:
    """Return a function that writes rows to a sheet and hides it."""

    def fill(sheet: Any, workbook: Any) -> None:
        table(*rows)(sheet, workbook)
        sheet.hide()

    return fill


def layout_of(*sheets: tuple[str, Any], ignore_columns: tuple[str, ...] = ()) -> Layout:
    opened = workbooks.opened(workbooks.of_sheets(*sheets))
    return workbook_layout(opened.converted, UploadOptions(ignore_columns=ignore_columns))


def read(body: bytes) -> tuple[Layout, list[str], list[Row]]:
    """Return the layout, the warnings and the rows of a workbook without its header."""
    opened = workbooks.opened(body)
    layout = workbook_layout(opened.converted, UploadOptions())
    header, *rows = read_converted([opened.lines], layout)
    assert header.cells == layout.columns
    return layout, workbook_warnings(opened.converted, layout), rows


def test_a_workbook_without_the_header_is_refused_and_says_which_columns_are_needed() -> None:
    with pytest.raises(Invalid, match="None of the first 10 rows is a header"):
        layout_of(("Sheet1", table(["Members"], ["Alpha Ltd"])))


def test_a_workbook_with_rows_on_hidden_sheets_alone_is_refused_and_names_them() -> None:
    with pytest.raises(XlsxMalformed, match=r"empty.* hidden sheets are not read: 'Old'"):
        layout_of(("Sheet1", table()), ("Old", hidden(HEADER, row_of("F-1"))))


def test_the_nearest_sheet_is_named_when_none_has_the_header() -> None:
    with pytest.raises(Invalid, match="Sheet 'List': Missing column 'email'"):
        layout_of(("Notes", table(["track", "purpose"])), ("List", table([name for name in HEADER if name != "email"])))


def test_a_list_with_a_column_missing_is_not_passed_over_beside_a_whole_one() -> None:
    with pytest.raises(Invalid, match="Sheet 'Second': Missing column 'email'"):
        layout_of(
            ("First", table(HEADER, row_of("F-1"))),
            ("Second", table([name for name in HEADER if name != "email"], row_of("F-2"))),
        )


def test_an_unknown_column_is_refused_by_sheet_letter_and_name_unless_it_is_ignored() -> None:
    sheet = ("List", table([*HEADER, "Remarks"], [*row_of("F-1"), "paid"]))
    with pytest.raises(Invalid, match="Sheet 'List': Column J 'Remarks'"):
        layout_of(sheet)
    layout = layout_of(sheet, ignore_columns=("remarks",))
    assert (layout.columns, layout.ignored_columns) == (HEADER, ["Remarks"])


def test_every_visible_sheet_with_the_header_is_read_and_the_others_are_named() -> None:
    layout, warnings, rows = read(
        workbooks.of_sheets(
            ("Read me", table(["Fill in the lists"])),
            ("Companies", table(["Members of 2026"], [], HEADER, row_of("F-1"), row_of("F-2"))),
            ("Values", table(["track", "applicant_kind", "purpose", "operator"], ["vpn_company"])),
            ("Empty", table()),
            ("Registrations", hidden(HEADER, row_of("F-0"))),
            (
                "Freelancers",
                table(
                    OTHER_ORDER,
                    [
                        "39.49.0.2",
                        "ptcl",
                        "freelancing",
                        "b@b.example.pk",
                        "35202-1234567-1",
                        "B",
                        "individual",
                        "vpn_freelancer",
                        "F-3",
                    ],
                ),
            ),
        )
    )
    assert [(each.sheet, each.offset, each.header_row) for each in layout.tables] == [
        ("Companies", 0, 3),
        ("Freelancers", 5, 1),
    ]
    assert layout.columns == [*HEADER, "cnic"]
    assert [(row.row, row.line, row.cells[0]) for row in rows] == [(4, 4, "F-1"), (5, 5, "F-2"), (2, 7, "F-3")]
    assert rows[2].cells == [
        "F-3", "vpn_freelancer", "individual", "B", "", "b@b.example.pk", "freelancing", "ptcl", "39.49.0.2",
        "35202-1234567-1",
    ]  # fmt: skip
    assert [layout.table_of(row.line).sheet for row in rows] == ["Companies", "Companies", "Freelancers"]
    assert [layout.table_of(row.line).letter("reference") for row in rows] == ["A", "A", "I"]
    assert warnings == [
        "2 sheets were read: 'Companies', 'Freelancers'.",
        "Not read, since no header with the columns was found there: 'Read me', 'Values'.",
        "Not read, since hidden: 'Registrations'. Unhide a sheet to have it read.",
    ]


def test_reading_goes_on_after_any_row() -> None:
    opened = workbooks.opened(
        workbooks.of_sheets(("One", table(HEADER, row_of("F-1"))), ("Two", table(HEADER, row_of("F-2"), row_of("F-3"))))
    )
    layout = workbook_layout(opened.converted, UploadOptions())
    header, *rows = read_converted([opened.lines], layout)
    for at, row in enumerate([header, *rows]):
        following = list(read_converted([opened.lines[row.end :]], layout, row.following))
        assert [each.cells for each in following] == [each.cells for each in rows[at:]]


def test_filtered_rows_and_filled_cells_are_taken_and_told() -> None:
    def fill(sheet: Any, _: Any) -> None:
        table(["title"], HEADER, *[row_of(f"F-{i}") for i in range(14)])(sheet, _)
        for number in (0, 3, 14):
            sheet.set_row(number, None, None, {"hidden": True})

    body = workbooks.of_sheets(("List", fill))
    sheet = workbooks.part(body, workbooks.SHEET)
    merges = "".join(f'<mergeCell ref="{each}"/>' for each in ("A1:I1", "B3:B4", "B15:C16", "I3:K3"))
    merged = sheet.replace("</sheetData>", f"</sheetData><mergeCells>{merges}</mergeCells>")
    _, warnings, rows = read(workbooks.patched(body, {workbooks.SHEET: merged}))
    assert [row.cells[0] for row in rows] == [f"F-{i}" for i in range(14)]
    assert rows[13].cells[1:3] == ["vpn_company", "vpn_company"]
    assert not any(row.errors for row in rows)
    assert warnings == [
        "Sheet 'List': 2 rows that are hidden or filtered out were taken too. Delete the rows that are not meant.",
        "Sheet 'List': 4 cells inside merged cells took the value of the merged cell.",
    ]


def test_an_unsure_cell_refuses_its_row_at_its_column_and_only_under_a_name() -> None:
    def fill(sheet: Any, _: Any) -> None:
        table([*HEADER, "why"], row_of("F-1"), row_of("F-2"), ["F-3"], [])(sheet, _)
        sheet.write_formula(1, 8, "=1/0", None, "#REF!")
        sheet.write_formula(2, 9, "=1/0", None, "#REF!")
        sheet.write_formula(2, 12, "=1/0", None, "#REF!")
        sheet.write_formula(4, 12, "=1/0", None, "#REF!")

    _, _, rows = read(workbooks.of_sheets(("List", fill)))
    assert [[(each.pointer, each.detail) for each in row.errors] for row in rows[:2]] == [
        [("/networks", "I2 is #REF!: mend the formula, or type the value.")],
        [],
    ]
    assert [row.row for row in rows] == [2, 3, 4]


def test_two_columns_of_networks_are_joined_and_text_without_a_column_is_refused() -> None:
    _, _, rows = read(
        workbooks.of_table([*HEADER, "networks", ""], [*row_of("F-1"), "39.49.0.9"], [*row_of("F-2"), "", "x"])
    )
    assert rows[0].cells[-1] == "39.49.0.1 39.49.0.9"
    assert [error.pointer for error in rows[1].errors] == [""]


MENDED = [
    ["F-201", "vpn_company", "company", "Alpha 201 Ltd", "7700201-1", "", "it@alpha201.example.pk", "'+923001234567",
     "Z-1234", "it_services", "ipsec", "ptcl", "39.49.3.1", "Office, second floor"],
    ["F-202", "vpn_freelancer", "individual", "محمد علی", "", "35202-2222202-1", "it@alpha202.example.pk", "3001234567",
     "", "freelancing", "wireguard", "nayatel", "39.49.3.2\n39.49.3.3", ""],
    ["7203", "vpn_company", "company", "Ämter & Söhne", "7700203-3", "", "it@alpha203.example.pk", "923001234568", "",
     "it_services", "ipsec", "ptcl", "39.49.3.4/31", ""],
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["xlsx", "ods", "xls"])
def test_refused_rows_mended_and_saved_by_libreoffice_are_read(suffix: str) -> None:
    layout, _, rows = read(workbooks.libreoffice_file(f"mended.{suffix}"))
    assert [list(row.cells) for row in rows] == MENDED
    assert (layout.ignored_columns, [row.errors for row in rows]) == (["why"], [(), (), ()])


def test_what_libreoffice_marks_in_xlsx_is_seen() -> None:
    _, warnings, rows = read(workbooks.libreoffice_file("marked.xlsx"))
    assert [[error.detail for error in row.errors] for row in rows] == [
        ["A4 is #DIV/0!: mend the formula, or type the value."],
        [],
        [],
        ["A7 is the date 2026-02-01: make the column Text and type the value again."],
        [],
        [],
    ]
    assert [row.cells[0] for row in rows] == ["", "F-4", "F-5", "", "F-7", "F-8"]
    assert [rows[2].cells[at] for at in (4, 5, 7)] == ["7654321-0", "35202-1234567-1", "+923001234567"]
    assert rows[3].cells[7] == "923001234567"
    assert rows[5].cells[1] == "vpn_company"
    assert warnings == [
        "Not read, since hidden: 'Old'. Unhide a sheet to have it read.",
        "Sheet 'List': 1 row that is hidden or filtered out was taken too. Delete the rows that are not meant.",
        "Sheet 'List': 1 cell inside merged cells took the value of the merged cell.",
    ]


@pytest.mark.parametrize(
    ("suffix", "untold", "filled"),
    [("ods", "merged cells or hidden", ""), ("xls", "or hidden rows", "vpn_company")],
)
def test_what_an_old_workbook_does_not_tell_is_said(suffix: str, untold: str, filled: str) -> None:
    _, warnings, rows = read(workbooks.libreoffice_file(f"marked.{suffix}"))
    assert warnings[0] == "Not read, since hidden: 'Old'. Unhide a sheet to have it read."
    assert warnings[-1].startswith(f"Check the cells: an .{suffix} file does not tell error cells")
    assert untold in warnings[-1]
    assert [rows[2].cells[at] for at in (4, 5, 7)] == ["76543210", "3520212345671", "923001234567"]
    assert [error.detail for error in rows[3].errors] == [
        "A7 is the date 2026-02-01: make the column Text and type the value again."
    ]
    assert rows[5].cells[1] == filled
