"""The header is found among the first rows, and each of its columns that is not clear is named."""

import pytest

from app.bulk_uploads.readers.header import Header, find_header, fold, repeats_header
from app.bulk_uploads.rules import COLUMNS, MAX_COLUMNS, REQUIRED_COLUMNS

FEW = list(REQUIRED_COLUMNS)


def header(*rows: list[str], ignore: tuple[str, ...] = (), sheet: str = "") -> Header:
    found = find_header(enumerate(rows, 1), ignore, sheet)
    assert found is not None
    return found


def errors(names: list[str], *ignore: str) -> list[tuple[str, str, str]]:
    return [(each.pointer, each.code, each.detail) for each in header(names, ignore=ignore).errors]


def test_each_unknown_repeated_and_missing_column_is_named_at_once_by_its_letter() -> None:
    found = errors(["Company", *FEW[1:], "e-mail", "Remarks", "x" * 70])
    assert [(pointer, code) for pointer, code, _ in found] == [
        ("/columns/0", "invalid_value"),
        ("/columns/8", "invalid_value"),
        ("/columns/9", "invalid_value"),
        ("/columns/7", "invalid_value"),
        ("/columns/track", "missing_field"),
    ]
    named = (
        "Column A 'Company'",
        "Column I 'Remarks'",
        f"'{'x' * 59}…'",
        "Columns D and H are both 'email'",
        "'track'",
    )
    for (_, _, detail), words in zip(found, named, strict=True):
        assert words in detail
    assert "ignore_columns" in found[0][2]


def test_a_number_or_email_address_among_the_names_is_masked() -> None:
    found = errors([*FEW, "0300-1234567", "ayesha@indus.example.pk"])
    assert ["'****-****567'" in found[0][2], "'a***@indus.example.pk'" in found[1][2]] == [True, True]


def test_a_header_of_far_too_many_columns_is_refused_by_their_number_alone() -> None:
    assert len(errors([*FEW, *["x"] * (MAX_COLUMNS - len(FEW))])) == MAX_COLUMNS - len(FEW)
    ((pointer, code, detail),) = errors([*FEW, *["x"] * MAX_COLUMNS])
    assert (pointer, code) == ("/columns", "invalid_value")
    assert f"{MAX_COLUMNS + len(FEW)} columns" in detail


def test_unnamed_columns_at_the_end_do_not_count() -> None:
    found = header([*FEW, *[""] * 500])
    assert (found.names, found.errors) == ([*FEW, *[""] * (MAX_COLUMNS - len(FEW))], [])


def test_unnamed_columns_between_others_keep_their_place() -> None:
    assert header([FEW[0], " ", *FEW[1:]]).names == [FEW[0], "", *FEW[1:]]


def test_rows_that_name_fewer_than_two_columns_are_no_header() -> None:
    assert find_header([(1, ["Track", "x"]), (2, ["", "vpn_company"])], ()) is None
    assert find_header([], ()) is None


def test_a_header_beyond_the_first_ten_written_rows_is_not_looked_for() -> None:
    title = ["Members of the association"]
    assert header(*[title, [" ", "\ufeff"]] * 9, FEW).row == 19
    assert find_header(enumerate([*[title] * 10, FEW], 1), ()) is None


def test_the_first_row_with_all_required_columns_is_the_header() -> None:
    assert header(["track", "email", "networks"], FEW, [*FEW, "reference"]).row == 2


def test_without_one_the_row_with_most_known_names_is_named_with_what_is_missing() -> None:
    found = header(["track", "email"], FEW[1:], ["track", "email"], sheet="Members")
    assert found.row == 2
    assert [(each.pointer, each.detail) for each in found.errors] == [
        ("/columns/track", "Sheet 'Members': Missing column 'track'.")
    ]


@pytest.mark.parametrize(
    "written",
    [
        "Applicant Kind",
        "APPLICANT_KIND*",
        " applicant-kind ",
        "applicant\nkind",
        "\ufeffApplicant\xa0kind",
        "*Applicant\u200b kind",
        "applicant\u2011kind",
        "applicant  \r\n kind",
    ],
)
def test_names_are_read_without_regard_to_case_blanks_dashes_stars_and_invisible_characters(written: str) -> None:
    assert header([written if name == "applicant_kind" else name for name in COLUMNS]).names == list(COLUMNS)


def test_an_undecodable_byte_is_not_overlooked() -> None:
    assert fold("tr\udcffack") != "track"
    (unknown, *_) = errors(["tr\udcffack", *FEW[1:]])
    assert unknown[2].encode()


def test_a_stroke_or_point_in_a_name_is_not_overlooked() -> None:
    assert [pointer for pointer, _, _ in errors([*FEW, "refer.ence", "ntn/cnic"])] == ["/columns/7", "/columns/8"]


def test_columns_may_be_ignored_by_name_and_why_always_is() -> None:
    found = header(["S.No", *FEW, "Remarks of PSEB", "Why"], ignore=("s.no", "remarks_of_pseb"))
    assert (found.names, found.errors) == (["", *FEW, "", ""], [])
    assert (found.ignored, found.ignored_columns) == ([0, 8, 9], ["S.No", "Remarks of PSEB", "Why"])


def test_a_known_column_can_be_ignored_unless_it_is_required() -> None:
    assert header([*FEW, "description"], ignore=("description",)).names == [*FEW, ""]
    assert [pointer for pointer, _, _ in errors(FEW, "e-mail")] == ["/columns/email"]


def test_two_columns_of_networks_are_both_networks() -> None:
    found = header([*FEW, "Networks"])
    assert (found.names, found.errors) == ([*FEW, "networks"], [])


def test_a_row_of_the_names_of_its_columns_repeats_the_header() -> None:
    columns = [*FEW, "reference"]
    assert repeats_header(columns, [*(name.title() for name in FEW), ""])
    assert not repeats_header(columns, ["track", "company", *FEW[2:], ""])
    assert not repeats_header(columns, [""] * len(columns))


@pytest.mark.parametrize("name", ["ntn (required)", "NTN (Optional)", "ntn* (if any)", "ntn (MANDATORY) "])
def test_a_remark_after_the_name_of_a_column_is_left_out(name: str) -> None:
    assert header([*FEW, name]).names == [*FEW, "ntn"]


def test_another_remark_is_part_of_the_name() -> None:
    assert [pointer for pointer, _, _ in errors([*FEW, "networks (old)"])] == [f"/columns/{len(FEW)}"]


@pytest.mark.parametrize("name", ["S.No", "S. No.", "s-no", "SNo."])
def test_points_in_the_name_of_an_ignored_column_do_not_count(name: str) -> None:
    found = header([name, *FEW], ignore=("S.No.",))
    assert (found.names, found.errors, found.ignored_columns) == (["", *FEW], [], [name])
