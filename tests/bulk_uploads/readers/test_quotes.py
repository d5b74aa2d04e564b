"""Quotation marks are read as RFC 4180 says, and their mistakes refuse the rows in doubt alone."""

import sys
from collections.abc import Callable

import pytest

from app.bulk_uploads.readers.rows import MAX_RECORD_BYTES
from tests.support.text_files import HEADER, file, line, read


def errors(*lines: str) -> tuple[list[str], dict[int, list[str]]]:
    """Return the references of the rows that are taken, and the errors of the others."""
    found = read(file(*lines))
    return found.references, found.errors


def test_a_quoted_cell_that_swallowed_rows_is_refused_with_the_first_and_last_line() -> None:
    found = read(
        file(
            line("A"),
            line("B", description='"see our letter'),
            line("C"),
            line("D", description='as agreed"'),
            line("E"),
        )
    )
    assert found.references == ["A", "E"]
    ((error,),) = found.errors.values()
    assert error.startswith("/description Lines 3 to 5 are read as one row, since the cell J3 begins with a quotation")
    assert [(row.line, row.row, row.last_line) for row in found.rows] == [(2, 2, 2), (3, 3, 5), (6, 4, 6)]


@pytest.mark.parametrize("opened", ["reference", "legal_name", "ntn", "networks", "description"])
@pytest.mark.parametrize("closed", ["reference", "legal_name", "ntn", "networks", "description"])
@pytest.mark.parametrize("between", [0, 1])
def test_a_row_is_swallowed_by_a_quotation_mark_in_any_columns(opened: str, closed: str, between: int) -> None:
    rows = [line("A", **{opened: '"x'}), *[line("B")] * between, line("C", **{closed: 'x"'}), line("D")]
    references, refused = errors(*rows)
    assert references == ["D"]
    assert any(f"Lines 2 to {3 + between} are read as one row" in each for found in refused.values() for each in found)


def test_short_rows_without_their_last_cells_are_swallowed_all_the_same() -> None:
    rows = [line("A").removesuffix(","), line("B", description='"x'), line("C"), line("D", networks='1.1.1.1"')[:-1]]
    references, refused = errors(*rows)
    assert references == ["A"]
    assert list(refused) == [3]


def test_a_quoted_text_of_several_lines_with_few_separators_is_taken() -> None:
    text = '"Head office, Lahore,\n\n""Main"" branch, Karachi\r\nend"'
    found = read(file(line("A", description=text), line("B")))
    assert found.cells[0]["description"] == 'Head office, Lahore,\n\n"Main" branch, Karachi\nend'
    assert (found.references, [(row.line, row.row) for row in found.rows]) == (["A", "B"], [(2, 2), (6, 3)])


def test_a_quoted_text_of_one_line_may_have_any_number_of_separators() -> None:
    assert errors(line("A", description=f'"{"a, " * 40}"')) == (["A"], {})


@pytest.mark.parametrize("name", ['Textiles of 5" pipe', 'Alpha "Best" Ltd', 'Alpha"', 'A""B', ' "Alpha" Ltd'])
def test_a_quotation_mark_within_a_cell_is_text(name: str) -> None:
    assert read(file(line("A", legal_name=name), line("B"))).cells[0]["legal_name"] == name


@pytest.mark.parametrize("name", ['"Khan" Textiles', '"Khan, Sons" Textiles', '""Khan" Textiles"', '"A"B"C"'])
def test_a_cell_that_begins_with_a_quoted_word_is_taken_as_written(name: str) -> None:
    found = read(file(line("A", legal_name=name, description='"two\nlines"'), line("B")))
    assert found.references == ["A", "B"]
    assert found.cells[0]["legal_name"] == name


@pytest.mark.parametrize("blanks", [" ", "   "])
def test_quoted_cells_with_blanks_before_them_are_read_without_both(blanks: str) -> None:
    names, cells = HEADER.split(","), line("A", legal_name='Khan, ""Sons""', description=" plain").split(",")
    cells[3:5] = ['"Khan, ""Sons"""']
    header = f",{blanks}".join(f'"{name}"' for name in names)
    quoted = f",{blanks}".join(
        [cells[0], *(each if each.startswith(('"', " ")) else f'"{each}"' for each in cells[1:])]
    )
    found = read(file(quoted, line("B"), header=header))
    assert (found.references, found.errors) == (["A", "B"], {})
    assert found.cells[0]["legal_name"] == 'Khan, "Sons"'
    assert found.cells[0]["description"].strip() == "plain"


def test_an_unclosed_quotation_mark_does_not_come_back_in_the_cells_of_its_row() -> None:
    found = read(file(line("A", legal_name='"Khan Textiles'), line("B"), line("C", description='"a, b"')))
    assert (found.references, list(found.errors)) == (["B", "C"], [2])
    assert list(found.rows[0].cells) == line("A", legal_name="Khan Textiles").split(",")


def test_cells_before_an_unclosed_quotation_mark_keep_their_place() -> None:
    refused = line("A", legal_name='"Khan, Sons"', email='"it@khan.example.pk')
    found = read(file(line("B"), refused))
    names = HEADER.split(",")
    cells = dict(zip(names, found.rows[1].cells, strict=False))
    assert (cells["legal_name"], cells["email"]) == ("Khan, Sons", "it@khan.example.pk")


def test_blanks_after_a_closing_quotation_mark_are_no_text() -> None:
    assert read(file(line("A", legal_name='"Khan, Sons"  '))).cells[0]["legal_name"] == "Khan, Sons"


def test_text_after_a_closing_quotation_mark_refuses_the_row_when_its_cells_are_more_or_fewer() -> None:
    wrong = line("B", legal_name='"Khan, "Textiles", Lahore"')
    references, refused = errors(line("A"), wrong, line("C"))
    assert references == ["A", "C"]
    assert "text after a quotation mark" in refused[3][0]


@pytest.mark.parametrize(
    "last", ["", line("C"), line("C", legal_name='"Khan, Sons"'), line("C", legal_name='Best"ever')]
)
def test_a_quotation_mark_that_is_never_closed_refuses_its_line_alone(last: str) -> None:
    references, refused = errors(line("A"), line("B", description='"see our letter'), last, line("D"))
    assert references == ["A", *(["C"] if last else []), "D"]
    (error,) = refused[3]
    assert error.startswith(" The cell J3 begins with a quotation mark that is not closed.")


@pytest.mark.parametrize("spare", [0, 1])
def test_a_record_has_64_kib_whether_its_lines_are_one_or_many(spare: int) -> None:
    length = MAX_RECORD_BYTES - len(line("A", description='""')) + spare
    one = line("A", description=f'"{"x" * length}"')
    many = line("A", description='"' + "\n" * length + '"')
    for record in (one, many):
        references, refused = errors(record, line("B"))
        assert references == ([] if spare else ["A"]) + ["B"]
        assert bool(refused) == bool(spare)


def test_a_line_that_is_too_long_within_quotation_marks_refuses_both_and_the_next_rows_are_read() -> None:
    references, refused = errors(line("A", description='"'), "x" * (MAX_RECORD_BYTES + 1), '"', line("B"))
    assert references == ["B"]
    assert "longer than" in refused[3][0]


ROUGH: dict[str, Callable[[int], str]] = {
    "lines that open a quoted cell and go on in another": lambda n: 'a","b\n' * n,
    "with lines between": lambda n: ('a","b\n' + "x\n" * 20) * (n // 20),
    "lone quotation marks": lambda n: '"\n' * n,
    "one that is never closed": lambda n: '"\n' + "x\n" * n,
    "empty lines within": lambda n: '"' + "\n" * n + 'x"y\n',
    "many quoted cells": lambda n: '"x",' * n + "\n",
    "text after quoted cells": lambda n: '"x"y,' * n + "\n",
    "pairs": lambda n: '"' + '""' * n + "\n",
    "records of many lines": lambda n: ('"' + "x\n" * 100 + '"\n') * (n // 100),
}


@pytest.mark.parametrize("rough", ROUGH.values(), ids=ROUGH)
def test_twice_the_quotation_marks_take_twice_the_work(rough: Callable[[int], str]) -> None:
    def work(size: int) -> int:
        body = f"{HEADER}\n{rough(size)}".encode()
        return calls(lambda: read(body))

    assert work(2_000) <= work(1_000) * 2.2


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
