"""Names, references and numbers are what they seem, and a wrong one is refused with what to write."""

import unicodedata
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.core.validation.schemas import Body, validate
from app.core.validation.text_fields import Description, Name200, Number100, Reference100, choice_validator
from app.core.validation.texts import normal_code, normal_name, normal_number


class Record(Body):
    name: Name200 | None = None
    reference: Reference100 | None = None
    number: Number100 | None = None
    description: Description | None = None
    colour: Annotated[str | None, choice_validator(["dark_red", "green"])] = None


def _details(**given: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        validate(Record, given)
    return {error.pointer: error.detail for error in refused.value.errors}


def test_a_hidden_character_is_named_by_its_code_point_and_place() -> None:
    assert _details(name="\u202edtL eliM\u202c", reference="F-900\u200b") == {
        "/name": "Take out the invisible character U+202E (right-to-left override) at position 0.",
        "/reference": "Take out the invisible character U+200B (zero width space) at position 5.",
    }


def test_a_text_in_place_of_a_value_is_refused_with_what_to_do() -> None:
    assert _details(name="#N/A", reference="nan", number="0") == {
        "/name": "'#N/A' is no name: write the name.",
        "/reference": "'nan' stands for no value: leave it out, or leave the cell blank.",
        "/number": "'0' stands for no value: leave it out, or leave the cell blank.",
    }
    assert validate(Record, {"reference": "0"}).reference == "0"


def test_digits_and_letters_that_a_spreadsheet_lost_are_asked_for() -> None:
    lost = "The digits are lost: make the column Text and type the number again."
    assert _details(name="???? Ltd", reference="3.52E+12", number="1.2E+11") == {
        "/name": 'Question marks stand for letters that were lost. Write them again, and save the file as "CSV UTF-8".',
        "/reference": lost,
        "/number": lost,
    }


@pytest.mark.parametrize("text", ["\u00c3\u00a0", "Garc\u00c3\u00ada", "\u00d9\x81"])
def test_a_damaged_text_is_told_as_one_though_a_part_of_it_is_blank_or_invisible_or_a_control(text: str) -> None:
    found = _details(name=text, reference=text, number=text, description=text)
    assert [*found] == ["/name", "/reference", "/number", "/description"]
    assert all(each.startswith("The text is damaged: UTF-8 was read as Windows-1252.") for each in found.values())


def test_a_line_break_in_a_name_is_told_as_one() -> None:
    assert _details(name="a\nb") == {"/name": "Control character U+000A at position 1. Write the text in one line."}


@given(st.text(max_size=40))
def test_the_normal_form_of_a_name_or_number_is_taken_as_it_is_when_it_is_taken(text: str) -> None:
    for field, normal in (
        ("name", normal_name(text)),
        ("reference", normal_code(text)),
        ("number", normal_number(text)),
    ):
        try:
            taken = validate(Record, {field: normal})
        except Invalid:
            continue
        present = "" if normal.isspace() else normal
        assert (getattr(taken, field) or "") == unicodedata.normalize("NFC", present)


def test_a_wrong_choice_is_told_by_its_right_spelling() -> None:
    assert _details(colour="Dark Red") == {"/colour": "Write dark_red."}
    assert validate(Record, {"colour": "green"}).colour == "green"
