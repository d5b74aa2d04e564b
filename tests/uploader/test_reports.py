"""The uploader says in words how a file was read and what was made of it."""

from typing import Any

import pytest

from app.uploader import reports

READ_AS = {"encoding": "utf-8", "separator": ",", "header_row": 1, "sheets": [], "ignored_columns": []}
WORKBOOK = {**READ_AS, "encoding": None, "separator": None, "header_row": 3, "sheets": ["Lahore", "Multan"]}
UPLOAD: dict[str, Any] = {"read_as": None, "warnings": [], "normalized": {}, "applicants": {"created": 0, "changed": 0}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"read_as": READ_AS}, ["Read as: encoding utf-8; separated by commas; header in row 1."]),
        ({"read_as": {**READ_AS, "separator": "\t", "ignored_columns": ["Remarks", "City"]}},
         ["Read as: encoding utf-8; separated by tabs; header in row 1; without the columns Remarks, City."]),
        ({"read_as": WORKBOOK}, ["Read as: sheets Lahore, Multan; header in row 3."]),
        ({"warnings": ["The last line has no line end."]}, ["The last line has no line end."]),
        ({"normalized": {"mobile": 1_204, "networks": 1}},
         ["Cells taken in another form: 1,204 of mobile, 1 of networks. The rows of the upload say which."]),
        ({"applicants": {"created": 2, "changed": 1}}, ["Applicants: 2 new, 1 changed."]),
    ],
)  # fmt: skip
def test_what_was_assumed_is_told(changes: dict[str, Any], said: list[str]) -> None:
    assert list(reports.notes({**UPLOAD, **changes})) == said


def test_unchanged_rows_that_are_not_in_force_are_told_with_their_reference_and_status() -> None:
    counts = {"total": 2_000, "unchanged": 1_990, "unchanged_not_in_force": 1_204}
    rows = [
        {"sheet": None, "row": 7, "reference": "A-1", "status": "expired", "expires_at": "2026-11-21T09:00:00.000000Z"},
        {"sheet": "Lahore", "row": 9, "reference": "B-2", "status": "information_requested", "expires_at": None},
    ]
    assert list(reports.not_in_force({"id": "x", "counts": counts}, rows, True)) == [
        "1,204 of 1,990 unchanged rows are not in force:",
        "  Row 7, A-1: expired, valid until 2026-11-21.",
        "  Lahore row 9, B-2: information requested.",
        "  and more.",
        "All of them: GET /v1/bulk-uploads/x/rows?outcome=unchanged.",
    ]
    assert "  and more." not in list(reports.not_in_force({"id": "x", "counts": counts}, rows, False))
