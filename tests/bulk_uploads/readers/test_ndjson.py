"""NDJSON is read as the rows of the same CSV, or refused with the line of the error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.errors import NdjsonMalformed
from app.bulk_uploads.readers.header import COLUMN_OF_FOLDED, fold
from app.bulk_uploads.readers.layout import NDJSON_LAYOUT
from app.bulk_uploads.readers.ndjson import read_ndjson
from app.bulk_uploads.readers.parser import parse_cells
from app.bulk_uploads.readers.rows import MAX_RECORD_BYTES, Row
from app.bulk_uploads.rules import COLUMNS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def read(body: bytes) -> list[Row]:
    header, *rows = read_ndjson([body], NDJSON_LAYOUT)
    assert list(header.cells) == list(COLUMNS)
    return rows


def cells(line: str) -> dict[str, str]:
    (row,) = read(line.encode())
    found, errors = parse_cells(row, COLUMNS)
    assert not errors
    return {name: cell for name, cell in found.items() if cell}


def errors(line: str | bytes) -> list[tuple[str, str]]:
    (row,) = read(line if isinstance(line, bytes) else line.encode())
    return [(each.pointer, each.code) for each in parse_cells(row, COLUMNS)[1]]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"track": ', "not JSON"),
        ('{"track": "a"} {"track": "b"}', "not JSON"),
        ('{"track": NaN}', "NaN"),
        ("[1]", "not an object"),
        ('"text"', "not an object"),
        ("1", "not an object"),
        ("null", "not an object"),
        ("[" * 60_000, "nested too deeply"),
        ("reference,track", "not JSON"),
    ],
    ids=["cut short", "two objects", "NaN", "list", "text", "number", "null", "deep", "CSV"],
)
def test_a_line_that_is_not_an_object_refuses_the_file_with_its_number(line: str, why: str) -> None:
    with pytest.raises(NdjsonMalformed, match=r"^Line 3 .*" + why):
        read(f'{{"track": "a"}}\n\n{line}\n'.encode())


def test_a_line_without_end_is_refused_before_it_is_read_whole() -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield b" " * 2**20

    with pytest.raises(NdjsonMalformed, match="Line 1 is longer"):
        list(read_ndjson(endless(), NDJSON_LAYOUT))
    assert taken <= MAX_RECORD_BYTES // 2**20 + 1


def test_every_unknown_or_duplicate_name_and_every_value_of_another_type_is_an_error() -> None:
    unknown = '"colour": "x", "a/b\\u0000": 1'
    wrong = '"track": "a", "track": "b", "email": {}, "ntn": true, "networks": [[]], "cnic": []'
    assert errors(f"{{{unknown}, {wrong}}}") == [
        ("/colour", "invalid_value"),
        ("/a~1b\\x00", "invalid_value"),
        ("/track", "invalid_value"),
        ("/email", "invalid_value"),
        ("/ntn", "invalid_value"),
        ("/networks", "invalid_value"),
        ("/cnic", "invalid_value"),
    ]


def test_an_object_of_too_many_members_has_one_error() -> None:
    assert errors(json.dumps(dict.fromkeys(map(str, range(5_000)), ""))) == [("", "invalid_value")]


@pytest.mark.parametrize(
    "line", [b'{"legal_name": "\xff"}', b'{"legal_name": "\\ud800"}', b'{"legal_name": "\xed\xa0\x80"}']
)
def test_a_value_of_invalid_unicode_is_refused_and_can_be_exported(line: bytes) -> None:
    assert errors(line) == [("/legal_name", "invalid_value")]
    (row,) = read(line)
    assert "".join(row.cells).encode("utf-8", "surrogateescape")


def test_an_object_has_the_cells_that_a_csv_row_would_have() -> None:
    assert cells('{"networks": ["203.99.50.1", "203.99.50.8/29"], "email": null, "track": ""}') == {
        "networks": "203.99.50.1 203.99.50.8/29"
    }
    assert cells('{"networks": "203.99.50.1 203.99.50.2", "legal_name": "\\u0633 سندھ"}') == {
        "networks": "203.99.50.1 203.99.50.2",
        "legal_name": "س سندھ",
    }


@pytest.mark.parametrize("written", ["1234567", "9000112345671", "1.50", "1e400", "-0", "9" * 5_000])
def test_a_number_is_the_text_that_was_written(written: str) -> None:
    assert cells(f'{{"ntn": {written}}}') == {"ntn": written}


def test_blank_lines_are_skipped_and_counted() -> None:
    body = b'\n{"ntn": "1"}\r\n   \n{"ntn": "2"}'
    assert [(row.line, row.row, row.end) for row in read(body)] == [(2, 2, 15), (4, 4, len(body))]


def test_ignored_names_and_why_are_left_out() -> None:
    layout = NDJSON_LAYOUT._replace(ignored_columns=["note", "s.no"])
    _, row, other = read_ndjson([b'{"ntn": "1", "Note": {}, "why": "x", "S.No.": 1}\n{"Notes": ""}\n'], layout)
    assert parse_cells(row, COLUMNS)[1] == []
    assert [each.pointer for each in other.errors] == ["/Notes"]


def test_names_are_read_in_the_writings_of_a_header() -> None:
    written = '{"Legal Name": "Indus", "NTN": "1", "E-Mail": "x", "networks (required)": ["203.99.50.1"]}'
    assert cells(written) == {"legal_name": "Indus", "ntn": "1", "email": "x", "networks": "203.99.50.1"}
    assert errors('{"Track": "a", "track": "b"}') == [("/track", "invalid_value")]


def test_rows_are_read_on_from_any_position() -> None:
    body = b'{"ntn": "1"}\n\n{"ntn": "2"}\n{"ntn": "3"}\n'
    rows = read(body)
    for i, row in enumerate(rows):
        later = list(read_ndjson([body[row.end :]], NDJSON_LAYOUT, row.following))
        assert [each._replace(end=each.end + row.end) for each in later] == rows[i + 1 :]


@given(st.dictionaries(st.sampled_from(COLUMNS) | st.text(max_size=5), JSON, max_size=5))
def test_any_object_is_a_row(given_: dict[str, Any]) -> None:
    (row,) = read(json.dumps(given_).encode())
    assert len(row.cells) == len(COLUMNS)
    assert {name for name in given_ if fold(name) not in COLUMN_OF_FOLDED} == set() or row.errors
