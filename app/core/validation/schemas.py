"""The strict base of every body, the text types, and validation errors in the service's own codes."""

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
    JsonValue,
    ModelWrapValidatorHandler,
    PlainSerializer,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from app.core.errors import DomainError, FieldError, Invalid, InvalidValue, MissingField
from app.core.identity_numbers import holds_cnic

Examples = dict[str, JsonValue]
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST_TEXT = 2_000
LONGEST_NAME = 200  # of a field as an error shows it
# What PostgreSQL, Python and JSON all hold; beyond it time zones overflow.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

MOST_FIELDS = 100
# Stands between fields for a value that its own field refuses: it is there, and is equal to nothing.
REFUSED = object()
MOST_ERRORS = 100  # of one body that are told


def refusal(code: str, detail: str) -> PydanticCustomError:
    """What a validator raises to refuse a value with one of the service's codes."""
    return PydanticCustomError(code, "{detail}", {"detail": detail})


def _few(given: dict[str, Any]) -> None:
    """Raises a refusal of an object of so many fields that naming each would be the attack."""
    if len(given) > MOST_FIELDS:
        raise refusal("invalid_value", f"An object of {len(given)} fields; no body has more than {MOST_FIELDS}.")


def is_blank(text: str) -> bool:
    """Whether a text says nothing: it stands for an absent one."""
    return not text or text.isspace()


def refuse_as_given(check: Any) -> AfterValidator:
    """A validator of a function that raises ``Invalid``: its code and detail become the field's."""

    def run(value: Any) -> Any:
        try:
            return check(value)
        except Invalid as wrong:
            raise refusal(wrong.code, wrong.detail) from None

    return AfterValidator(run)


def _plain(value: Any, *, breaks: bool) -> Any:
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isprintable():
        return value.strip()
    if breaks:
        value = value.replace("\r\n", "\n")
    found = (CONTROL_BUT_BREAKS if breaks else CONTROL).search(value)
    if found:
        raise refusal("invalid_value", f"Control character U+{ord(found[0]):04X} at position {found.start()}.")
    return unicodedata.normalize("NFC", value).strip()


LINE = BeforeValidator(partial(_plain, breaks=False))
PARAGRAPH = BeforeValidator(partial(_plain, breaks=True))


def _without_cnic(text: str) -> str:
    if holds_cnic(text):
        said = "This holds a number of the form of a CNIC. Leave CNICs to their own field; write no other 13 digits so."
        raise refusal("invalid_value", said)
    return text


# Free text is kept and told as it is; a CNIC is sealed, and shown to those only who must see it.
NO_CNIC = AfterValidator(_without_cnic)

# A limit stands before what cleans the text, which runs first all the same: so Pydantic counts, and not Python.
Line100 = Annotated[str, Field(max_length=100), LINE, NO_CNIC]
Line200 = Annotated[str, Field(max_length=200), LINE, NO_CNIC]
Paragraph = Annotated[str, Field(max_length=LONGEST_TEXT), PARAGRAPH, NO_CNIC]
# What the service says; where it quotes what was sent, control characters are left out.
Said = Annotated[str, BeforeValidator(lambda text: CONTROL_BUT_BREAKS.sub(" ", text)[:LONGEST_TEXT])]

Instant = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST, examples=["2027-01-31T12:00:00Z"])]


def rfc3339(value: datetime) -> str:
    """A moment as every answer writes it."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Timestamp = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]


class Body(BaseModel):
    """A request body: unknown fields are refused, an empty text is an absent one, all errors come at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=True)

    @classmethod
    def across(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """What is wrong between fields; ``given`` holds the values as sent, and ``REFUSED`` for one that is refused.

        Of a list in which an item is refused it holds what was sent.
        """
        del given
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_errors_at_once(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, dict):
            return handler(given)
        _few(given)
        present = {
            key: value
            for key, value in given.items()
            if value is not None and not (isinstance(value, str) and is_blank(value))
        }
        errors: list[InitErrorDetails] = []
        result: Self | None = None
        try:
            result = handler(present)
        except ValidationError as wrong:
            found = wrong.errors(include_url=False, include_input=False)
            errors = [_again(error) for error in found[:MOST_ERRORS]]
        known = {error["loc"] for error in errors}
        checked = (
            {name: REFUSED if (name,) in known else value for name, value in present.items()} if known else present
        )
        for error in cls.across(checked):
            place = tuple(int(part) if part.isdigit() else part for part in error.pointer.split("/")[1:])
            if place not in known:
                errors.append(InitErrorDetails(type=refusal(error.code, error.detail), loc=place, input=None))
        if errors or result is None:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return result


def _again(error: ErrorDetails) -> InitErrorDetails:
    found = field_error(error, error["loc"])
    return InitErrorDetails(type=refusal(found.code, found.detail), loc=error["loc"], input=None)


class MergePatch(BaseModel):
    """A JSON merge patch (RFC 7396): an absent field stays, a null one goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: Any) -> Any:
        if isinstance(given, dict):
            _few(given)
        return given

    def onto(self, current: Mapping[str, Any]) -> dict[str, Any]:
        """``current`` with the patch merged in."""
        return {**current, **self.model_dump(exclude_unset=True)}


class Query(BaseModel):
    """The parameters of an address: unknown ones are refused, and callers who ask the same may share one of these."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=True)


class Resource(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(from_attributes=True)


Item = TypeVar("Item", bound=BaseModel)
LONGEST_PAGE = 500


class Page(Resource, Generic[Item]):
    """One page of a list; ``next_cursor`` is null on the last."""

    items: Annotated[Sequence[Item], Field(json_schema_extra={"maxItems": LONGEST_PAGE})]
    next_cursor: str | None = None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """The name in the OpenAPI document: a page of ``Applicant`` is an ``ApplicantPage``."""
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
    detail: Said


class Problem(Resource):
    """RFC 9457 problem details; ``type`` leads to a page that explains it."""

    type: str
    title: str
    status: int
    detail: Said
    code: str
    instance: Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
    errors: list[FieldProblem] = []


def field_error(error: ErrorDetails, loc: Sequence[str | int]) -> FieldError:
    """One of Pydantic's errors in the service's codes; its place as a JSON Pointer (RFC 6901)."""
    pointer = "".join("/" + str(part)[:LONGEST_NAME].replace("~", "~0").replace("/", "~1") for part in loc)
    if error["type"] in DomainError.known:
        return FieldError(pointer, error["type"], str(error.get("ctx", {}).get("detail", error["msg"])))
    if error["type"] in ("missing", "too_short"):
        return MissingField.at(pointer, f"{loc[-1] if loc else 'A body'} is needed.")
    if error["type"] == "extra_forbidden":
        return InvalidValue.at(pointer, f"There is nothing called {str(loc[-1])[:60]!r} here.")
    return InvalidValue.at(pointer, f"{error['msg']}.")


BodyType = TypeVar("BodyType", bound=Body)


def validated(kind: type[BodyType], given: Mapping[str, Any]) -> BodyType:
    """``given`` as a body of ``kind``. Raises ``Invalid`` with all its errors."""
    try:
        return kind.model_validate(given)
    except ValidationError as wrong:
        raise Invalid.of([field_error(each, each["loc"]) for each in wrong.errors(include_url=False)]) from None
