"""Base models of bodies, queries and responses, types of texts and times, and validation errors with stable codes."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    ModelWrapValidatorHandler,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError

from app.core.errors import DomainError, FieldError, Invalid, InvalidValue, MissingField
from app.core.identity_numbers import contains_cnic
from app.core.validation import texts

Examples = dict[str, JsonValue]
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
MAX_TEXT_LENGTH = 2_000
MAX_NAME_LENGTH = 200  # of a field in an error
# Times that PostgreSQL, Python and JSON represent in any time zone.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

MAX_FIELDS = 100
MAX_ERRORS = 100  # of one body in a response
# In ``cross_field_errors``, a value that its own field refuses; it equals nothing.
REFUSED = object()


def validation_error(code: str, detail: str) -> PydanticCustomError:
    """Return the exception for a validator that refuses a value with a stable code."""
    return PydanticCustomError(code, "{detail}", {"detail": detail})


def _check_field_count(given: dict[str, Any]) -> None:
    """Refuse an object with too many fields to list errors of each."""
    if len(given) > MAX_FIELDS:
        raise validation_error(
            "invalid_value", f"The object has {len(given)} fields; at most {MAX_FIELDS} are allowed."
        )


def is_blank(text: str) -> bool:
    """True for a text that counts as absent."""
    return not text or text.isspace()


def domain_validator(check: Any) -> AfterValidator:
    """Return a validator of a function whose ``Invalid`` becomes the error of the field."""

    def validate(value: Any) -> Any:
        try:
            return check(value)
        except Invalid as error:
            raise validation_error(error.code, error.detail) from None

    return AfterValidator(validate)


def _normalize(value: Any, *, breaks: bool) -> Any:
    """Strip a text and normalize it to NFC; refuse control characters, or with ``breaks`` all but line feeds."""
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isprintable():
        return value.strip()
    if breaks:
        value = value.replace("\r\n", "\n")
    control = (CONTROL_BUT_BREAKS if breaks else CONTROL).search(value)
    if control:
        is_break = control[0] in texts.LINE_BREAKS + "\t"
        advice = " Write the text in one line." if is_break and not breaks else ""
        raise validation_error(
            "invalid_value", f"Control character U+{ord(control[0]):04X} at position {control.start()}.{advice}"
        )
    return unicodedata.normalize("NFC", value).strip()


LINE = BeforeValidator(partial(_normalize, breaks=False))
PARAGRAPH = BeforeValidator(partial(_normalize, breaks=True))


def _without_cnic(text: str) -> str:
    if contains_cnic(text):
        detail = "The text has a number in the form of a CNIC. Use the field cnic, and write no other 13 digits so."
        raise validation_error("invalid_value", detail)
    return text


# Free texts are stored and shown in clear; a CNIC must be sealed.
NO_CNIC = AfterValidator(_without_cnic)

# ``max_length`` comes first so that pydantic-core checks it; the BeforeValidator runs before it all the same.
Line100 = Annotated[str, Field(max_length=100), LINE, NO_CNIC]
Line200 = Annotated[str, Field(max_length=200), LINE, NO_CNIC]
Paragraph = Annotated[str, Field(max_length=MAX_TEXT_LENGTH), PARAGRAPH, NO_CNIC]
# Texts of the service, which may quote input: control characters are replaced.
ServiceText = Annotated[str, BeforeValidator(lambda text: CONTROL_BUT_BREAKS.sub(" ", text)[:MAX_TEXT_LENGTH])]

Instant = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST, examples=["2027-01-31T12:00:00Z"])]


def format_rfc3339(value: datetime) -> str:
    """Format a time as in every response: UTC with microseconds."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Timestamp = Annotated[datetime, PlainSerializer(format_rfc3339, return_type=str)]


class Body(BaseModel):
    """A request body: refuses unknown fields, treats blank texts as absent, and reports all errors at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=True)

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Return errors between fields; ``given`` has the values as sent, with ``REFUSED`` for refused ones.

        A list with refused items is as sent.
        """
        del given
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_errors_at_once(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, dict):
            return handler(given)
        _check_field_count(given)
        present = {
            key: value
            for key, value in given.items()
            if value is not None and not (isinstance(value, str) and is_blank(value))
        }
        errors: list[InitErrorDetails] = []
        result: Self | None = None
        try:
            result = handler(present)
        except ValidationError as invalid:
            details = invalid.errors(include_url=False, include_input=False)
            errors = [_to_init_error(each) for each in details[:MAX_ERRORS]]
        refused = {error["loc"] for error in errors}
        valid = (
            {name: REFUSED if (name,) in refused else value for name, value in present.items()} if refused else present
        )
        for error in cls.cross_field_errors(valid):
            loc = tuple(int(part) if part.isdigit() else part for part in error.pointer.split("/")[1:])
            if loc not in refused:
                errors.append(InitErrorDetails(type=validation_error(error.code, error.detail), loc=loc, input=None))
        if errors or result is None:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return result


def _to_init_error(error: ErrorDetails) -> InitErrorDetails:
    own = field_error(error, error["loc"])
    return InitErrorDetails(type=validation_error(own.code, own.detail), loc=error["loc"], input=None)


class MergePatch(BaseModel):
    """A JSON merge patch (RFC 7396): absent fields stay, null removes a field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: Any) -> Any:
        if isinstance(given, dict):
            _check_field_count(given)
        return given

    def apply_to(self, current: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``current`` with the patch applied."""
        return {**current, **self.model_dump(exclude_unset=True)}


class Query(BaseModel):
    """Query parameters: refuses unknown ones; immutable, since requests with equal queries share an instance."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=True)


Choice = TypeVar("Choice")
MAX_CHOICES = 50
# A filter by a field that is a choice. The parameter may be repeated, which means any of the values.
AnyOf = Annotated[tuple[Choice, ...] | None, Field(max_length=MAX_CHOICES)]


def _one_or_several(given: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Take a single value as a list of one, whose errors are those of the field."""
    if isinstance(given, list):
        return handler(given)
    try:
        return handler((given,))
    except ValidationError as invalid:
        own = field_error(invalid.errors(include_url=False, include_input=False)[0], ())
        raise validation_error(own.code, own.detail) from None


class _ValueOrList:
    """Describes a list in JSON Schema as a value or a list of values."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}


# The same filter in a body: a value or a list of values.
OneOrSeveral = Annotated[
    tuple[Choice, ...],
    Field(min_length=1, max_length=MAX_CHOICES),
    WrapValidator(_one_or_several),
    _ValueOrList(),
]


class Resource(BaseModel):
    """A response body."""

    model_config = ConfigDict(from_attributes=True)


Item = TypeVar("Item", bound=BaseModel)
MAX_PAGE_SIZE = 500


class Page(Resource, Generic[Item]):
    """One page of a list; ``next_cursor`` is null on the last."""

    items: Annotated[Sequence[Item], Field(json_schema_extra={"maxItems": MAX_PAGE_SIZE})]
    next_cursor: str | None = None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return the name in the OpenAPI document: a page of ``Applicant`` is an ``ApplicantPage``."""
        return f"{params[0].__name__}Page"


class FieldProblem(Resource):
    """One field's error: ``pointer`` is a JSON Pointer into the body."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [{"pointer": "/email", "code": "email_malformed", "detail": "Not an e-mail address."}]
        },
    )

    pointer: Annotated[str, Field(json_schema_extra={"format": "json-pointer"})]
    code: str
    detail: ServiceText


class Problem(Resource):
    """RFC 9457 problem details; ``type`` leads to a page that explains it."""

    type: str
    title: str
    status: int
    detail: ServiceText
    code: str
    instance: Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
    errors: list[FieldProblem] = []


def field_error(error: ErrorDetails, loc: Sequence[str | int]) -> FieldError:
    """Convert an error of Pydantic to a field error with a stable code and a JSON Pointer (RFC 6901)."""
    pointer = json_pointer(*loc)
    if error["type"] in DomainError.known:
        return FieldError(pointer, error["type"], str(error.get("ctx", {}).get("detail", error["msg"])))
    if error["type"] in ("missing", "too_short"):
        return MissingField.at(pointer, f"{loc[-1] if loc else 'A body'} is required.")
    if error["type"] == "extra_forbidden":
        return unknown_parameter(*loc)
    return InvalidValue.at(pointer, f"{error['msg']}.")


def unknown_parameter(*loc: str | int) -> FieldError:
    """Return the error of a field or parameter that the operation does not have."""
    return InvalidValue.at(json_pointer(*loc), f"Unknown field or parameter {str(loc[-1])[:60]!r}.")


def json_pointer(*loc: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) of a place, with names cut to ``MAX_NAME_LENGTH``."""
    return "".join("/" + str(part)[:MAX_NAME_LENGTH].replace("~", "~0").replace("/", "~1") for part in loc)


BodyType = TypeVar("BodyType", bound=Body)


def validate(kind: type[BodyType], given: Mapping[str, Any]) -> BodyType:
    """Validate ``given`` as a body of ``kind``. Raises ``Invalid`` with all errors."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise Invalid.of([field_error(each, each["loc"]) for each in error.errors(include_url=False)]) from None
