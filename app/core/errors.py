"""What can go wrong, in the service's own words. No HTTP here: ``core/problems.py`` knows the status codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.core.identity_numbers import mask_cnics


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with what was sent.

    ``pointer`` is a JSON Pointer (RFC 6901) into the body; for a parameter it is
    ``/query/NAME``, ``/path/NAME`` or ``/header/NAME``.
    """

    pointer: str
    code: str
    detail: str

    def __post_init__(self) -> None:
        """Mask CNICs: an error that quotes a misplaced value is kept and told as it is."""
        for name in ("pointer", "detail"):
            object.__setattr__(self, name, mask_cnics(getattr(self, name)))


class DomainError(Exception):
    """A refusal with a stable ``code``; each code is one class, explained under ``/problems/{code}``.

    ``title`` says what happened in general, ``mend`` what the caller can do about it, and
    ``detail`` what happened this time. ``errors`` name the fields, all at once.
    """

    code: ClassVar[str] = ""
    title: ClassVar[str] = ""
    mend: ClassVar[str] = ""
    known: ClassVar[dict[str, type["DomainError"]]] = {}

    def __init__(self, detail: str = "", errors: Sequence[FieldError] = ()) -> None:
        self.detail = mask_cnics(detail) or self.title
        super().__init__(self.detail)
        self.errors = tuple(errors)

    def __init_subclass__(cls) -> None:
        if "code" in cls.__dict__:
            DomainError.known[cls.code] = cls

    @classmethod
    def at(cls, pointer: str, detail: str = "") -> FieldError:
        """This error as one field's."""
        return FieldError(pointer, cls.code, detail or cls.title)


class NotFound(DomainError):
    """There is nothing there, or it belongs to another partner."""

    code = "not_found"
    title = "Not found"
    mend = "Check the address and the id. What belongs to another partner looks as if it did not exist."


class Conflict(DomainError):
    """The request is sound but does not fit the present state."""


class Gone(DomainError):
    """What was asked for was there once and is not kept."""


class Forbidden(DomainError):
    """The caller is known and may not do this."""

    code = "forbidden"
    title = "Not allowed for this client"
    mend = "Ask for a token with the scope that the operation names, or have the scope granted to your client."


class SelfReview(Forbidden):
    """Two pairs of eyes are needed, and these are the same."""

    code = "self_review"
    title = "You cannot decide what is your own"
    mend = "Leave the case to another officer."


class Unauthenticated(DomainError):
    """The caller did not prove who it is; ``challenge`` says how it could (RFC 9110, 11.6.1)."""

    challenge: ClassVar[str] = 'Bearer realm="ip-registration"'

    code = "unauthenticated"
    title = "A valid access token is needed"
    mend = "Get a token from POST /oauth/token and send it as 'Authorization: Bearer TOKEN'. A token lasts 10 minutes."


class TokenExpired(Unauthenticated):
    """The access token was good once."""


class Invalid(DomainError):
    """Something in what was sent is wrong."""

    @staticmethod
    def of(errors: Sequence[FieldError]) -> "Invalid":
        """One error for several fields' errors; its code is the first one's."""
        first = errors[0]
        kind = DomainError.known.get(first.code, InvalidValue)
        chosen = kind if issubclass(kind, Invalid) else InvalidValue
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return chosen(f"{first.detail}{more}", errors)


class MissingField(Invalid):
    """A field that is needed is absent or empty."""

    code = "missing_field"
    title = "A needed field is absent or empty"
    mend = "Send the field. GET /v1/tracks lists what each track needs; a company needs ntn, an individual needs cnic."


class InvalidValue(Invalid):
    """A value is not one of the allowed ones, too long, or holds control characters."""

    code = "invalid_value"
    title = "A value is not allowed here"
    mend = "The detail says what is allowed. Unknown fields are refused, and so are control characters."


class EncodingMalformed(Invalid):
    """A packed body cannot be unpacked to its end."""

    code = "encoding_malformed"
    title = "The body cannot be unpacked"
    mend = "Pack the file again, and send Content-Encoding only with a body that is packed so."


class VersionMismatch(DomainError):
    """Someone changed the resource since the caller read it."""

    code = "version_mismatch"
    title = "The resource has changed since you read it"
    mend = "Read it again, look at what changed, and send the new ETag in If-Match."


class PreconditionRequired(DomainError):
    """A change must say which version it changes."""

    code = "precondition_required"
    title = "If-Match is needed"
    mend = "Send the ETag of the resource as you last read it in If-Match, so that you never undo another's change."


class IdempotencyConflict(Invalid):
    """An Idempotency-Key came again with another request."""

    code = "idempotency_conflict"
    title = "This Idempotency-Key was used for another request"
    mend = "Use a new key for a new request; use the same key only to repeat the very same one."


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key is still being worked on."""

    code = "request_in_progress"
    title = "The first request with this Idempotency-Key is still in progress"
    mend = "Wait a moment and send the same request again; its answer will be replayed."


class PayloadTooLarge(DomainError):
    """The body is over the limit."""

    code = "payload_too_large"
    title = "The body is over the limit"
    mend = "Split it: uploads take any number of files, lists of ids any number of requests."


class MalformedRequest(DomainError):
    """What came is not HTTP."""

    code = "malformed_request"
    title = "The request is not HTTP"
    mend = "Send HTTP/1.1 (RFC 9112); something on the way may have altered the request."


class RequestTimeout(DomainError):
    """The request came too slowly."""

    code = "request_timeout"
    title = "The request came too slowly"
    mend = "Nothing was changed. Send the request again over a better line; the detail names the limit."


class UrlTooLong(DomainError):
    """The address with its query is over the limit."""

    code = "address_too_long"
    title = "The address is over the limit"
    mend = "Send fewer or shorter query parameters; where there is a POST for the same question, use that."


class HeadTooLarge(DomainError):
    """The request's header fields are over the limit."""

    code = "head_too_large"
    title = "The header fields are over the limit"
    mend = "Send fewer or shorter header fields: the service needs no cookies."


class UnsupportedMediaType(DomainError):
    """The body is of a type that the operation does not read."""

    code = "unsupported_media_type"
    title = "The operation does not read this content type"
    mend = "Send 'Content-Type: application/json'; for an upload text/csv, application/x-ndjson or that of XLSX."


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is packed in a way that the operation does not unpack; ``accepted`` names those it does."""

    accepted: ClassVar[str] = "gzip, zstd"

    code = "unsupported_encoding"
    title = "The operation does not unpack this content encoding"
    mend = "Send the body as it is, or packed once with an encoding that the answer's Accept-Encoding names."


class NotAcceptable(DomainError):
    """No representation is of a type that the caller takes."""

    code = "not_acceptable"
    title = "There is no such representation"
    mend = "Ask for one of the formats that the operation lists, by Accept or ?format=."


class MethodNotAllowed(DomainError):
    """The address is right and the method is not."""

    code = "method_not_allowed"
    title = "The method is not allowed here"
    mend = "The Allow header lists the methods of this address."


class TooManyRequests(DomainError):
    """The caller asks too often."""

    code = "too_many_requests"
    title = "Too many requests"
    mend = "Wait for the seconds in Retry-After; RateLimit-Policy says how many requests pass in which time."

    def __init__(self, detail: str = "", errors: Sequence[FieldError] = (), *, retry_after: int = 60) -> None:
        super().__init__(detail, errors)
        self.retry_after = retry_after


class Unavailable(DomainError):
    """Something of ours is down or busy; nothing was changed."""

    code = "unavailable"
    title = "The service cannot answer just now"
    mend = "Nothing was changed. Send the same request again after the seconds in Retry-After."


class Internal(DomainError):
    """A fault of ours."""

    code = "internal"
    title = "A fault of the service"
    mend = "Nothing was changed. Report it with the X-Request-ID of the answer."
