"""Names keep what is seen of them, and texts that stand for no value are known."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.validation import texts

# URDU is a word of Urdu that needs a zero-width non-joiner between its parts.
URDU = "\u06a9\u0645\u200c\u067e\u06cc\u0648\u0679\u0631"
INVISIBLE = [
    "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u200b", "\u200e", "\u200f",
    "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2060", "\u2063", "\u2066", "\u2067", "\u2068", "\u2069",
    "\u206f", "\u2800", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\U000e0041", "\U000e0101",
    "\u200c", "\u200d",
]  # fmt: skip
MIXED = st.text(
    st.sampled_from([*INVISIBLE, "a", "\u06a9", "\u064e", "\u2764", "\u6f22", "\u00e9", " ", "\n", "\u00a0"])
)


@pytest.mark.parametrize("character", INVISIBLE)
def test_an_invisible_character_is_taken_out_of_a_name_and_named_by_its_place(character: str) -> None:
    assert texts.normal_name(f"Al{character}pha{character}") == "Alpha"
    assert (texts.hidden_character(f"Al{character}pha") or "").startswith(
        f"the invisible character U+{ord(character):04X} "
    )
    assert (texts.hidden_character(f"Al{character}pha") or "").endswith(" at position 2")


@pytest.mark.parametrize(
    "text", [URDU, "\u06a9\u064e\u200c\u067e", "\u2764\ufe0f", "\u6f22\U000e0101", "Caf\u00e9", "\u06dd7", "Alpha"]
)
def test_a_character_that_a_name_needs_stays(text: str) -> None:
    assert texts.normal_name(text) == text
    assert texts.hidden_character(text) is None


def test_of_joiners_in_a_row_one_is_needed() -> None:
    assert texts.normal_name("\u06a9\u200c\u200c\u200d\u067e") == "\u06a9\u200c\u067e"


@given(MIXED)
def test_the_normal_form_of_a_name_is_its_own_and_hides_nothing(text: str) -> None:
    normal = texts.normal_name(text)
    assert texts.normal_name(normal) == normal
    assert texts.hidden_character(normal) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Alpha\nSoft  (Pvt)\r\nLtd", "Alpha Soft (Pvt) Ltd"),
        (" Alpha\u00a0Ltd\t", "Alpha Ltd"),
        ("\u202edtL eliM\u202c", "dtL eliM"),
        ("Alpha Ltd", "Alpha Ltd"),
        ("'Alpha'", "'Alpha'"),
    ],
)
def test_a_name_is_taken_in_one_line_with_single_blanks(text: str, name: str) -> None:
    assert texts.normal_name(text) == name


@pytest.mark.parametrize("text", ["Ã\u00a0 la carte", "Garc\u00c3\u00ada"])
def test_a_damaged_name_stays_so_that_its_damage_is_seen(text: str) -> None:
    assert texts.normal_name(text) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("F-1", "F-1"), (" F-1\n", "F-1"), ("F\n1", "F 1"), ("F  1", "F  1"), ('="001"', "001"),
        ("F-900\u200b", "F-900\u200b"),
        ("'F-1", "'F-1"), ("=1+1", "=1+1"),
    ],
)  # fmt: skip
def test_a_reference_keeps_all_but_its_ends_and_line_breaks(text: str, code: str) -> None:
    assert texts.normal_code(text) == code == texts.normal_code(code)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("PSEB-C-000123", "PSEB-C-000123"), ('="000123"', "000123"), ("'000123", "000123"), ("PSEB\nC  1", "PSEB C 1"),
        ("=1+1", "=1+1"),
    ],
)  # fmt: skip
def test_a_number_is_taken_without_what_kept_it_a_text_in_a_spreadsheet(text: str, number: str) -> None:
    assert texts.normal_number(text) == number == texts.normal_number(number)


@pytest.mark.parametrize(
    "text",
    [
        "#N/A", "#n/a", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!",
        "#ERROR!", "Err:502",
        "#####", "nan", "NaN", "NULL", "<NA>", "None", "(blank)", "nil", "n/a", "N/A", "n.a.", "NA",
        " N / A ", "-", "--",
        "\u2013", "\u2014", "?", ".", "_", "*", "undefined", "\\N", "-nan(ind)",
        "[object Object]", "Loading...", "not applicable", "\u200bN/A",
    ],
)  # fmt: skip
def test_what_stands_for_no_value_is_known(text: str) -> None:
    assert texts.is_placeholder(text)


@pytest.mark.parametrize(
    "text", ["Nadia Khan", "Nil Desperandum Ltd", "NA-7", "#1 Solutions", "N/A Systems", "A", "\u06a9", "7"]
)
def test_a_name_that_only_begins_so_is_one(text: str) -> None:
    assert not texts.is_placeholder(text, zero=True)


@pytest.mark.parametrize("text", ["0", "00", "0.0", "\u0660"])
def test_zero_stands_for_no_value_where_it_is_none(text: str) -> None:
    assert texts.is_placeholder(text, zero=True)
    assert not texts.is_placeholder(text)


@pytest.mark.parametrize(
    ("text", "lost"), [("3.52E+12", True), ("9,23e+11", True), ("'3.52E+12", True), ("12E4", False), ("E+12", False)]
)
def test_a_number_in_scientific_notation_has_lost_its_digits(text: str, *, lost: bool) -> None:
    assert texts.has_lost_digits(text) is lost


@pytest.mark.parametrize(
    ("text", "lost"), [("????", True), ("?? ?", True), ("???? Ltd", True), ("Why? Ltd", False), ("A ?? B", False)]
)
def test_question_marks_in_a_row_have_lost_their_letters(text: str, *, lost: bool) -> None:
    assert texts.has_lost_letters(text) is lost


@given(st.text())
def test_a_text_in_ascii_has_the_length_of_the_text(text: str) -> None:
    written = texts.in_ascii(text)
    assert len(written) == len(text)
    assert all(each.isascii() for each in written if unicodedata.category(each) == "Nd")
