"""Schemas of applicants. Requests have the whole CNIC; responses have it masked."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from app.applicants import rules
from app.applicants.rules import ApplicantKind, Particulars
from app.core.database.pagination import PageQuery
from app.core.errors import FieldError
from app.core.validation.schemas import (
    LINE,
    AnyOf,
    Body,
    Examples,
    Line100,
    Line200,
    MergePatch,
    Page,
    Resource,
    Timestamp,
    domain_validator,
)
from app.core.validation.text_fields import Name200, Number100, choice_validator


def _pattern(pattern: re.Pattern[str]) -> dict[str, JsonValue]:
    return {"pattern": f"^{pattern.pattern}$"}


Email = Annotated[
    str,
    LINE,
    domain_validator(rules.email),
    Field(description="At most 254 characters", json_schema_extra={"format": "email", "maxLength": rules.EMAIL_LENGTH}),
]
Mobile = Annotated[
    str,
    LINE,
    domain_validator(rules.mobile),
    Field(description="`+923001234567`", json_schema_extra=_pattern(rules.MOBILE)),
]
Cnic = Annotated[
    str,
    LINE,
    domain_validator(rules.cnic),
    Field(description="`12345-1234567-1`", json_schema_extra=_pattern(rules.CNIC)),
]
Ntn = Annotated[
    str, LINE, domain_validator(rules.ntn), Field(description="`1234567-8`", json_schema_extra=_pattern(rules.NTN))
]

KINDS = [*map(str, ApplicantKind)]
COMPANY: Examples = {
    "kind": "company",
    "legal_name": "Indus Softworks (Pvt) Ltd",
    "ntn": "1234567-8",
    "email": "it@indus.example.pk",
    "mobile": "+923001234567",
    "pseb_number": "PSEB-C-000123",
}
APPLICANT_ID = "019b2f6e-6a00-7c3e-8d55-1b8d7f3e2a11"


class ApplicantDetails(Body):
    """The details of an applicant. A company needs `ntn`, an individual needs `cnic`."""

    model_config = ConfigDict(json_schema_extra={"examples": [COMPANY]})

    kind: Annotated[ApplicantKind, choice_validator(KINDS)]
    legal_name: Name200
    ntn: Ntn | None = None
    cnic: Cnic | None = None
    email: Email
    mobile: Mobile | None = None
    pseb_number: Number100 | None = None
    pasha_number: Number100 | None = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Yield an error when the identifying number of the kind is missing."""
        return rules.missing_identity(given)

    @property
    def particulars(self) -> Particulars:
        """The details as ``Particulars``."""
        return Particulars._make(map(self.__dict__.__getitem__, Particulars._fields))


class ApplicantChange(MergePatch):
    """A JSON merge patch (RFC 7396). The kind and the identifying number cannot change."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "noc@indus.example.pk", "pasha_number": None}]})

    legal_name: str | None = None
    ntn: str | None = None
    cnic: str | None = None
    email: str | None = None
    mobile: str | None = None
    pseb_number: str | None = None
    pasha_number: str | None = None


class Applicant(Resource):
    """A partner's record of an applicant. `subject` (the regulator's view) is the same in every partner's record."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                COMPANY
                | {
                    "id": APPLICANT_ID,
                    "partner_id": "019b2f6e-5e00-7d2b-9a33-2e3d4c5b6a7f",
                    "cnic": "*****-*****67-1",
                    "pasha_number": None,
                    "subject": None,
                    "erased_at": None,
                    "version": 1,
                    "created_at": "2026-11-21T09:00:00.000000Z",
                    "updated_at": "2026-11-21T09:00:00.000000Z",
                }
            ]
        },
    )

    id: UUID
    partner_id: UUID
    kind: ApplicantKind
    legal_name: str
    ntn: str | None
    cnic: str | None = Field(description="Masked; `POST .../reveal` returns it in full")
    email: str | None
    mobile: str | None
    pseb_number: str | None
    pasha_number: str | None
    subject: str | None
    erased_at: Timestamp | None = Field(description="When the personal data was erased")
    version: int
    created_at: Timestamp
    updated_at: Timestamp


ApplicantPage = Page[Applicant]


class RevealRequest(Body):
    """The reason to reveal a CNIC."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Compared with the operator's invoice"}]})

    reason: Line200


class Revealed(Resource):
    """A CNIC in full; null for a company without one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": APPLICANT_ID, "cnic": "12345-1234567-1"}]})

    id: UUID
    cnic: str | None


class ApplicantsQuery(PageQuery):
    """Filters of the list."""

    kind: AnyOf[ApplicantKind] = None
    ntn: Ntn | None = None
    pseb_number: Line100 | None = None
    pasha_number: Line100 | None = None
    email: Email | None = None
    subject: Annotated[
        str | None, LINE, Field(max_length=64, description="For the regulator: the records of one applicant")
    ] = None
    partner_id: Annotated[UUID | None, Field(description="For the regulator: the records of one partner")] = None
