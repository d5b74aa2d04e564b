"""A problem of a row in words: where a spreadsheet has it, what was read, what is wrong and what to write."""

from typing import Any

import pytest

from app.bulk_uploads.problems import layout_of, parts_of, sentence
from app.bulk_uploads.readers.layout import Layout, Table

TEXT = Layout("utf-8", ";", [Table("", 0, 1, ("reference", "", "mobile"))])
WORKBOOK = Layout(None, None, [Table("Lahore", 0, 1, ("mobile",)), Table("Multan", 5000, 2, ("reference", "mobile"))])
MOBILE = {"line": 7, "column": "mobile", "code": "mobile_malformed", "detail": "Not a mobile number.", "given": "0300"}


def said(layout: Layout, row: int | None = None, **changes: Any) -> str:
    return sentence(parts_of({**MOBILE, **changes}, layout, row))


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        (said(TEXT), "Row 7, C mobile: read '0300'. Not a mobile number."),
        (said(TEXT, code="missing_field"), "Row 7, C mobile: read '0300'. Not a mobile number. Fill in the cell."),
        (said(TEXT, 5), "Row 5 (line 7), C mobile: read"),
        (said(WORKBOOK), "Lahore row 7, A mobile: read"),
        (said(WORKBOOK, line=5007), "Multan row 7, B mobile: read"),
        (said(TEXT, given=None), "Row 7, C mobile: Not a mobile number."),
        (said(TEXT, given="", detail="Blank"), "Row 7, C mobile: Blank."),
        (said(TEXT, column="", given=None), "Row 7: Not a mobile number."),
        (said(TEXT, column="ntn"), "Row 7, ntn: read"),
        (said(TEXT, code="no_longer_known"), "Row 7, C mobile: read '0300'. Not a mobile number."),
    ],
)
def test_a_sentence_names_the_place_as_a_spreadsheet_does(text: str, begin: str) -> None:
    assert text.startswith(begin)


def test_a_problem_from_before_has_no_given_and_that_of_ndjson_no_letter() -> None:
    old = {name: value for name, value in MOBILE.items() if name != "given"}
    assert parts_of(old, layout_of("csv", None, ["ntn", "mobile"]), None) == {
        "sheet": None,
        "row": 7,
        "line": 7,
        "letter": "B",
        "column": "mobile",
        "code": "mobile_malformed",
        "given": None,
        "detail": "Not a mobile number.",
        "remedy": "Write +92 and ten digits that begin with 3, without spaces or dashes: +923001234567.",
    }
    assert parts_of(MOBILE, layout_of("ndjson", None, ["ntn", "mobile"]), None)["letter"] == ""
