"""Rows have the errors of the JSON API, and the segments of a file have the rows of the whole file."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.applicants.schemas import ApplicantDetails
from app.bulk_uploads import rules
from app.bulk_uploads.ingestion import row_validation
from app.bulk_uploads.ingestion.applicant_cache import decode_particulars, encode_particulars
from app.bulk_uploads.ingestion.segments import Segment, SegmentReader, SegmentRows, read_row, split_segments
from app.bulk_uploads.normalization import normalize_cell
from app.bulk_uploads.readers.layout import NDJSON_LAYOUT, Layout, Table
from app.bulk_uploads.readers.parser import read_rows
from app.bulk_uploads.readers.rows import Position, Row
from app.core.database.batches import values_of
from app.core.errors import Invalid
from app.core.validation import schemas
from app.operators.rules import PrefixTable
from app.registrations.schemas import RegistrationDetails
from tests.support import uploads

NOBODY = UUID(int=0)
NOWHERE = PrefixTable([])
ALL_COLUMNS = Layout("utf-8", ",", [Table("", 0, 1, rules.COLUMNS)])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'\x00"), max_size=12)
CELLS: dict[str, st.SearchStrategy[str]] = {
    "reference": st.one_of(TEXT, st.just("x" * 101)),
    "track": st.sampled_from(["vpn_company", "vpn_freelancer", "call_centre", "vpn_hobby", " ", ""]),
    "applicant_kind": st.sampled_from(["company", "individual", "ghost", ""]),
    "legal_name": st.one_of(TEXT, st.sampled_from(["سندھ Softworks", "Cafe\u0301", "Bell\x07", " Indus ", "x" * 201])),
    "ntn": st.sampled_from(["1234567-8", "12345-6", " 1234567-8 ", "", "١٢٣٤٥٦٧-8"]),
    "cnic": st.sampled_from(["90001-1234567-1", "91234-123456-1", ""]),
    "email": st.one_of(TEXT, st.sampled_from(["it@indus.example.pk", "IT@Indus.Example.PK", "a@b", "a@b.test", "@"])),
    "mobile": st.sampled_from(["+923001234567", "0300-1234567", ""]),
    "pseb_number": TEXT,
    "pasha_number": TEXT,
    "purpose": st.sampled_from(["it_services", "streaming", ""]),
    "protocol": st.sampled_from(["ipsec", "pigeon", ""]),
    "operator": st.one_of(TEXT, st.just("nayatel")),
    "subscriber_id": TEXT,
    "networks": st.one_of(
        TEXT,
        st.lists(
            st.sampled_from(
                ["39.32.0.5", "39.32.0.5/32", "39.32.0.0/29", "39.32.0.5/29", "039.32.0.5", "10.0.0.1", "8.8.0.0/16",
                 "2400:1460:1::/48", "2400:1460::/32", "::ffff:39.32.0.9", "39.32.0.300", "39.32.0.6/032"]
            ),
            max_size=3,
        ).map(" ".join),
    ),
    "description": st.one_of(TEXT, st.sampled_from(["two\nlines", "tab\there", "x" * 2_001])),
}  # fmt: skip


def validate_body(body: Any, fields: dict[str, Any]) -> tuple[Any, set[tuple[str, str]]]:
    """Return a validated body, or None with the columns and codes of its errors."""
    try:
        return schemas.validate(body, fields), set()
    except Invalid as invalid:
        return None, {(rules.error_column(error), error.code) for error in invalid.errors}


def read_rows_of(body: bytes, layout: Layout, start: Position | None = None) -> list[Row]:
    return list(read_rows([body], "csv" if layout.separator else "ndjson", layout, start))


@given(st.fixed_dictionaries(CELLS))
def test_a_row_has_the_errors_of_the_json_api_for_its_cells_in_normal_form(cells: dict[str, str]) -> None:
    reader = SegmentReader("csv", ALL_COLUMNS, NOWHERE, clear=False)
    read = reader.read(uploads.csv_of([cells]).partition(b"\n")[2], Position(2, 2))
    taken = {column: normalize_cell(column, cell, ()) for column, cell in cells.items()}
    applicant, applicant_errors = validate_body(
        ApplicantDetails, {field: taken[column] for column, field in rules.APPLICANT_COLUMNS.items()}
    )
    fields = {column: taken[column] for column in rules.REGISTRATION_COLUMNS}
    listed = [each for each in taken["networks"].split(" ") if each]
    body, body_errors = validate_body(
        RegistrationDetails, {**fields, "networks": listed or None, "applicant_id": NOBODY}
    )
    errors = {(rules.error_column(error), error.code) for row in read.refused for error in row.errors}
    assert errors == applicant_errors | body_errors
    if not errors and body:
        assert read.batch.items == [body.request._replace(applicant_id=row_validation.UNKNOWN_APPLICANT)]
        assert (read.applicants, read.applicant_indexes) == ([encode_particulars(applicant.particulars)], [0])
    assert body is None or references_of(read) == ([body.reference] if body.reference else [])


def references_of(read: SegmentRows) -> list[str]:
    return values_of(read.references)


def test_cells_in_another_form_are_told_with_personal_data_masked_and_counted_where_the_row_is_valid() -> None:
    rows = [
        uploads.row("R1", mobile="0300-1234567", networks="39.32.0.5, 39.32.0.6"),
        uploads.row("R2", mobile="0300-1234567", email="@"),
        uploads.row("R3"),
    ]
    read = SegmentReader("csv", ALL_COLUMNS, NOWHERE, clear=False).read(
        uploads.csv_of(rows).partition(b"\n")[2], Position(2, 2)
    )
    first, last = values_of(read.normalized)
    assert json.loads(first) == [
        {"column": "mobile", "given": "****-****567", "taken": "+*********567"},
        {"column": "networks", "given": "39.32.0.5, 39.32.0.6", "taken": "39.32.0.5 39.32.0.6"},
    ]
    assert last is None
    assert read.normalized_columns == {"mobile": 1, "networks": 1}
    (refused,) = read.refused
    assert [each.column for each in refused.normalized] == ["mobile"]


def test_a_dash_removes_a_number_of_the_applicant_only_with_the_option() -> None:
    body = uploads.csv_of([uploads.row("R1", mobile="-", pseb_number=" - ")]).partition(b"\n")[2]
    kept = SegmentReader("csv", ALL_COLUMNS, NOWHERE, clear=False).read(body, Position(2, 2))
    assert [rules.error_column(each) for row in kept.refused for each in row.errors] == ["mobile", "pseb_number"]
    cleared = SegmentReader("csv", ALL_COLUMNS, NOWHERE, clear=True).read(body, Position(2, 2))
    particulars = decode_particulars(cleared.applicants[0])
    assert (particulars.mobile, particulars.pseb_number, particulars.pasha_number) == ("-", "-", None)
    own = uploads.csv_of([uploads.row("R1", ntn="-")]).partition(b"\n")[2]
    refused = SegmentReader("csv", ALL_COLUMNS, NOWHERE, clear=True).read(own, Position(2, 2)).refused
    assert [rules.error_column(each) for row in refused for each in row.errors] == ["ntn"]


@given(
    st.lists(st.sampled_from(["a,b", '"a\nb",c', "", '"x"",\r\n",دفتر', 'a"b,c']), max_size=12),
    st.integers(0, 4),
    st.integers(1, 4),
)
def test_the_segments_of_a_file_have_the_rows_of_the_file(records: list[str], rows_done: int, max_rows: int) -> None:
    layout = Layout("utf-8", ",", [Table("", 0, 1, ["reference", "description"])])
    body = "".join(f"{record}\r\n" for record in ["reference,description", *records]).encode()
    header, *whole = read_rows_of(body, layout)
    rows_done = min(rows_done, len(whole))
    found = split_segments(read_rows([body[:7], body[7:]], "csv", layout, None), rows_done, max_rows)
    assert (found[0].begin, found[0].rows) == (0, rows_done)
    assert sum(each.rows for each in found) == len(whole)
    assert all(each.rows <= max_rows for each in found[1:])
    read = [
        (row.line, row.row, list(row.cells))
        for each in found[1:]
        for row in read_rows_of(body[each.begin : each.end], layout, each.start)
    ]
    assert read == [(row.line, row.row, list(row.cells)) for row in whole[rows_done:]]
    assert list(header.cells) == ["reference", "description"]


def test_segments_of_every_format_have_the_rows_of_the_file() -> None:
    rows = [uploads.row(f"R{i}", description="two\nlines" if i % 2 else "") for i in range(7)]
    sheet = [rules.COLUMNS, *([each.get(name, "") for name in rules.COLUMNS] for each in rows)]
    two_sheets = [Table("First", 0, 3, rules.COLUMNS), Table("Second", 6, 3, rules.COLUMNS, number=1)]
    lines = [
        (i // 4 if i < 8 else 1, i + 3 if i < 4 else i - 1, cells)
        for i, cells in enumerate([*sheet[:4], sheet[0], *sheet[4:]])
    ]
    files = {
        "csv": (uploads.csv_of(rows), ALL_COLUMNS),
        "ndjson": (b"\n" + uploads.ndjson_of(rows), NDJSON_LAYOUT),
        "xlsx": (b"".join(json.dumps(each).encode() + b"\n" for each in lines), Layout(None, None, two_sheets)),
    }
    for upload_format, (body, layout) in files.items():
        _, *whole = read_rows([body], upload_format, layout, None)
        done, *found = split_segments(read_rows([body], upload_format, layout, None), 1, 4)
        assert (done.rows, [each.rows for each in found]) == (1, [4, 2])
        reader = SegmentReader(upload_format, layout, NOWHERE, clear=False)
        read = [reader.read(body[each.begin : each.end], each.start) for each in found]
        places = [
            (int(line), name)
            for each in read
            for line, name in zip(values_of(each.lines), references_of(each), strict=True)
        ]
        assert places == [(row.line, f"R{i}") for i, row in enumerate(whole) if i]
        assert len({row.line for row in whole}) == len(whole)
        assert [
            cells
            for each in zip(found, read, strict=True)
            for cells in _cells_from_bytes(body, upload_format, layout, *each)
        ] == [row.cells for row in whole[1:]]


def _cells_from_bytes(
    body: bytes, upload_format: str, layout: Layout, segment: Segment, read: SegmentRows
) -> Iterator[Sequence[str]]:
    """Read the cells of each valid row of a segment from the bytes of that row."""
    begins, ends = read.bounds[::2], read.bounds[1::2]
    for begin, end in zip(begins, ends, strict=True):
        yield read_row(body[segment.begin : segment.end][begin:end], upload_format, layout).cells
