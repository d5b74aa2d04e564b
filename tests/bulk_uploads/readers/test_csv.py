"""CSV in any parts is read as rows with their lines, or refused with the line of the error."""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.errors import CsvMalformed
from app.bulk_uploads.readers.csv import read_csv
from app.bulk_uploads.readers.rows import BYTE_ORDER_MARK, MAX_CELLS, MAX_RECORD_BYTES

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CELLS = st.one_of(TEXT, st.sampled_from(['"', '""', ",", "\r", "\n", "\r\n", 'a"b', "a\nb\r\n", "دفتر", " "]))
RECORDS = st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=8)


def to_csv(records: Sequence[Sequence[str]], end: str = "\r\n") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows(records)
    return text.getvalue().encode()


def split(body: bytes, at: Sequence[int]) -> list[bytes]:
    offsets = [0, *sorted(each % (len(body) + 1) for each in at), len(body)]
    return [body[begin:end] for begin, end in pairwise(offsets)]


def lines_of(body: bytes) -> list[int]:
    return [row.line for row in read_csv([body])]


def detail(body: bytes) -> str:
    with pytest.raises(CsvMalformed) as refused:
        list(read_csv([body]))
    return refused.value.detail


def test_a_file_that_ends_inside_a_quoted_cell_is_refused_with_the_line_where_its_row_begins() -> None:
    assert "begins on line 3 " in detail(b'a,b\r\n1,2\r\n3,"cut off\r\nin the mid')


def test_text_after_a_closing_quote_is_refused_with_its_line() -> None:
    assert "begins on line 2 " in detail(b'a,b\n"1"x,2\n')


def test_a_lone_carriage_return_outside_quotes_is_refused_with_its_line() -> None:
    assert "begins on line 2 " in detail(b"a,b\n1\r2,3\n")


def test_a_quote_that_is_never_closed_is_refused_before_it_swallows_a_large_file() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b'a,b\n"'
        while True:
            taken += 1
            yield b"x" * 1023 + b"\n"

    with pytest.raises(CsvMalformed, match=r"begins on line 2 .* a quote is probably not closed"):
        list(read_csv(endless()))
    assert taken <= MAX_RECORD_BYTES // 1024 + 1


def test_a_long_line_inside_a_quote_is_refused_with_the_line_where_its_row_begins() -> None:
    assert "begins on line 2 " in detail(b'a,b\n"1\n' + b"x" * MAX_RECORD_BYTES + b'\n",2\n')


@pytest.mark.parametrize("spare", [0, 1])
def test_a_record_has_64_kib_whether_its_lines_are_one_or_many(spare: int) -> None:
    one = b'"' + b"x" * (MAX_RECORD_BYTES - 2 + spare) + b'"\n'
    many = b'"' + b"\n" * (MAX_RECORD_BYTES - 3 + spare) + b'"\n'
    for record in (one, many):
        body = b"a\n1\n" + record * 2
        assert detail(body) if spare else lines_of(body)[:3] == [1, 2, 3]


def test_excess_cells_of_a_row_are_joined_and_the_next_rows_are_read() -> None:
    for cell in (b"", b'""', b"x"):
        _, wide, after = read_csv([b"a,b\n" + cell + (b"," + cell) * 20_000 + b"\n1,2\n"])
        assert len(wide.cells) == MAX_CELLS + 1
        assert wide.cells[-1].count(",") == 20_000 - MAX_CELLS
        assert after.cells == ["1", "2"]


def test_twice_the_lines_in_quotes_take_twice_the_work() -> None:
    def work(records: int) -> int:
        body = b"a\n" + (b'"' + b"\n" * 1_000 + b'"\n') * records
        return calls(lambda: list(read_csv(split(body, range(0, len(body), 7_000)))))

    assert work(40) <= work(20) * 2.2


def calls(act: Callable[[], object]) -> int:
    """Count the functions that ``act`` calls."""
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return counted


def test_a_line_without_end_is_refused_before_it_is_read_whole() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b"a,b\n"
        while True:
            taken += 1
            yield b"x," * 524_288

    with pytest.raises(CsvMalformed, match="Line 2 is longer"):
        list(read_csv(endless()))
    assert taken <= MAX_RECORD_BYTES // 2**20 + 1


def test_a_record_of_many_cells_is_refused_before_it_is_read_whole() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b"a,b\n"
        while True:
            taken += 1
            yield b'"' + b"x" * 2**10 + b'\n",'

    with pytest.raises(CsvMalformed, match=r"begins on line 2 .* a quote is probably not closed"):
        list(read_csv(endless()))
    assert taken <= MAX_RECORD_BYTES // 2**10 + 1


def test_a_nul_is_a_character_of_its_cell() -> None:
    assert [row.cells for row in read_csv([b"a,b\x00c\r\nd,e\r\n"])] == [["a", "b\x00c"], ["d", "e"]]


def test_a_cell_of_sixty_kilobytes_is_read_whole() -> None:
    wide = "x" * 60_000
    (row,) = read_csv(split(to_csv([[wide, "b"]]), range(0, 60_000, 999)))
    assert row.cells == [wide, "b"]


def test_blank_lines_are_passed_over_and_counted() -> None:
    assert lines_of(b"a,b\n\n\r\n1,2\n\n3,4\n\n") == [1, 4, 6]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_end_with_lf_or_crlf_and_the_last_one_need_not(end: str) -> None:
    body = to_csv([["a", "b"], ["1", "2"]], end)
    for each in (body, body.removesuffix(end.encode())):
        assert [row.cells for row in read_csv([each])] == [["a", "b"], ["1", "2"]]


@given(records=RECORDS, at=st.lists(st.integers(0, 1_000), max_size=6), mark=st.booleans())
def test_written_csv_is_read_back_with_its_lines_however_it_is_split(
    records: list[list[str]], at: list[int], mark: bool
) -> None:
    body = BYTE_ORDER_MARK + to_csv(records) if mark else to_csv([["header"], *records])
    expected = records if mark else [["header"], *records]
    rows = list(read_csv(split(body, at)))
    assert [row.cells for row in rows] == expected
    begins = [1 + to_csv(expected[:i]).count(b"\n") for i in range(len(expected))]
    assert [row.line for row in rows] == begins
    assert [row.end for row in rows[-1:]] == ([len(body)] if expected else [])


@given(text=st.text(st.sampled_from('ab,"\r\n '), max_size=20))
def test_any_text_is_read_as_the_library_reads_it(text: str) -> None:
    try:
        expected = [cells for cells in csv.reader(io.StringIO(text, newline="\n"), strict=True) if cells]
    except csv.Error:
        assert detail(text.encode())
        return
    assert [row.cells for row in read_csv([text.encode()])] == expected


@given(body=st.binary(max_size=200), at=st.lists(st.integers(0, 200), max_size=3))
def test_any_bytes_are_read_or_refused_however_they_are_split(body: bytes, at: list[int]) -> None:
    def outcome(parts: list[bytes]) -> object:
        try:
            return list(read_csv(parts))
        except CsvMalformed as refused:
            return refused.detail

    assert outcome([body]) == outcome(split(body, at))
