"""Types of names, references, numbers of others, descriptions and choices in bodies."""

from collections.abc import Collection
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from app.core.validation import texts
from app.core.validation.choices import suggested_choice
from app.core.validation.damage import damage
from app.core.validation.schemas import Line100, Line200, Paragraph, validation_error


def choice_validator(choices: Collection[str]) -> BeforeValidator:
    """Return a validator that names the right spelling of a wrong choice, when there is one."""

    def validate(value: Any) -> Any:
        if isinstance(value, str) and value not in choices and (meant := suggested_choice(value, choices)):
            raise validation_error("invalid_value", f"Write {meant}.")
        return value

    return BeforeValidator(validate)


def _undamaged(value: Any) -> Any:
    """Refuse a text that was read in a wrong encoding; before blanks are stripped, since they may be parts of it."""
    if isinstance(value, str) and (reason := damage(value)):
        raise validation_error("invalid_value", reason)
    return value


def _all_visible(value: Any) -> Any:
    if isinstance(value, str) and (hidden := texts.hidden_character(value)):
        raise validation_error("invalid_value", f"Take out {hidden}.")
    return value


def _given_name(text: str) -> str:
    if texts.has_lost_letters(text):
        detail = 'Question marks stand for letters that were lost. Write them again, and save the file as "CSV UTF-8".'
        raise validation_error("invalid_value", detail)
    if texts.is_placeholder(text, zero=True):
        raise validation_error("invalid_value", f"{text[:20]!r} is no name: write the name.")
    return text


def _given_code(text: str, *, zero: bool) -> str:
    if texts.is_placeholder(text, zero=zero):
        raise validation_error(
            "invalid_value", f"{text[:20]!r} stands for no value: leave it out, or leave the cell blank."
        )
    if texts.has_lost_digits(text):
        raise validation_error("invalid_value", "The digits are lost: make the column Text and type the number again.")
    return text


UNDAMAGED, ALL_VISIBLE = BeforeValidator(_undamaged), BeforeValidator(_all_visible)

# A name; a reference of the sender, where 0 is one; a number that someone else gives.
Name200 = Annotated[Line200, ALL_VISIBLE, UNDAMAGED, AfterValidator(_given_name)]
Reference100 = Annotated[Line100, ALL_VISIBLE, UNDAMAGED, AfterValidator(partial(_given_code, zero=False))]
Number100 = Annotated[Line100, ALL_VISIBLE, UNDAMAGED, AfterValidator(partial(_given_code, zero=True))]
Number200 = Annotated[Line200, ALL_VISIBLE, UNDAMAGED, AfterValidator(partial(_given_code, zero=True))]
Description = Annotated[Paragraph, UNDAMAGED]
