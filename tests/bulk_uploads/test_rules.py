"""Cells that a spreadsheet would run, and what a row says."""

from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads import rules
from app.core.errors import FieldError

CELLS = st.one_of(
    st.text(max_size=20),
    st.builds(lambda quotes, sign, rest: quotes + sign + rest, st.sampled_from(["", "'", "''"]),
              st.sampled_from("=+-@\t\r"), st.text(max_size=10)),
)  # fmt: skip


@given(CELLS)
def test_no_guarded_cell_begins_with_what_a_spreadsheet_runs(cell: str) -> None:
    assert not rules.guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(CELLS)
def test_an_exported_cell_means_the_same_when_it_is_sent_again(cell: str) -> None:
    assert rules.unguarded(rules.guarded(cell)) == rules.unguarded(cell)


@given(CELLS.filter(lambda cell: not cell.startswith("'")))
def test_guarding_takes_nothing_from_a_cell(cell: str) -> None:
    assert rules.unguarded(rules.guarded(cell)) == cell


def test_an_apostrophe_that_guards_nothing_stays() -> None:
    assert rules.unguarded("'Abdullah & Sons'") == "'Abdullah & Sons'"


def test_networks_are_split_at_any_number_of_spaces_and_empty_cells_are_absent() -> None:
    cells = {"networks": "  39.32.0.7   39.32.0.9 ", "reference": "", "track": "vpn_company"}
    assert rules.registration_fields(cells) == {"networks": ["39.32.0.7", "39.32.0.9"], "track": "vpn_company"}


def test_an_error_is_about_the_column_that_the_field_came_from() -> None:
    pointers = {"/kind": "applicant_kind", "/networks/3": "networks", "/email": "email", "": ""}
    assert {each: rules.column_of(FieldError(each, "x", "")) for each in pointers} == pointers


def test_pauses_grow_from_seconds_to_minutes_and_no_further() -> None:
    pauses = [rules.pause_after(faults).total_seconds() for faults in (1, 2, 3, 7, 8, 1_000_000)]
    assert pauses == [5, 10, 20, 320, 600, 600]
