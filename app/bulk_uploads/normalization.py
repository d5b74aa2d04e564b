"""Normal forms of cells by column, and what a message shows of a cell: personal data masked. Pure functions."""

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial

from app.applicants import normal_forms
from app.applicants.rules import ApplicantKind
from app.core.validation import texts
from app.core.validation.choices import normal_choice
from app.core.validation.network_forms import normal_networks
from app.registrations.rules import CHOICES

MAX_SHOWN, MAX_READ = 60, 1_000
_CHOICES = {**CHOICES, "applicant_kind": [*map(str, ApplicantKind)]}
NORMAL_FORMS: Mapping[str, Callable[[str], str]] = {
    "reference": texts.normal_code,
    "replaces": texts.normal_code,
    "legal_name": texts.normal_name,
    "ntn": normal_forms.ntn,
    "cnic": normal_forms.cnic,
    "email": normal_forms.email,
    "mobile": normal_forms.mobile,
    "pseb_number": texts.normal_number,
    "pasha_number": texts.normal_number,
    "subscriber_id": texts.normal_number,
    "networks": normal_networks,
    "description": str,
    **{column: partial(normal_choice, choices=choices) for column, choices in _CHOICES.items()},
}

_SEPARATOR = r"[-\s().]{0,3}"
_NETWORK = (
    r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9])|(?<![0-9A-Fa-f:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"
)
_CNIC = r"(?<![0-9])[0-9]{5}[-\s./_]{0,3}[0-9]{7}[-\s./_]{0,3}[0-9](?![0-9])|(?<![0-9])[0-9]{12,15}(?![0-9])"
_PHONE = (
    rf"(?<![0-9])(?:\+|00){_SEPARATOR}[1-9](?:{_SEPARATOR}[0-9]){{7,13}}"
    rf"|(?<![0-9])(?:92{_SEPARATOR})?(?:0{_SEPARATOR})?3(?:{_SEPARATOR}[0-9]){{8,9}}(?![0-9])"
    rf"|(?<![0-9])(?:92{_SEPARATOR}|0{_SEPARATOR})[1-9](?:{_SEPARATOR}[0-9]){{7,9}}(?![0-9])"
)
_EMAIL = r"[^\s@<>,;:\"'()]{1,64}(?=\s*@)"
# In an address that was mistyped each word but the hosts may be part of a name; without a host, all of it.
_WORD = re.compile(r"@[^\s<>,;:\"'()]*|(?P<word>[^\s@<>,;:\"'()]+)")
_ALL = re.compile(r"(?P<word>.+)", re.DOTALL)
_PERSONAL = re.compile(rf"(?P<network>{_NETWORK})|(?P<number>{_CNIC}|{_PHONE})|(?P<email>{_EMAIL})")
_PERSONAL_NUMBERS = ("mobile", "cnic")
# Usual writings of a number, masked fast: nearly every row of a file may have one.
_NUMBER = re.compile(r"[0-9+=\"'(). -]{0,40}?((?:[0-9][^0-9A-Za-z]*){3})")
_STARS = str.maketrans("0123456789", "*" * 10)


def normalizer(column: str, operators: Collection[str]) -> Callable[[str], str]:
    """Return the function from a cell of a column to its normal form, or to the cell unchanged when it has none.

    ``operators`` are the codes of the operators, best as a frozenset.
    """
    return partial(normal_choice, choices=operators) if column == "operator" else NORMAL_FORMS[column]


def normalize_cell(column: str, text: str, operators: Collection[str]) -> str:
    """Return the normal form of a cell, or the cell unchanged when it has none."""
    return normalizer(column, operators)(text) if text else text


def mask(column: str, text: str) -> str:
    """Return at most ``MAX_SHOWN`` characters of a cell for a message: personal data masked, controls escaped.

    CNICs, telephone numbers and e-mail addresses are masked in any column, since a row may be shifted.
    """
    if column in _PERSONAL_NUMBERS and (number := _NUMBER.fullmatch(text)):
        return text[: number.start(1)].translate(_STARS) + number[1]
    text = text[:MAX_READ]
    if not text:
        return text
    ascii_text = texts.in_ascii(text)  # of the same length
    shown = list(text)
    for found in _PERSONAL.finditer(ascii_text):
        if found["number"]:
            _mask_digits(shown, ascii_text, found.start(), found.end())
        elif found["email"]:
            _mask_word(shown, text, found)
    if column in _PERSONAL_NUMBERS and not texts.has_lost_digits(text):
        _mask_digits(shown, ascii_text, 0, len(text))
    elif column == "email" and not texts.is_placeholder(text, zero=True):
        for found in (_WORD if "@" in ascii_text else _ALL).finditer(ascii_text):
            if found["word"]:
                _mask_word(shown, text, found)
    written = "".join(each if each.isprintable() else _escape(each) for each in shown)
    return written if len(written) <= MAX_SHOWN else f"{written[: MAX_SHOWN - 1]}…"


def _mask_word(shown: list[str], text: str, found: re.Match[str]) -> None:
    """Replace a word by its first character and asterisks."""
    start, end = found.span()
    first = text[start]
    shown[start] = f"{first if first.isprintable() else _escape(first)}***"
    shown[start + 1 : end] = [""] * (end - start - 1)


def _mask_digits(shown: list[str], ascii_text: str, start: int, end: int) -> None:
    """Replace the digits of a number by asterisks, but the last three."""
    places = [i for i in range(start, end) if ascii_text[i].isdecimal()]
    for i in places[:-3]:
        shown[i] = "*"


def _escape(text: str) -> str:
    """Escape a character that is not printable; one that stands for an undecodable byte (PEP 383) as that byte."""
    if len(text) != 1:
        return text
    if "\udc80" <= text <= "\udcff":
        return f"\\x{ord(text) - 0xDC00:02x}"
    return text.encode("unicode_escape").decode()
