"""Template of a file of registrations: as CSV with an example row, and as a workbook with lists and instructions."""

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import xlsxwriter

from app.bulk_uploads.column_guide import ALWAYS, EXAMPLE_ROW, GUIDES, STEPS
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK
from app.bulk_uploads.rules import COLUMNS

SHEET, INSTRUCTIONS = "registrations", "Instructions"
LAST_ROW = 1_048_575
MADE = datetime(2026, 1, 1)  # noqa: DTZ001  # xlsxwriter takes no zone; a fixed date makes the bytes the same each time
WIDTHS = {"legal_name": 32, "email": 28, "networks": 32, "description": 32}
WIDTH = 18
TEXT_FORMAT = 49  # Text, of the formats built into spreadsheets (ECMA-376, 18.8.30)
HEADINGS = ("Column", "Needed", "Example", "What to write", "Also taken", "کیا لکھیں")
TEXT, WRAPPED = {"num_format": TEXT_FORMAT}, {"text_wrap": True, "valign": "top"}
BOLD: dict[str, Any] = {"bold": True, "num_format": TEXT_FORMAT, "border": 1}
NEEDED = {**BOLD, "bg_color": "#FFE699"}
URDU: dict[str, Any] = {**WRAPPED, "reading_order": 2, "align": "right"}
TITLE = {"bold": True, "font_size": 14}


def csv_template(operators: Sequence[str]) -> bytes:
    """Return the header and one valid row as CSV with a byte-order mark; ``operators`` are the known codes."""
    operator = EXAMPLE_ROW["operator"] if EXAMPLE_ROW["operator"] in operators else operators[0]
    rows = [list(COLUMNS), [{**EXAMPLE_ROW, "operator": operator}[name] for name in COLUMNS]]
    return BYTE_ORDER_MARK + "".join(f"{','.join(cells)}\r\n" for cells in rows).encode()


@lru_cache(maxsize=1)
def xlsx_template(operators: tuple[str, ...]) -> bytes:
    """Return a workbook with a sheet to fill and one of instructions; ``operators`` are the codes of the register.

    All columns are formatted as text, and the columns of codes have drop-down lists. It takes a tenth of a second, so
    it is to be made in a thread.
    """
    body = io.BytesIO()
    workbook = xlsxwriter.Workbook(body, {"in_memory": True})
    workbook.set_properties({"title": "Registrations", "created": MADE})
    registrations, instructions = workbook.add_worksheet(SHEET), workbook.add_worksheet(INSTRUCTIONS)
    lists = _write_instructions(workbook, instructions, operators)
    text, bold, needed = (workbook.add_format(each) for each in (TEXT, BOLD, NEEDED))
    for at, (name, guide) in enumerate(GUIDES.items()):
        registrations.set_column(at, at, WIDTHS.get(name, WIDTH), text)
        registrations.write_string(0, at, name, needed if guide.needed == ALWAYS else bold)
        registrations.write_comment(0, at, _note(name), {"x_scale": 2, "y_scale": 1.4})
        if name in lists:
            one_of = {
                "validate": "list",
                "source": lists[name],
                "error_title": name,
                "error_message": "Choose one of the list. The sheet Instructions has all codes.",
            }
            registrations.data_validation(1, at, LAST_ROW, at, one_of)
    registrations.freeze_panes(1, 0)
    workbook.close()
    return body.getvalue()


def _note(name: str) -> str:
    guide = GUIDES[name]
    needed = f"Needed {guide.needed}." if guide.needed else "May stay blank."
    return f"{guide.write}. {needed}\nExample: {guide.example}\nAlso taken: {guide.taken}."


def _write_instructions(workbook: Any, sheet: Any, operators: Sequence[str]) -> Mapping[str, str]:
    """Write the sheet of instructions; return the range of the list of codes of each column that has one."""
    title, bold, wrapped, urdu = (workbook.add_format(each) for each in (TITLE, {**BOLD, **WRAPPED}, WRAPPED, URDU))
    for at, width in enumerate((18, 20, 26, 40, 40, 60)):
        sheet.set_column(at, at, width)
    sheet.write_string(0, 0, "How to fill the sheet registrations", title)
    row = 1
    for english, in_urdu in STEPS:
        sheet.merge_range(row, 0, row, 4, english, wrapped)
        sheet.write_string(row, 5, in_urdu, urdu)
        row += 1
    row += 1
    for at, heading in enumerate(HEADINGS):
        sheet.write_string(row, at, heading, bold)
    for name, guide in GUIDES.items():
        row += 1
        for at, text in enumerate((name, guide.needed, guide.example, guide.write, guide.taken)):
            sheet.write_string(row, at, text, wrapped)
        sheet.write_string(row, 5, guide.urdu, urdu)
    choices = {name: [each.value for each in guide.choices] for name, guide in GUIDES.items() if guide.choices}
    return _write_lists(sheet, row + 2, {**choices, "operator": list(operators)}, bold)


def _write_lists(sheet: Any, row: int, lists: Mapping[str, Sequence[str]], bold: Any) -> Mapping[str, str]:
    """Write lists of codes side by side below ``row``, and return the range of each."""
    ranges = {}
    for at, (name, codes) in enumerate(lists.items()):
        sheet.write_string(row, at, f"Codes of {name}", bold)
        sheet.write_column(row + 1, at, codes)
        column = "ABCDEFGHIJ"[at]
        ranges[name] = f"={INSTRUCTIONS}!${column}${row + 2}:${column}${row + 1 + len(codes)}"
    return ranges
