"""Rows of ODS and XLS workbooks, as python-calamine gives them.

It does not tell error cells, formulas without a saved value, number formats and hidden rows.
"""

from collections.abc import Sequence
from typing import IO, Any

import python_calamine
from python_calamine import CalamineSheet, SheetTypeEnum, SheetVisibleEnum

from app.bulk_uploads.readers.workbook_process.cells import value_cell
from app.bulk_uploads.readers.workbook_process.exits import Exit, Stopped
from app.bulk_uploads.readers.workbook_process.lines import Limits, Merge, SheetLines, write_summary

MAX_SHEETS = 100


def write_calamine(file: IO[bytes], file_format: str, out: IO[bytes], limits: Limits) -> None:
    """Write the rows of the visible sheets of a workbook, and the last line. Raises ``Stopped``."""
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(file)
        worksheets = [each for each in workbook.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
        visible = [each.name for each in worksheets if each.visible == SheetVisibleEnum.Visible]
        if len(visible) > MAX_SHEETS:
            raise Stopped(Exit.MANY_SHEETS)
        written: list[SheetLines] = []
        for name in visible:
            sheet = workbook.get_sheet_by_name(name)
            written.append(SheetLines(out, name, len(written), limits, _merges(sheet)))
            _write_rows(sheet, written[-1])
    except python_calamine.PasswordError:
        raise Stopped(Exit.PASSWORD) from None
    except python_calamine.CalamineError:
        raise Stopped(Exit.UNREADABLE) from None
    hidden = [each.name for each in worksheets if each.name not in visible]
    write_summary(out, file_format, written, hidden[:MAX_SHEETS])


def _merges(sheet: CalamineSheet) -> list[Merge]:
    ranges = sheet.merged_cell_ranges or []
    return [Merge(first[0] + 1, last[0] + 1, first[1], last[1]) for first, last in ranges]


def _write_rows(sheet: CalamineSheet, lines: SheetLines) -> None:
    for row, values in enumerate(sheet.iter_rows(), start=1):
        cells, faults = _cells(values)
        lines.add(row, cells, faults)


def _cells(values: Sequence[Any]) -> tuple[list[str], dict[int, str]]:
    """Return the texts of a row without blank cells at its end, and the ends of the sentences that refuse cells."""
    cells: list[str] = []
    faults: dict[int, str] = {}
    for at, value in enumerate(values):
        if value == "":
            continue
        cell = value_cell(value)
        if cell.fault:
            faults[at] = cell.fault
        elif not cell.text.isspace():
            cells += [""] * (at + 1 - len(cells))
            cells[at] = cell.text
    return cells, faults
