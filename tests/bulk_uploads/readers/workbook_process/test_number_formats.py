"""A number is shown as the sheet shows it where the format has digits and literals alone."""

import pytest

from app.bulk_uploads.readers.workbook_process.number_formats import find_format, parse_format


@pytest.mark.parametrize(
    "code",
    [
        "General", "general", "@", "0.00", "#,##0", "#,##0.00", "0%", "0.00E+00", "##0.0E+0", "# ?/?", "", ";;;",
        '"nothing but words"', "_(* #,##0_)", "[Red]General", "General;[Red]-General", '0 "of" 0.0',
    ],
)  # fmt: skip
def test_other_formats_show_plain_numbers(code: str) -> None:
    assert parse_format(code) is None


@pytest.mark.parametrize(
    "code",
    [
        "yyyy-mm-dd", "d-mmm", "dd/mm/yyyy", "h:mm AM/PM", "[h]:mm:ss", "mm:ss.0", "[$-409]d\\-mmm\\-yy;@",
        "m/d/yy h:mm", "[$-F800]dddd\\,\\ mmmm\\ dd", "e\\-mm", "[mm]:ss", '"on" d',
    ],
)  # fmt: skip
def test_formats_of_dates_and_times_are_known(code: str) -> None:
    found = parse_format(code)
    assert found is not None
    assert found.choose(47_880).is_date


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("0000000", 1234, "0001234"),
        ("0000000", 123456789, "123456789"),
        (r"0000000\-0", 76543210, "7654321-0"),
        (r"0000000\-0", 12345670, "1234567-0"),
        (r"0000000\-0", 123450, "0012345-0"),
        (r"00000\-0000000\-0", 3520212345671, "35202-1234567-1"),
        (r"00000-0000000-0", 3520212345671, "35202-1234567-1"),
        ('00000"-"0000000"-"0', 3520212345671, "35202-1234567-1"),
        ("+0", 923001234567, "+923001234567"),
        (r"\+0", 923001234567, "+923001234567"),
        ('"+92"0000000000', 3001234567, "+923001234567"),
        (r"\+00\ 000\ 0000000", 923001234567, "+92 300 1234567"),
        ("0###-#######", 3001234567, "0300-1234567"),
        ("[$-409]0000", 7, "0007"),
        ("[$Rs-420]0", 7, "Rs7"),
        ("[Red]0000", 7, "0007"),
        ("_(0_)", 7, "7"),
        ("(0)", 7, "(7)"),
        ("0*-", 7, "7"),
        ("???0", 7, "7"),
        (r"[<=9999999]###\-####;\(###\)\ ###\-####", 5551234, "555-1234"),
        (r"[<=9999999]###\-####;\(###\)\ ###\-####", 2065551234, "(206) 555-1234"),
        ("000;-0000", -7, "-0007"),
        ("000", -7, "-007"),
        ("000;000;", 0, "0"),
        ('000;000;"zero"0', 0, "zero0"),
        ("#", 0, "0"),
        ("0", 0, "0"),
        ("0;General", -5, "-5"),
    ],
)
def test_digits_and_literals_are_shown_as_the_sheet_shows_them(code: str, value: int, shown: str) -> None:
    found = parse_format(code)
    assert found is not None
    assert found.show(value) == shown


def test_built_in_formats_are_known_by_number() -> None:
    dates = [find_format(number, {}) for number in (14, 16, 22, 45)]
    assert all(found is not None and found.choose(1).is_date for found in dates)
    assert [find_format(number, {}) for number in (0, 2, 3, 11, 37, 44, 49, 164)] == [None] * 8
    whole = find_format(1, {})
    assert whole is not None
    assert whole.show(7) == "7"
    assert find_format(164, {164: "000"}) == parse_format("000")
