"""Formats of an applicant's numbers and e-mail address, and the number that identifies each kind."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from email_validator import EmailNotValidError, validate_email

from app.applicants.errors import CnicMalformed, EmailMalformed, MobileMalformed, NtnMalformed
from app.core.errors import FieldError, InvalidValue, MissingField
from app.core.identity_numbers import CNIC

EMAIL_LENGTH = 254
# Fast path for the commonest addresses, which email_validator would return unchanged. A match is always valid: no part
# reaches its length limit, no label has two dashes in a row, and the top-level domain is not a reserved one.
PLAIN_EMAIL = re.compile(
    r"(?=.{6,64}\Z)[a-z0-9]+(?:[._+-][a-z0-9]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+"
    r"(?!(?:arpa|invalid|local|localhost|onion|test)\Z)[a-z]{2,}"
)
MOBILE = re.compile(r"\+923[0-9]{9}")
NTN = re.compile(r"[0-9]{7}-[0-9]")


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
    """Check a Pakistani mobile number in E.164 form and return it. Raises ``MobileMalformed``."""
    if not MOBILE.fullmatch(text):
        raise MobileMalformed("Write +92 and ten digits that begin with 3, such as +923001234567.")
    return text


def cnic(text: str) -> str:
    """Check a CNIC and return it. Raises ``CnicMalformed``, whose detail does not repeat the number."""
    if not CNIC.fullmatch(text):
        raise CnicMalformed("Write 13 digits in groups of 5, 7 and 1, with a dash between.")
    return text


def ntn(text: str) -> str:
    """Check an NTN and return it. Raises ``NtnMalformed``."""
    if not NTN.fullmatch(text):
        raise NtnMalformed("Write seven digits, a dash and the check digit: 1234567-8.")
    return text


def mask_cnic(text: str) -> str:
    """Mask a CNIC except for its last three digits."""
    return f"*****-*****{text[-4:]}"


def missing_identity(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """Yield an error for a company without NTN or an individual without CNIC."""
    needed = IDENTIFIED_BY.get(given.get("kind", ""))
    if needed and needed not in given:
        yield MissingField.at(f"/{needed}", f"{'A company' if needed == 'ntn' else 'An individual'} needs {needed}.")
