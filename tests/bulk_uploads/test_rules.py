"""Rules of uploads: cells, retries, kills, the backlog and sizes."""

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
def test_no_escaped_cell_begins_like_a_formula(cell: str) -> None:
    assert not rules.escape_formula(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(CELLS)
def test_an_escaped_cell_is_read_as_the_cell(cell: str) -> None:
    assert rules.unescape_formula(rules.escape_formula(cell)) == rules.unescape_formula(cell)


@given(CELLS.filter(lambda cell: not cell.startswith("'")))
def test_escaping_loses_nothing_of_a_cell(cell: str) -> None:
    assert rules.unescape_formula(rules.escape_formula(cell)) == cell


def test_an_apostrophe_that_escapes_nothing_stays() -> None:
    assert rules.unescape_formula("'Abdullah & Sons'") == "'Abdullah & Sons'"


def test_networks_are_split_at_any_number_of_spaces_and_empty_cells_are_absent() -> None:
    cells = {"networks": "  39.32.0.7   39.32.0.9 ", "reference": "", "track": "vpn_company"}
    assert rules.registration_fields(cells) == {"networks": ["39.32.0.7", "39.32.0.9"], "track": "vpn_company"}


def test_only_spaces_part_the_networks_of_a_cell() -> None:
    assert rules.split_networks("39.32.0.7\t39.32.0.9 39.32.0.11") == ["39.32.0.7\t39.32.0.9", "39.32.0.11"]


def test_an_applicant_has_the_names_of_the_json_body_and_nothing_for_empty_cells() -> None:
    cells = {"applicant_kind": "company", "legal_name": "Example Ltd", "ntn": "", "track": "vpn_company"}
    assert rules.applicant_fields(cells) == {"kind": "company", "legal_name": "Example Ltd"}


@pytest.mark.parametrize("text", ["\ud800", "a\udc80b", "b\udfff"])
def test_bytes_that_were_no_utf_8_are_seen_in_a_text(text: str) -> None:
    assert rules.has_surrogate(text)
    assert not rules.has_surrogate("a\ud7ff\ue000\U0001f600")


def test_an_error_names_the_column_of_its_field() -> None:
    pointers = {"/kind": "applicant_kind", "/networks/3": "networks", "/email": "email", "": ""}
    assert {each: rules.error_column(FieldError(each, "x", "")) for each in pointers} == pointers


def test_retry_delays_grow_to_ten_minutes() -> None:
    pauses = [rules.retry_delay(faults).total_seconds() for faults in (1, 2, 3, 7, 8, 1_000_000)]
    assert pauses == [5, 10, 20, 320, 600, 600]


def aborted(kills: rules.KillCount) -> bool:
    try:
        kills.check()
    except ProcessingAborted:
        return True
    return False


def test_three_kills_in_a_row_at_one_place_abort_a_file_and_kills_at_different_places_do_not() -> None:
    kills = rules.KillCount(None, 0, 0)
    for place in (rules.READING_FILE, rules.READING_FILE, 0, 0, 500, 500):
        kills = kills.add(place)
        assert not aborted(kills)
    assert aborted(kills.add(500))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (rules.OPENING_WORKBOOK, "while it opened the workbook"),
        (rules.READING_FILE, "while it read the file"),
        (0, "before it processed the first rows"),
        (500, "after 500 rows of the file"),
    ],
)
def test_a_file_that_kills_workers_is_refused_with_the_place_at_which_it_does(place: int, said: str) -> None:
    with pytest.raises(ProcessingAborted, match=f"3 times in a row {said}"):
        rules.KillCount(place, 3, 3).check()


def test_kills_at_different_places_are_limited_too() -> None:
    kills = rules.KillCount(None, 0, 0)
    for place in range(rules.MAX_KILLS - 1):
        kills = kills.add(place % 7)
        assert not aborted(kills)
    assert aborted(kills.add(1_000))


def refused(backlog: rules.Backlog, size: int, lines: int, limits: tuple[int, int, int]) -> UploadsWaiting | None:
    try:
        rules.check_backlog(backlog, size, lines, rules.BacklogLimits(*limits))
    except UploadsWaiting as refusal:
        return refusal
    return None


def test_an_upload_may_reach_the_limits_of_the_backlog_and_not_exceed_them() -> None:
    backlog = rules.Backlog([uuid4(), uuid4()], 100, 10)
    assert refused(backlog, 50, 5, (3, 150, 15)) is None
    for size, lines, limits in ((50, 5, (2, 150, 15)), (51, 5, (3, 150, 15)), (50, 6, (3, 150, 15))):
        assert refused(backlog, size, lines, limits)


def test_the_first_upload_may_have_any_size() -> None:
    assert refused(rules.Backlog([], 0, 0), 10**12, 10**9, (1, 1, 1)) is None


def test_a_refusal_lists_the_backlog_the_exceeded_limit_and_when_to_retry() -> None:
    backlog = rules.Backlog([uuid4() for _ in range(12)], 2_000, 1_000_000)
    refusal = refused(backlog, 5_000_000, 0, (20, 1_000_000, 10**9))
    assert refusal is not None
    for expected in (
        "12 uploads",
        "2,000 bytes",
        "1,000,000 rows",
        "2,000 bytes and 5,000,000 more exceed the limit of 1,000,000",
    ):
        assert expected in refusal.detail
    assert refusal.detail.endswith(f" {', '.join(map(str, backlog.uploads[:10]))} and 2 more.")
    assert refusal.retry_after == 200
    nothing_left = refused(backlog._replace(rows=0), 5_000_000, 0, (20, 1_000_000, 10**9))
    assert nothing_left is not None
    assert nothing_left.retry_after == 5


def test_a_refusal_names_every_limit_that_is_reached_and_all_uploads_up_to_ten() -> None:
    waiting = rules.Backlog([uuid4() for _ in range(10)], 100, 10)
    refusal = refused(waiting, 51, 6, (10, 150, 15))
    assert refusal is not None
    assert (
        "10 uploads and 1 more exceed the limit of 10; 100 bytes and 51 more exceed the limit of 150; "
        "10 rows and 6 more exceed the limit of 15."
    ) in refusal.detail
    assert refusal.detail.endswith(f" {', '.join(map(str, waiting.uploads))}.")


@pytest.mark.parametrize(("rows", "seconds"), [(29_999, 5), (30_000, 6), (34_999, 6), (1_499_999, 299), (10**9, 300)])
def test_the_wait_is_in_whole_seconds_as_long_as_the_rows_take_and_five_minutes_at_most(
    rows: int, seconds: int
) -> None:
    refusal = refused(rules.Backlog([uuid4()], 0, rows), 1, 0, (1, 1, 1))
    assert refusal is not None
    assert refusal.retry_after == seconds


def test_a_file_of_more_lines_than_its_rows_can_have_is_refused_by_their_number() -> None:
    rules.check_lines(80, 10)
    with pytest.raises(TooManyRows, match="81 lines"):
        rules.check_lines(81, 10)


def test_a_small_file_is_small_in_bytes_and_in_lines() -> None:
    assert rules.is_small(rules.SMALL_BYTES - 1, rules.SMALL_LINES)
    assert not rules.is_small(rules.SMALL_BYTES, 1)
    assert not rules.is_small(1, rules.SMALL_LINES + 1)
