"""Validation of rows by the rules of the JSON API: plain rows by column, all others one by one."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from app.applicants.schemas import ApplicantDetails
from app.bulk_uploads import rules
from app.bulk_uploads.ingestion.applicant_cache import encode_particulars
from app.bulk_uploads.ingestion.column_validation import ColumnValidator
from app.bulk_uploads.readers.parser import is_plain, parse_cells
from app.bulk_uploads.readers.rows import Row
from app.core.errors import FieldError, Invalid
from app.core.validation.schemas import Line100, validate
from app.registrations.rules import RegistrationRequest
from app.registrations.schemas import RegistrationDetails

UNKNOWN_APPLICANT = UUID(int=0)
# An applicant has many rows, which are validated once.
MAX_CACHED_APPLICANTS = 50_000
REFERENCE: TypeAdapter[str] = TypeAdapter(Line100)
REQUEST_COLUMNS = [name for name in RegistrationRequest._fields if name in rules.REGISTRATION_COLUMNS]
REQUESTS = ColumnValidator(RegistrationDetails, {"networks": rules.split_networks})


class ValidatedRow(NamedTuple):
    """The encoded applicant, the request and the reference of a row, each None when invalid, and its errors."""

    applicant: str | None
    request: RegistrationRequest | None
    reference: str | None
    errors: Sequence[FieldError]


def validate_rows(rows: Sequence[Row], columns: Sequence[str]) -> list[ValidatedRow]:
    """Validate each row by itself, without regard to other rows or the register."""
    valid = _validate_by_column(rows, columns)
    return [each or _validate_row(row, columns) for row, each in zip(rows, valid, strict=True)]


def _validate_by_column(rows: Sequence[Row], columns: Sequence[str]) -> list[ValidatedRow | None]:
    """Return the result of ``_validate_row`` for each row that is plain and valid, and None for the others."""
    found: list[ValidatedRow | None] = [None] * len(rows)
    plain = [i for i, row in enumerate(rows) if is_plain(row, columns)]
    cells = dict(zip(columns, zip(*(rows[i].cells for i in plain), strict=True), strict=False))
    absent = [""] * len(plain)
    applicants = zip(*(cells.get(name, absent) for name in rules.APPLICANT_COLUMNS), strict=True)
    fields = {name: cells.get(name, absent) for name in REQUEST_COLUMNS}
    requests = REQUESTS.validate(fields, {"applicant_id": UNKNOWN_APPLICANT})
    for i, applicant, values in zip(plain, map(_validate_applicant, applicants), requests, strict=True):
        if values and isinstance(applicant, str):
            request = RegistrationRequest(UNKNOWN_APPLICANT, *values)
            found[i] = ValidatedRow(applicant, request, request.reference, ())
    return found


def _validate_row(row: Row, columns: Sequence[str]) -> ValidatedRow:
    cells, errors = parse_cells(row, columns)
    if errors:
        return ValidatedRow(None, None, None, errors)
    applicant = _validate_applicant(tuple(map(cells.get, rules.APPLICANT_COLUMNS, repeat(""))))
    request: RegistrationRequest | None = None
    try:
        fields = {"applicant_id": UNKNOWN_APPLICANT, **rules.registration_fields(cells)}
        request = validate(RegistrationDetails, fields).request
    except Invalid as invalid:
        errors = [*invalid.errors]
    reference = request.reference if request else _validate_reference(cells)
    if isinstance(applicant, str):
        return ValidatedRow(applicant, request, reference, errors)
    return ValidatedRow(None, request, reference, [*applicant, *errors])


@lru_cache(maxsize=MAX_CACHED_APPLICANTS)
def _validate_applicant(cells: tuple[str, ...]) -> str | tuple[FieldError, ...]:
    """Return the encoded applicant of the cells of ``APPLICANT_COLUMNS``, or the errors."""
    fields = rules.applicant_fields(dict(zip(rules.APPLICANT_COLUMNS, cells, strict=True)))
    try:
        return encode_particulars(validate(ApplicantDetails, fields).particulars)
    except Invalid as invalid:
        return invalid.errors  # the exception would keep its traceback in the cache


def _validate_reference(cells: Mapping[str, str]) -> str | None:
    try:
        return REFERENCE.validate_python(cells.get("reference", "")) or None
    except ValidationError:
        return None


def clear_applicant_cache() -> None:
    """Clear the cache of validated applicants once a file has been read."""
    _validate_applicant.cache_clear()
