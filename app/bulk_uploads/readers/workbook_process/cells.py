"""Values of cells as texts, and the sentences that refuse a cell."""

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple

from app.bulk_uploads.readers.workbook_process.number_formats import NumberFormat

MAX_DIGITS = 15
LIMIT = 10**MAX_DIGITS
# A day is a number in a spreadsheet: from 1, the last day of 9999 is 2958465.
LAST_DAY = 2_958_465
ERROR = re.compile(r"#[A-Za-z0-9/_!?]{1,20}|Err:\d{1,4}")
MAKE_TEXT = "make the column Text and type the value again"


class Cell(NamedTuple):
    """Text of a cell, and the end of the sentence that refuses it, such as ``is #REF!``, or an empty text."""

    text: str
    fault: str = ""


DIGITS_LOST = Cell("", f"is a number of more than {MAX_DIGITS} digits, and those beyond are lost: {MAKE_TEXT}")
UNSAVED = Cell("", "is a formula without a saved value: open the file in the spreadsheet, save it, and send it again")
UNREADABLE = Cell("", "cannot be read: type the value again")
TIME = Cell("", f"is a time: {MAKE_TEXT}")


def error_cell(written: str) -> Cell:
    """Return the cell of an error value such as #REF!."""
    shown = written if ERROR.fullmatch(written) else "an error"
    return Cell("", f"is {shown}: mend the formula, or type the value")


def date_cell(shown: str) -> Cell:
    """Return the cell of a date, which no column has: the spreadsheet made it of something that was typed."""
    return Cell("", f"is the date {shown}: {MAKE_TEXT}")


def number_cell(written: str, number_format: NumberFormat | None, epoch: date) -> Cell:
    """Return the cell of a number as the sheet shows it where that is told by digits and literals.

    Otherwise its plain digits: 30000000000, not 3E+10. ``epoch`` is the day 0 of the workbook.
    """
    try:
        value = float(written)
        if abs(value) >= LIMIT:  # also infinite
            return DIGITS_LOST
        whole = int(value)
    except ValueError:  # also not a number
        return UNREADABLE
    if number_format is not None and number_format.choose(value).is_date:
        return _day_cell(value, epoch)
    if whole != value:
        return Cell(format(Decimal(f"{value:.{MAX_DIGITS}g}"), "f"))
    return Cell(str(whole) if number_format is None else number_format.show(whole))


def _day_cell(value: float, epoch: date) -> Cell:
    if 0 <= value < 1:
        return TIME
    if not 0 < value <= LAST_DAY - 2_000:
        return Cell("", f"has the number format of a date: {MAKE_TEXT}")
    return date_cell((epoch + timedelta(days=int(value))).isoformat())


def value_cell(value: object) -> Cell:
    """Return the cell of a value as python-calamine gives it."""
    if isinstance(value, str):
        return Cell(value)
    if isinstance(value, bool):
        return Cell(str(value).upper())
    if isinstance(value, int | float):
        return number_cell(repr(value), None, date.min)
    if isinstance(value, date):
        return date_cell((value.date() if isinstance(value, datetime) else value).isoformat())
    return TIME if isinstance(value, time | timedelta) else UNREADABLE
