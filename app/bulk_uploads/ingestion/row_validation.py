"""Rows judged by the rules of the JSON API: plain ones column by column, the others each by itself."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from app.applicants.schemas import ApplicantDetails
from app.bulk_uploads import rules
from app.bulk_uploads.ingestion.applicant_cache import said_of
from app.bulk_uploads.ingestion.column_validation import Columnwise
from app.bulk_uploads.readers.parser import cells_of, is_plain
from app.bulk_uploads.readers.rows import Row
from app.core.errors import FieldError, Invalid
from app.core.validation.schemas import Line100, validated
from app.registrations.rules import RegistrationRequest
from app.registrations.schemas import RegistrationDetails

UNKNOWN_APPLICANT = UUID(int=0)
# An applicant has many rows: what was found of the last ones is remembered.
REMEMBERED = 50_000
REFERENCE: TypeAdapter[str] = TypeAdapter(Line100)
ASKED = [name for name in RegistrationRequest._fields if name in rules.REGISTRATION_COLUMNS]
REGISTRATIONS = Columnwise(RegistrationDetails, {"networks": rules.networks_of})

# What a row says of its applicant, what it asks for, its reference, and what is wrong with it.
Judged = tuple[str | None, RegistrationRequest | None, str | None, Sequence[FieldError]]


def judged(rows: Sequence[Row], columns: Sequence[str]) -> list[Judged]:
    """The verdict on each row, as far as it tells by itself."""
    return [each or _alone(row, columns) for row, each in zip(rows, _together(rows, columns), strict=True)]


def _together(rows: Sequence[Row], columns: Sequence[str]) -> list[Judged | None]:
    """Of each row that is plain and sound what ``_alone`` would give; None for the others."""
    found: list[Judged | None] = [None] * len(rows)
    plain = [i for i, row in enumerate(rows) if is_plain(row, columns)]
    cells = dict(zip(columns, zip(*(rows[i].cells for i in plain), strict=True), strict=False))
    absent = [""] * len(plain)
    applicants = zip(*(cells.get(name, absent) for name in rules.APPLICANT_COLUMNS), strict=True)
    fields = {name: cells.get(name, absent) for name in ASKED}
    registrations = REGISTRATIONS.sound(fields, {"applicant_id": UNKNOWN_APPLICANT})
    for i, given, values in zip(plain, map(_applicant, applicants), registrations, strict=True):
        if values and isinstance(given, str):
            asked = RegistrationRequest(UNKNOWN_APPLICANT, *values)
            found[i] = given, asked, asked.reference, ()
    return found


def _alone(row: Row, columns: Sequence[str]) -> Judged:
    cells, errors = cells_of(row, columns)
    if errors:
        return None, None, None, errors
    given = _applicant(tuple(map(cells.get, rules.APPLICANT_COLUMNS, repeat(""))))
    asked: RegistrationRequest | None = None
    try:
        fields = {"applicant_id": UNKNOWN_APPLICANT, **rules.registration_fields(cells)}
        asked = validated(RegistrationDetails, fields).request
    except Invalid as wrong:
        errors = [*wrong.errors]
    reference = asked.reference if asked else _reference(cells)
    if isinstance(given, str):
        return given, asked, reference, errors
    return None, asked, reference, [*given, *errors]


@lru_cache(maxsize=REMEMBERED)
def _applicant(cells: tuple[str, ...]) -> str | tuple[FieldError, ...]:
    fields = rules.applicant_fields(dict(zip(rules.APPLICANT_COLUMNS, cells, strict=True)))
    try:
        return said_of(validated(ApplicantDetails, fields).particulars)
    except Invalid as wrong:
        return wrong.errors  # without what the error holds on to


def _reference(cells: Mapping[str, str]) -> str | None:
    try:
        return REFERENCE.validate_python(cells.get("reference", "")) or None
    except ValidationError:
        return None


def forget_applicants() -> None:
    """Let go of what is remembered of applicants, before the process does something else."""
    _applicant.cache_clear()
