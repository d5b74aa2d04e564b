"""A row of an upload gets the verdict of the JSON API, and a file read in stretches is the file read whole."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.applicants.schemas import ApplicantDetails
from app.bulk_uploads import rules
from app.bulk_uploads.ingestion.segments import ReadRows, Segment, cells_as_sent, read_stretch, stretches
from app.bulk_uploads.readers.parser import read_rows
from app.core.database.batches import values_of
from app.core.errors import Invalid
from app.core.validation.schemas import validated
from app.operators.rules import PrefixTable
from app.registrations.schemas import RegistrationDetails
from tests.support import uploads

NOBODY = UUID(int=0)
NOWHERE = PrefixTable([])
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


def verdict(kind: Any, fields: dict[str, Any]) -> tuple[Any, set[tuple[str, str]]]:
    """What a body becomes, or what is wrong with it."""
    try:
        return validated(kind, fields), set()
    except Invalid as wrong:
        return None, {(rules.column_of(error), error.code) for error in wrong.errors}


@given(st.fixed_dictionaries(CELLS))
def test_a_row_gets_the_verdict_of_the_json_api(cells: dict[str, str]) -> None:
    read = read_stretch(uploads.csv_of([cells]).partition(b"\n")[2], "csv", 2, rules.COLUMNS, NOWHERE)
    applicant, wrong = verdict(
        ApplicantDetails, {field: cells[column] for column, field in rules.APPLICANT_COLUMNS.items()}
    )
    fields = {column: cells[column] for column in rules.REGISTRATION_COLUMNS}
    listed = [each for each in cells["networks"].split(" ") if each]
    asked, also_wrong = verdict(RegistrationDetails, {**fields, "networks": listed or None, "applicant_id": NOBODY})
    errors = {(rules.column_of(error), error.code) for row in read.broken for error in row.errors}
    assert errors == wrong | also_wrong
    if not errors and asked:
        assert read.batch.items([0], [NOBODY]) == [asked.asked]
        assert (read.applicants, read.batch.applicants) == ([applicant.particulars], [0])
    assert asked is None or references_of(read) == ([asked.reference] if asked.reference else [])


def references_of(read: ReadRows) -> list[str]:
    return values_of(read.references)


@given(
    st.lists(st.sampled_from(["a,b", '"a\nb",c', "", '"x"",\r\n",دفتر', 'a"b,c']), max_size=12),
    st.integers(0, 4),
    st.integers(1, 4),
)
def test_a_file_read_in_stretches_is_the_file_read_whole(records: list[str], done: int, most: int) -> None:
    body = "".join(f"{record}\r\n" for record in ["one,two", *records]).encode()
    header, *whole = read_rows([body], "csv")
    done = min(done, len(whole))
    found = stretches(read_rows([body[:7], body[7:]], "csv"), done, most)
    assert (found[0].begin, found[0].rows) == (0, done)
    assert sum(each.rows for each in found) == len(whole)
    assert all(each.rows <= most for each in found[1:])
    read = [
        (row.line, list(row.cells))
        for each in found[1:]
        for row in read_rows([body[each.begin : each.end]], "csv", each.line)
    ]
    assert read == [(row.line, list(row.cells)) for row in whole[done:]]
    assert list(header.cells) == ["one", "two"]


def test_stretches_of_every_format_give_the_rows_that_the_file_gives() -> None:
    rows = [uploads.row(f"R{i}", description="two\nlines" if i % 2 else "") for i in range(7)]
    sheet = [rules.COLUMNS, *([each.get(name, "") for name in rules.COLUMNS] for each in rows)]
    bodies = {
        "csv": uploads.csv_of(rows),
        "ndjson": b"\n" + uploads.ndjson_of(rows),
        "xlsx": b"".join(json.dumps(line).encode() + b"\n" for line in enumerate(sheet, 3)),
    }
    for upload_format, body in bodies.items():
        header, *whole = read_rows([body], upload_format)
        done, *found = stretches(read_rows([body], upload_format), 1, 4)
        assert (done.rows, [each.rows for each in found]) == (1, [4, 2])
        read = [
            read_stretch(body[each.begin : each.end], upload_format, each.line, header.cells, NOWHERE) for each in found
        ]
        places = [
            (int(line), name)
            for each in read
            for line, name in zip(values_of(each.lines), references_of(each), strict=True)
        ]
        assert places == [(row.line, f"R{i}") for i, row in enumerate(whole) if i]
        assert [cells for each in zip(found, read, strict=True) for cells in _again(body, upload_format, *each)] == [
            row.cells for row in whole[1:]
        ]


def _again(body: bytes, upload_format: str, stretch: Segment, read: ReadRows) -> Iterator[Sequence[str]]:
    """The cells of a stretch's sound rows, each from its own bytes."""
    begins, ends = read.bounds[::2], read.bounds[1::2]
    for line, begin, end in zip(values_of(read.lines), begins, ends, strict=True):
        yield cells_as_sent(body[stretch.begin : stretch.end][begin:end], upload_format, int(line))
