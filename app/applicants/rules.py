"""Formats of an applicant's numbers and e-mail address, and the number that identifies each kind."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from email_validator import EmailNotValidError, validate_email

from app.applicants import normal_forms
from app.applicants.errors import CnicMalformed, EmailMalformed, MobileMalformed, NtnMalformed
from app.applicants.normal_forms import MOBILE, NTN
from app.core.errors import FieldError, Invalid, InvalidValue, MissingField
from app.core.identity_numbers import CNIC
from app.core.validation import texts

EMAIL_LENGTH = 254
# Fast path for the commonest addresses, which email_validator would return unchanged. A match is always valid: no part
# reaches its length limit, no label has two dashes in a row, and the top-level domain is not a reserved one.
PLAIN_EMAIL = re.compile(
    r"(?=.{6,64}\Z)[a-z0-9]+(?:[._+-][a-z0-9]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+"
    r"(?!(?:arpa|invalid|local|localhost|onion|test)\Z)[a-z]{2,}"
)
# E.164 has at most 15 digits, before which people write 00.
MAX_PHONE_DIGITS = 17
NTN_WITHOUT_CHECK_DIGIT = re.compile(r"(?:NTN[\s:.#-]*)?([0-9]{7})[-\s]*", re.IGNORECASE)
NTN_WITHOUT_ZERO = re.compile(r"([0-9]{6})\s*-\s*([0-9])")
CNIC_DIGITS = 13


class ApplicantKind(StrEnum):
    """The kind of an applicant."""

    COMPANY = "company"
    INDIVIDUAL = "individual"


IDENTIFIED_BY: dict[str, str] = {ApplicantKind.COMPANY: "ntn", ApplicantKind.INDIVIDUAL: "cnic"}


class Particulars(NamedTuple):
    """The valid details of an applicant, as the register stores them."""

    kind: str
    legal_name: str
    ntn: str | None
    cnic: str | None
    email: str
    mobile: str | None
    pseb_number: str | None
    pasha_number: str | None

    @property
    def identity(self) -> tuple[str, str]:
        """The name and value of the identifying number."""
        name = IDENTIFIED_BY[self.kind]
        return name, getattr(self, name)


@lru_cache(maxsize=4096)
def email(text: str) -> str:
    """Normalize an e-mail address (RFC 5321, 6531). Raises ``EmailMalformed``, or ``InvalidValue`` when too long."""
    if PLAIN_EMAIL.fullmatch(text):
        return text
    if len(text) > EMAIL_LENGTH:
        raise InvalidValue(f"An e-mail address has at most {EMAIL_LENGTH} characters.")
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as wrong:
        raise EmailMalformed(f"Not an e-mail address: {wrong}") from None


def mobile(text: str) -> str:
    """Check a Pakistani mobile number in E.164 form and return it. Raises ``MobileMalformed``; its detail masks."""
    if not MOBILE.fullmatch(text):
        raise MobileMalformed(_no_number(text) or _mobile_detail(text))
    return text


def cnic(text: str) -> str:
    """Check a CNIC and return it. Raises ``CnicMalformed``, whose detail does not repeat the number."""
    if not CNIC.fullmatch(text):
        raise CnicMalformed(_no_number(text) or _cnic_detail(text))
    return text


def ntn(text: str) -> str:
    """Check an NTN and return it. Raises ``NtnMalformed``."""
    if not NTN.fullmatch(text):
        raise NtnMalformed(_no_number(text) or _ntn_detail(text))
    return text


def _no_number(text: str) -> str | None:
    """Say why a text has no digits that could be written otherwise; None when it may have."""
    if texts.is_placeholder(text, zero=True):
        return f"{text.strip()[:20]!r} stands for no number: leave it out, or leave the cell blank."
    if texts.has_lost_digits(text):
        return "The digits are lost: make the column Text and type the number again."
    return None


def _mobile_detail(text: str) -> str:
    normal = normal_forms.mobile(text)
    if normal != text:
        return f"Write {mask_mobile(normal)}: with +92 and ten digits, without blanks or dashes."
    if len(normal_forms.digits(text)) > MAX_PHONE_DIGITS:
        return "Write one number, with +92 and ten digits that begin with 3, such as +923001234567."
    return "Write +92 and ten digits that begin with 3, such as +923001234567."


def _cnic_detail(text: str) -> str:
    normal = normal_forms.cnic(text)
    if normal != text:
        return f"Write {mask_cnic(normal)}: 13 digits in groups of 5, 7 and 1, with a dash between."
    detail = "Write 13 digits in groups of 5, 7 and 1, with a dash between."
    count = len(normal_forms.digits(text))
    return f"The number has {count} digits. {detail}" if 10 <= count <= 16 and count != CNIC_DIGITS else detail


def _ntn_detail(text: str) -> str:
    normal = normal_forms.ntn(text)
    if normal != text:
        return f"Write {normal}: seven digits, a dash and the check digit."
    bare = normal_forms.bare(text)
    if found := NTN_WITHOUT_CHECK_DIGIT.fullmatch(bare):
        return (
            f"The check digit is missing: write {found[1]}- and the check digit. If a spreadsheet has dropped a "
            f"leading zero, write 0{found[1][:-1]}-{found[1][-1]}."
        )
    if found := NTN_WITHOUT_ZERO.fullmatch(bare):
        return f"There are six digits before the dash. If a leading zero was dropped, write 0{found[1]}-{found[2]}."
    if len(normal_forms.digits(text)) == CNIC_DIGITS:
        return "13 digits are a CNIC: write it in cnic. An NTN has seven digits, a dash and the check digit: 1234567-8."
    return "Write seven digits, a dash and the check digit: 1234567-8."


def mask_mobile(text: str) -> str:
    """Mask a mobile number except for its country code and last three digits."""
    return f"{text[:3]}*******{text[-3:]}"


def mask_cnic(text: str) -> str:
    """Mask a CNIC except for its last three digits."""
    return f"*****-*****{text[-4:]}"


def numbers_of(given: Mapping[str, Any]) -> Particulars | None:
    """Return the kind and the valid numbers of a body, with empty texts for all else; None without a valid kind."""
    kind = given.get("kind")
    if kind not in [*map(str, ApplicantKind)]:
        return None

    def valid(name: str, check: Callable[[str], str]) -> str:
        text = given.get(name)
        with suppress(Invalid):
            return check(text.strip()) if isinstance(text, str) else ""
        return ""

    return Particulars(kind, "", valid("ntn", ntn), valid("cnic", cnic), "", "", "", "")


def missing_identity(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """Yield an error for a company without NTN or an individual without CNIC."""
    needed = IDENTIFIED_BY.get(given.get("kind", ""))
    if needed and needed not in given:
        yield MissingField.at(f"/{needed}", f"{'A company' if needed == 'ntn' else 'An individual'} needs {needed}.")
