"""Cells that a spreadsheet would run, and what a row says."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads import rules
from app.bulk_uploads.errors import ProcessingAborted, TooManyRows, UploadsWaiting
from app.core.errors import FieldError

CELLS = st.one_of(
    st.text(max_size=20),
    st.builds(lambda quotes, sign, rest: quotes + sign + rest, st.sampled_from(["", "'", "''"]),
              st.sampled_from("=+-@\t\r"), st.text(max_size=10)),
)  # fmt: skip


@given(CELLS)
def test_no_guarded_cell_begins_with_what_a_spreadsheet_runs(cell: str) -> None:
    assert not rules.escape_formula(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(CELLS)
def test_an_exported_cell_means_the_same_when_it_is_sent_again(cell: str) -> None:
    assert rules.unescape_formula(rules.escape_formula(cell)) == rules.unescape_formula(cell)


@given(CELLS.filter(lambda cell: not cell.startswith("'")))
def test_guarding_takes_nothing_from_a_cell(cell: str) -> None:
    assert rules.unescape_formula(rules.escape_formula(cell)) == cell


def test_an_apostrophe_that_guards_nothing_stays() -> None:
    assert rules.unescape_formula("'Abdullah & Sons'") == "'Abdullah & Sons'"


def test_networks_are_split_at_any_number_of_spaces_and_empty_cells_are_absent() -> None:
    cells = {"networks": "  39.32.0.7   39.32.0.9 ", "reference": "", "track": "vpn_company"}
    assert rules.registration_fields(cells) == {"networks": ["39.32.0.7", "39.32.0.9"], "track": "vpn_company"}


def test_an_error_is_about_the_column_that_the_field_came_from() -> None:
    pointers = {"/kind": "applicant_kind", "/networks/3": "networks", "/email": "email", "": ""}
    assert {each: rules.column_of(FieldError(each, "x", "")) for each in pointers} == pointers


def test_pauses_grow_from_seconds_to_minutes_and_no_further() -> None:
    pauses = [rules.pause_after(faults).total_seconds() for faults in (1, 2, 3, 7, 8, 1_000_000)]
    assert pauses == [5, 10, 20, 320, 600, 600]


def aborted(kills: rules.Kills) -> bool:
    try:
        kills.check()
    except ProcessingAborted:
        return True
    return False


def test_three_kills_in_a_row_at_one_place_are_held_against_a_file_and_kills_here_and_there_are_not() -> None:
    kills = rules.Kills(None, 0, 0)
    for place in (rules.READING, rules.READING, 0, 0, 500, 500):
        kills = kills.another(place)
        assert not aborted(kills)
    assert aborted(kills.another(500))


def test_kills_at_ever_other_places_are_bounded_too() -> None:
    kills = rules.Kills(None, 0, 0)
    for place in range(rules.MOST_KILLS - 1):
        kills = kills.another(place % 7)
        assert not aborted(kills)
    assert aborted(kills.another(1_000))


def refused(waiting: rules.Backlog, size: int, lines: int, most: tuple[int, int, int]) -> UploadsWaiting | None:
    try:
        rules.check_backlog(waiting, size, lines, most)
    except UploadsWaiting as refusal:
        return refusal
    return None


def test_an_upload_waits_while_all_that_waits_is_within_its_limits_and_not_one_byte_or_row_more() -> None:
    waiting = rules.Backlog([uuid4(), uuid4()], 100, 10)
    assert refused(waiting, 50, 5, (3, 150, 15)) is None
    for size, lines, most in ((50, 5, (2, 150, 15)), (51, 5, (3, 150, 15)), (50, 6, (3, 150, 15))):
        assert refused(waiting, size, lines, most)


def test_a_first_upload_may_wait_whatever_its_size() -> None:
    assert refused(rules.Backlog([], 0, 0), 10**12, 10**9, (1, 1, 1)) is None


def test_a_refusal_says_what_waits_which_limit_is_reached_and_when_to_come_again() -> None:
    waiting = rules.Backlog([uuid4() for _ in range(12)], 2_000, 1_000_000)
    refusal = refused(waiting, 5_000_000, 0, (20, 1_000_000, 10**9))
    assert refusal is not None
    for said in (
        "12 uploads",
        "2,000 bytes",
        "1,000,000 rows",
        "limit of 1,000,000",
        str(waiting.uploads[9]),
        "2 more",
    ):
        assert said in refusal.detail
    assert str(waiting.uploads[10]) not in refusal.detail
    assert refusal.retry_after == 200
    nothing_left = refused(waiting._replace(rows=0), 5_000_000, 0, (20, 1_000_000, 10**9))
    assert nothing_left is not None
    assert nothing_left.retry_after == 5


def test_a_file_of_more_lines_than_its_rows_can_have_is_refused_by_their_number() -> None:
    rules.check_lines(80, 10)
    with pytest.raises(TooManyRows, match="81 lines"):
        rules.check_lines(81, 10)


def test_a_small_file_is_small_in_bytes_and_in_lines() -> None:
    assert rules.is_small(rules.SMALL_BYTES - 1, rules.SMALL_LINES)
    assert not rules.is_small(rules.SMALL_BYTES, 1)
    assert not rules.is_small(1, rules.SMALL_LINES + 1)
