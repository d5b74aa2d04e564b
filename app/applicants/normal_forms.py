"""Normal forms of the numbers of an applicant, from what people and spreadsheets make of them.

Each function returns its text unchanged when that has no normal form. ``rules`` accepts a normal form as it is.
"""

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

from app.core.identity_numbers import CNIC
from app.core.validation import texts

MOBILE = re.compile(r"\+923[0-9]{9}")
NTN = re.compile(r"[0-9]{7}-[0-9]")
MAX_LENGTH = 60
# phonenumbers takes 28 to 38 us a number, and these forms, which are nearly all that people write, 3 us.
_USUAL_MOBILE = re.compile(r"(?:(?:\+|00)?92)?0?(3[0-9]{9})")
_SEPARATORS = re.compile(r"[-\s().]+")
# One number in digits and separators; letters and extensions never come to phonenumbers.
_ONE_NUMBER = re.compile(r"[+(]*(?:[-\s()./~\[\]]*[0-9]){10,14}[)\]\s]*")
_EIGHT_DIGITS = re.compile(r"(?:NTN(?:\s*No)?[\s:.#-]*)?([0-9]{7})\s*-?\s*([0-9])", re.IGNORECASE)
_THIRTEEN_DIGITS = re.compile(
    r"(?:(?:C?NIC)(?:\s*No)?[\s:.#-]*)?([0-9]{5})[-\s./_]{0,3}([0-9]{7})[-\s./_]{0,3}([0-9])", re.IGNORECASE
)
# A data frame writes a column of numbers with a gap in it as decimals.
_WHOLE_DECIMAL = re.compile(r"([0-9]{7,14})\.0")
# Marks that a telephone puts around a number; they turn no digits round.
_MARKS = "\u200e\u200f\u061c\u202a\u202b\u202c\u2066\u2067\u2068\u2069"


def mobile(text: str) -> str:
    """Write a Pakistani mobile number in E.164 form (``+923001234567``)."""
    if MOBILE.fullmatch(text):
        return text
    return _mobile(text)


@lru_cache(maxsize=4096)
def _mobile(text: str) -> str:
    number = bare(text)
    if found := _USUAL_MOBILE.fullmatch(_SEPARATORS.sub("", number)):
        return f"+92{found[1]}"
    return (_parsed_mobile(number) if _ONE_NUMBER.fullmatch(number) else None) or text


def _parsed_mobile(written: str) -> str | None:
    try:
        number = phonenumbers.parse(written, "PK")
    except NumberParseException:
        return None
    is_mobile = phonenumbers.is_valid_number_for_region(number, "PK") and not number.extension
    if not is_mobile or phonenumbers.number_type(number) != PhoneNumberType.MOBILE:
        return None
    normal = f"+{number.country_code}{number.national_number}"
    return normal if MOBILE.fullmatch(normal) else None


def ntn(text: str) -> str:
    """Write an NTN of eight digits as ``1234567-8``."""
    if NTN.fullmatch(text):
        return text
    found = _EIGHT_DIGITS.fullmatch(bare(text))
    return f"{found[1]}-{found[2]}" if found else text


def cnic(text: str) -> str:
    """Write a CNIC of 13 digits as ``12345-1234567-1``."""
    if CNIC.fullmatch(text):
        return text
    found = _THIRTEEN_DIGITS.fullmatch(bare(text))
    return f"{found[1]}-{found[2]}-{found[3]}" if found else text


def email(text: str) -> str:
    """Take off the ends of an e-mail address what is not seen, ``="..."``, and ``mailto:`` of a link."""
    if text.isascii() and text[:1].isalnum() and ":" not in text and " " not in text and text.isprintable():
        return text
    seen, before = texts.trim(text), None
    while seen != before:
        before = seen
        if seen.startswith(("=", "'")):
            seen = texts.unwrap(seen)
        if seen[:7].lower() == "mailto:":
            seen = texts.trim(seen[7:])
    return seen


def digits(text: str) -> str:
    """Return the digits of a number, in ASCII."""
    return "".join(filter(str.isdecimal, texts.in_ascii(text)))


def bare(text: str) -> str:
    """Return a number in ASCII digits and separators, without what a spreadsheet or a telephone puts around it."""
    if len(text) > MAX_LENGTH:
        return ""
    unwrapped = texts.unwrap(texts.in_ascii(text.strip(_MARKS)))
    found = _WHOLE_DECIMAL.fullmatch(unwrapped)
    return found[1] if found else unwrapped
