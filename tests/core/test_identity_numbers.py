"""A CNIC is found in any digits and separators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidValue
from app.core.identity_numbers import MASK, contains_cnic, mask_cnics

SEPARATORS = [
    "",
    "-",
    " ",
    "  ",
    ".",
    "/",
    "_",
    " - ",
    "\u2010",
    "\u2011",
    "\u2013",
    "\u2014",
    "\u2212",
    "\uff0d",
    "\u00a0",
    "\u200b",
]
DIGITS = ["0123456789", "".join(chr(0x660 + n) for n in range(10)), "".join(chr(0x6F0 + n) for n in range(10)),
          "".join(chr(0xFF10 + n) for n in range(10))]  # fmt: skip


@given(st.from_regex(r"[1-9][0-9]{12}", fullmatch=True), *[st.sampled_from(SEPARATORS)] * 2, st.sampled_from(DIGITS))
def test_thirteen_digits_count_as_one_in_any_script_and_with_any_separators_or_none(
    number: str, first: str, second: str, digits: str
) -> None:
    written = first.join((number[:5], second.join((number[5:12], number[12:]))))
    text = f"of {written.translate(str.maketrans('0123456789', digits))}, born"
    assert contains_cnic(text)
    assert mask_cnics(text) == f"of {MASK}, born"


@pytest.mark.parametrize(
    "text",
    [
        "x3520212345671x",
        "a3520212345671b",
        "35202--1234567--1",
        "PSEB-3520212345671",
        "1-35202-1234567-1",
        "01234-1234567-1",
    ],
)
def test_it_may_stand_within_other_characters(text: str) -> None:
    assert contains_cnic(text)


@pytest.mark.parametrize(
    "text",
    [
        "352021234567", "35202123456712", "12345-12345678-1", "123456-1234567-1", "12345-1234567-12", "1234567-8",
        "0000000001234", "+4915112345678", "+923001234567", "00923001234567", "PSEB-2026-11-0001234",
        "9f3520212345671a9f3520212345671a", "of 3520212345671a9f35202123.", "203.99.50.5 203.99.50.6",
        "2400:1460:1:ffff::1", "550e8400-e29b-41d4-a716-446655440000", "54000, 1234567-8",
    ],
)  # fmt: skip
def test_other_numbers_are_none(text: str) -> None:
    assert not contains_cnic(text)
    assert mask_cnics(text) == text


def test_no_error_repeats_one_whatever_it_quotes() -> None:
    quoted = InvalidValue.at("/columns/3520212345671", "There is no column '35202.1234567.1'.")
    assert (quoted.pointer, quoted.detail) == (f"/columns/{MASK}", f"There is no column '{MASK}'.")
    assert InvalidValue("Not 35202 1234567 1.").detail == str(InvalidValue("Not 35202 1234567 1.")) == f"Not {MASK}."
