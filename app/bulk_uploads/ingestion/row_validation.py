"""Validation of rows by the rules of the JSON API: plain rows by column, all others one by one."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from app.applicants.merging import CLEARED
from app.applicants.schemas import ApplicantDetails
from app.bulk_uploads import rules
from app.bulk_uploads.ingestion.applicant_cache import encode_particulars
from app.bulk_uploads.ingestion.column_validation import ColumnValidator
from app.bulk_uploads.normalization import normalize_cell, normalizer
from app.bulk_uploads.readers.parser import is_plain, parse_cells
from app.bulk_uploads.readers.rows import Row
from app.core.errors import FieldError, Invalid
from app.core.validation.schemas import Body, validate
from app.core.validation.text_fields import Reference100
from app.registrations.rules import RegistrationRequest
from app.registrations.schemas import RegistrationDetails

UNKNOWN_APPLICANT = UUID(int=0)
REPLACES = "replaces"
# An applicant has many rows, which are validated once.
MAX_CACHED_APPLICANTS = 50_000
REFERENCE: TypeAdapter[str] = TypeAdapter(Reference100)
REQUEST_COLUMNS = [name for name in RegistrationRequest._fields if name in rules.REGISTRATION_COLUMNS]
REQUESTS = ColumnValidator(RegistrationDetails, {"networks": rules.split_networks})


class ReplacedReference(Body):
    """The cell ``replaces`` of a row: in a file a reference, where the JSON body has an id."""

    replaces: Reference100


class NormalizedCell(NamedTuple):
    """A cell that was taken in another form than it was given."""

    column: str
    given: str
    taken: str


class ValidatedRow(NamedTuple):
    """The encoded applicant, the request and the reference of a row, each None when invalid, and its errors.

    ``normalized`` are the cells that were taken in another form. ``replaces`` is the reference of the case that the
    row's is to supersede.
    """

    applicant: str | None
    request: RegistrationRequest | None
    reference: str | None
    errors: Sequence[FieldError]
    normalized: Sequence[NormalizedCell] = ()
    replaces: str | None = None


def validate_rows(
    rows: Sequence[Row], columns: Sequence[str], operators: Collection[str], *, clear: bool
) -> list[ValidatedRow]:
    """Validate each row by itself, without regard to other rows or the register.

    ``operators`` are the codes of the operators. With ``clear``, ``-`` removes a number of the applicant.
    """
    valid = _validate_by_column(rows, columns, operators, clear=clear)
    return [each or _validate_row(row, columns, operators, clear=clear) for row, each in zip(rows, valid, strict=True)]


def _validate_by_column(
    rows: Sequence[Row], columns: Sequence[str], operators: Collection[str], *, clear: bool
) -> list[ValidatedRow | None]:
    """Return the result of ``_validate_row`` for each row that is plain and valid, and None for the others."""
    found: list[ValidatedRow | None] = [None] * len(rows)
    plain = [i for i, row in enumerate(rows) if is_plain(row)]
    given = dict(zip(columns, zip(*(rows[i].cells for i in plain), strict=True), strict=False))
    cells, normalized = _normalize_columns(given, operators)
    absent = [""] * len(plain)
    applicants = zip(*(cells.get(name, absent) for name in rules.APPLICANT_COLUMNS), strict=True)
    fields = {name: cells.get(name, absent) for name in REQUEST_COLUMNS}
    requests = REQUESTS.validate(fields, {"applicant_id": UNKNOWN_APPLICANT})
    validated = (_validate_applicant(each, clear=clear) for each in applicants)
    replaced = cells.get(REPLACES, absent)
    for place, (i, applicant, values, other) in enumerate(zip(plain, validated, requests, replaced, strict=True)):
        if values and isinstance(applicant, str) and (not other or _validate_reference(other)):
            request = RegistrationRequest(UNKNOWN_APPLICANT, *values)
            known = normalized.get(place, ())
            found[i] = ValidatedRow(applicant, request, request.reference, (), known, _validate_reference(other))
    return found


def _normalize_columns(
    given: Mapping[str, Sequence[str]], operators: Collection[str]
) -> tuple[dict[str, Sequence[str]], Mapping[int, Sequence[NormalizedCell]]]:
    """Return columns of cells in normal form, and the cells that differ by their row."""
    cells: dict[str, Sequence[str]] = dict(given)
    normalized = defaultdict[int, list[NormalizedCell]](list)
    for column, texts in given.items():
        normal = normalizer(column, operators)
        taken = {text: normal(text) for text in set(texts)}
        if changed := {text for text in taken if taken[text] != text}:
            cells[column] = [taken[text] for text in texts]
            for i, text in enumerate(texts):
                if text in changed:
                    normalized[i].append(NormalizedCell(column, text, taken[text]))
    return cells, normalized


def _validate_row(row: Row, columns: Sequence[str], operators: Collection[str], *, clear: bool) -> ValidatedRow:
    given, errors = parse_cells(row, columns)
    cells = {column: normalize_cell(column, cell, operators) for column, cell in given.items()}
    normalized = [
        NormalizedCell(column, given[column], cell) for column, cell in cells.items() if cell != given[column]
    ]
    if errors:
        return ValidatedRow(None, None, _validate_reference(cells.get("reference")), errors, normalized)
    applicant = _validate_applicant(tuple(map(cells.get, rules.APPLICANT_COLUMNS, repeat(""))), clear=clear)
    request: RegistrationRequest | None = None
    try:
        fields = {"applicant_id": UNKNOWN_APPLICANT, **rules.registration_fields(cells)}
        request = validate(RegistrationDetails, fields).request
    except Invalid as invalid:
        errors = [*invalid.errors]
    reference = request.reference if request else _validate_reference(cells.get("reference"))
    replaces, others = _validate_replaces(cells.get(REPLACES))
    errors += others
    if isinstance(applicant, str):
        return ValidatedRow(applicant, request, reference, errors, normalized, replaces)
    return ValidatedRow(None, request, reference, [*applicant, *errors], normalized, replaces)


@lru_cache(maxsize=MAX_CACHED_APPLICANTS)
def _validate_applicant(cells: tuple[str, ...], *, clear: bool) -> str | tuple[FieldError, ...]:
    """Return the encoded applicant of the cells of ``APPLICANT_COLUMNS``, or the errors."""
    fields = rules.applicant_fields(dict(zip(rules.APPLICANT_COLUMNS, cells, strict=True)))
    cleared = [name for name in rules.CLEARABLE_COLUMNS if clear and fields.get(name, "").strip() == CLEARED]
    for name in cleared:
        del fields[name]
    try:
        particulars = validate(ApplicantDetails, fields).particulars
    except Invalid as invalid:
        return invalid.errors  # the exception would keep its traceback in the cache
    return encode_particulars(particulars._replace(**dict.fromkeys(cleared, CLEARED)))


def _validate_reference(cell: str | None) -> str | None:
    try:
        return REFERENCE.validate_python(cell) or None if cell else None
    except ValidationError:
        return None


def _validate_replaces(cell: str | None) -> tuple[str | None, Sequence[FieldError]]:
    """Return the reference in a cell of ``replaces``, and its errors."""
    try:
        return (validate(ReplacedReference, {REPLACES: cell}).replaces if cell else None), ()
    except Invalid as invalid:
        return None, invalid.errors


def clear_applicant_cache() -> None:
    """Clear the cache of validated applicants once a file has been read."""
    _validate_applicant.cache_clear()
