"""CSV in any parts is read as rows with their places; a row that cannot be read is refused alone."""

import csv
import io
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.errors import CsvMalformed
from app.bulk_uploads.readers.columns import SEPARATORS
from app.bulk_uploads.readers.csv import read_csv, read_records
from app.bulk_uploads.readers.layout import Layout, Table
from app.bulk_uploads.readers.rows import MAX_RECORD_BYTES, Position, Row
from app.bulk_uploads.readers.text import TextNormalizer
from app.bulk_uploads.rules import UploadOptions
from tests.support.text_files import COLUMNS, HEADER, file, line, read

NAMES = ["track", "legal_name", "networks"]
LAYOUT = Layout("utf-8", ",", [Table("", 0, 1, NAMES)])
START = Position(2, 2)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"), max_size=12)
CELLS = st.one_of(TEXT, st.sampled_from(['"', '""', ",", ";", "\t", "|", "\n", 'a"b', '"a" b', "a\nb\n", "دفتر", " "]))
# a first cell that is not blank, and no header or line that says the separator
RECORDS = st.lists(st.lists(CELLS, min_size=2, max_size=5).map(lambda cells: ["x" + cells[0], *cells[1:]]), max_size=8)


def to_csv(records: Sequence[Sequence[str]], separator: str, end: str, *, is_quoted: bool) -> str:
    """Write each record by itself: with another line end the writer leaves line breaks of a cell unquoted."""
    written = []
    for record in records:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL).writerow(
            record
        )
        written.append(text.getvalue().removesuffix("\r\n") + end)
    return "".join(written)


def split(body: bytes, at: Sequence[int]) -> list[bytes]:
    offsets = [0, *sorted(each % (len(body) + 1) for each in at), len(body)]
    return [body[begin:end] for begin, end in pairwise(offsets)]


def errors(*lines: str) -> dict[int, list[str]]:
    return read(file(*lines)).errors


def test_text_beyond_the_header_is_refused_by_its_cell_and_blank_cells_are_dropped() -> None:
    found = read(file(line("A") + ", ,,", line("B") + ",,ok", line("C") + "," * 20_000))
    assert found.references == ["A", "C"]
    assert found.errors == {3: [" L3 has 'ok', but column L has no name: move the text, or remove it."]}


def test_text_under_a_column_without_a_name_is_refused_by_its_cell() -> None:
    header = HEADER.replace("legal_name,", "legal_name,,")
    rows = [line("A", legal_name="Alpha,"), line("B", legal_name="Alpha,x"), line("C", legal_name="Alpha, ")]
    found = read(file(*rows, header=header))
    assert (found.references, list(found.errors)) == (["A", "C"], [3])
    assert "E3 has 'x', but column E has no name" in found.errors[3][0]


@pytest.mark.parametrize("personal", ["it@alpha.example.pk", "0300-1234567", "35202-1234567-1", "x" * 41])
def test_personal_and_long_texts_are_not_repeated(personal: str) -> None:
    ((error,),) = errors(f"{line('A')},{personal}").values()
    assert error.startswith(" K2 has text, but")


def test_a_row_in_one_cell_says_which_separator_it_uses() -> None:
    refused = errors(line("A", ";"), line("B", "\t"), f'"{line("C")}"', line("D"))
    assert [found[0].rpartition(" ")[2] for found in refused.values()] == ["semicolons.", "tabs.", "commas."]
    assert list(refused) == [2, 3, 4]


def test_a_note_below_the_rows_is_refused_as_such() -> None:
    refused = errors(line("A"), "* prepared by Ali", "Checked" + "," * 9)
    assert [found[0].startswith("/reference Only the cell A") for found in refused.values()] == [True, True]


def test_a_repeated_header_is_refused_as_such() -> None:
    assert errors(line("A"), HEADER.upper(), line("B")) == {3: [" Row 3 repeats the header. Remove the row."]}


def test_a_header_that_cannot_be_reached_is_refused() -> None:
    layout = Layout("utf-8", ",", [Table("", 0, 2, NAMES)])
    for body in (b"", b"a\n", b'"a\n\n\n"\n\n\n\nb,c,d\n'):
        with pytest.raises(CsvMalformed, match="header in row 2"):
            list(read_csv([body], layout))


def test_a_row_without_its_last_cells_has_blank_ones() -> None:
    found = read(file(line("A").removesuffix(","), line("B", description="x")))
    assert [len(row.cells) for row in found.rows] == [len(COLUMNS)] * 2
    assert found.references == ["A", "B"]


@pytest.mark.parametrize("blank", ["", ",,,,,,,,,", " , ,\xa0", '"",""', '""', '" ",\t', "\u200b,\ufeff", '"\n\n",'])
def test_wholly_empty_rows_are_left_out_and_counted(blank: str) -> None:
    (row,) = read(file(*[blank] * 3, line("A"))).rows
    assert (row.row, row.line) == (5, 5 + 3 * blank.count("\n"))


def test_rows_are_counted_as_a_spreadsheet_does() -> None:
    found = read(file(line("A", description='"a\nb\nc"'), "", line("B", description='"a\nb"'), line("C")))
    assert [(row.line, row.row, row.last_line) for row in found.rows] == [(2, 2, 4), (6, 4, 7), (8, 5, 8)]


def test_two_columns_of_networks_are_joined() -> None:
    rows = [f"{line('A')},39.49.7.1", f"{line('B')}, ", line("C")]
    found = read(file(*rows, header=f"{HEADER},Networks"))
    assert [cells["networks"] for cells in found.cells] == ["39.49.0.5 39.49.7.1", "39.49.0.5", "39.49.0.5"]


def test_ignored_columns_are_left_out_whatever_they_hold() -> None:
    header = f"S.No,{HEADER},Remarks,why"
    found = read(
        file(f"1,{line('A')},ok,wrong", f"2,{line('B')}", header=header),
        UploadOptions(ignore_columns=("s.no", "remarks")),
    )
    assert (found.layout.columns, found.references) == (list(COLUMNS), ["A", "B"])
    assert list(found.layout.ignored_columns) == ["S.No", "Remarks", "why"]


def test_one_carriage_return_among_line_feeds_ends_a_line() -> None:
    body = file(line("A"), line("B"), line("C")).replace(b"\r\n", b"\n").replace(b"\nB", b"\rB")
    assert read(body).references == ["A", "B", "C"]


def test_a_line_that_is_too_long_refuses_its_row_alone() -> None:
    longest = line("B", description="x" * (MAX_RECORD_BYTES - len(line("B"))))
    found = read(file(line("A"), longest, longest + "x", line("C", description="," * 99_999), line("D"), end="\n"))
    assert (found.references, list(found.errors)) == (["A", "B", "D"], [4, 5])
    assert set(found.rows[2].cells) == {""}
    assert found.rows[-1].end == len(found.text)


LARGE: dict[str, Callable[[], Iterator[bytes]]] = {
    "a line of commas": lambda: repeat(b"," * 2**18, 32),
    "line breaks in a quoted cell": lambda: chain([b'a,"'], repeat(b"\n" * 2**18, 4), [b'"\n']),
    "a quoted cell that is never closed": lambda: chain([b'a,"'], repeat(b"x,y\n" * 2**13, 4)),
}


@pytest.mark.parametrize("large", LARGE.values(), ids=LARGE)
def test_a_large_file_is_read_in_little_memory(large: Callable[[], Iterator[bytes]]) -> None:
    tracemalloc.start()
    for row in read_csv(chain(large(), [b"\nlast,1,2\n"]), LAYOUT, START):
        last = row
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last.cells[0] == "last"
    assert peak < 2**22


def test_twice_the_empty_lines_take_no_more_calls() -> None:
    body = file(line("A")) + b"\n" * 100_000 + line("B").encode()
    assert [(row.row, row.line) for row in read(body).rows] == [(2, 2), (100_003, 100_003)]


@given(
    records=RECORDS,
    separator=st.sampled_from(list(SEPARATORS)),
    end=st.sampled_from(["\r", "\n", "\r\n"]),
    is_quoted=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    at=st.lists(st.integers(0, 1_000), max_size=6),
)
def test_any_table_is_read_back(
    records: list[list[str]], separator: str, end: str, is_quoted: bool, encoding: str, at: list[int]
) -> None:
    body = to_csv(records, separator, end, is_quoted=is_quoted).encode(encoding)
    normalizer = TextNormalizer(encoding.removesuffix("-sig"), "csv")
    parts = [normalizer.feed(part) for part in split(body, at)]
    rows = list(read_records([*parts, normalizer.finish()], separator))
    assert [row.cells for row in rows] == [
        [cell.replace("\r\n", "\n").replace("\r", "\n") for cell in each] for each in records
    ]
    assert not any(row.errors for row in rows)
    assert [row.row for row in rows] == list(range(1, len(records) + 1))
    assert [row.line for row in rows[:1]] == [1] * len(rows[:1])
    assert all(before.last_line + 1 == after.line for before, after in pairwise(rows))


ROUGH = st.lists(
    st.sampled_from(['"', '""', ",", "\n", "a", "b c", " ", "track", '","', 'x"\n', "\n\n", "é", ",,,\n", "1,2,3\n"]),
    max_size=40,
).map("".join)


@given(text=ROUGH, at=st.lists(st.integers(0, 200), max_size=4))
def test_any_text_is_read_alike_however_it_is_split_and_read_on_from_any_row(text: str, at: list[int]) -> None:
    body = text.encode()
    whole = list(read_csv([body], LAYOUT, START))
    assert list(read_csv(split(body, at), LAYOUT, START)) == whole
    for i, row in enumerate(whole):
        assert len(row.cells) == len(NAMES) or (len(row.cells) > len(NAMES) and row.errors)
        assert row.end <= len(body)
        rest = list(read_csv([body[row.end :]], LAYOUT, row.following))
        assert [each._replace(end=each.end + row.end) for each in rest] == whole[i + 1 :]
        begin = whole[i - 1].end if i else 0
        start = whole[i - 1].following if i else START
        (again,) = read_csv([body[begin : row.end]], LAYOUT, start)
        assert again._replace(end=again.end + begin) == row


@given(body=st.binary(max_size=200))
def test_any_bytes_are_read(body: bytes) -> None:
    for row in read_csv([body], LAYOUT, START):
        assert isinstance(row, Row)
        assert all(error.detail.encode("utf-8", "surrogateescape") for error in row.errors)
