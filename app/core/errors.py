"""The base classes of errors with stable codes; ``core/http/problems.py`` has their HTTP status codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.core.identity_numbers import mask_cnics


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error in one field of a request.

    ``pointer`` is a JSON Pointer (RFC 6901) into the body; for a parameter it is ``/query/NAME``, ``/path/NAME`` or
    ``/header/NAME``.
    """

    pointer: str
    code: str
    detail: str

    def __post_init__(self) -> None:
        """Mask CNICs: an error may quote a misplaced value, and errors are stored."""
        for name in ("pointer", "detail"):
            object.__setattr__(self, name, mask_cnics(getattr(self, name)))


class DomainError(Exception):
    """An error with a stable ``code``; each code is one class, explained at ``/problems/{code}``.

    ``title`` summarises the code, ``remedy`` tells the caller what to do, ``detail`` describes this occurrence, and
    ``errors`` are those of single fields.
    """

    code: ClassVar[str] = ""
    title: ClassVar[str] = ""
    remedy: ClassVar[str] = ""
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
        """Return this error as that of one field."""
        return FieldError(pointer, cls.code, detail or cls.title)


class NotFound(DomainError):
    """The resource does not exist, or belongs to another partner."""

    code = "not_found"
    title = "Not found"
    remedy = "Check the URL and the id. A resource of another partner is not found either."


class Conflict(DomainError):
    """The request is valid but conflicts with the present state."""


class Gone(DomainError):
    """The resource existed and is no longer kept."""


class Forbidden(DomainError):
    """The caller is authenticated but may not do this."""

    code = "forbidden"
    title = "Not allowed for this client"
    remedy = "Ask for a token with the scope that the operation names, or have the scope granted to your client."


class SelfReview(Forbidden):
    """The decision needs two persons, and this one is already involved."""

    code = "self_review"
    title = "You cannot decide your own case"
    remedy = "Leave the case to another officer."


class Unauthenticated(DomainError):
    """The caller is not authenticated; ``challenge`` says how it could be (RFC 9110, 11.6.1)."""

    challenge: ClassVar[str] = 'Bearer realm="ip-registration"'

    code = "unauthenticated"
    title = "A valid access token is required"
    remedy = (
        "Get a token from POST /oauth/token and send it as 'Authorization: Bearer TOKEN'. A token lasts 10 minutes."
    )


class TokenExpired(Unauthenticated):
    """The access token has expired."""


class Invalid(DomainError):
    """The request is invalid."""

    @staticmethod
    def of(errors: Sequence[FieldError]) -> "Invalid":
        """Combine the errors of several fields into one, with the code of the first."""
        first = errors[0]
        kind = DomainError.known.get(first.code, InvalidValue)
        chosen = kind if issubclass(kind, Invalid) else InvalidValue
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return chosen(f"{first.detail}{more}", errors)


class MissingField(Invalid):
    """A required field is absent or empty."""

    code = "missing_field"
    title = "A required field is absent or empty"
    remedy = (
        "Send the field. GET /v1/tracks lists what each track needs; a company needs ntn, an individual needs cnic."
    )


class InvalidValue(Invalid):
    """A value is not an allowed one, is too long, or has control characters."""

    code = "invalid_value"
    title = "A value is not allowed"
    remedy = "The detail says what is allowed. Unknown fields are refused, and so are control characters."


class EncodingMalformed(Invalid):
    """A compressed body cannot be decompressed to its end."""

    code = "encoding_malformed"
    title = "The body cannot be decompressed"
    remedy = "Compress the file again, and send Content-Encoding only with a body that is compressed so."


class VersionMismatch(DomainError):
    """The resource was changed since the caller read it."""

    code = "version_mismatch"
    title = "The resource has changed since you read it"
    remedy = "Read it again, check the changes, and send the new ETag in If-Match."


class PreconditionRequired(DomainError):
    """The change does not say which version it is made to."""

    code = "precondition_required"
    title = "If-Match is required"
    remedy = (
        "Send the ETag of the resource as you last read it in If-Match, so that you never overwrite another change."
    )


class IdempotencyConflict(Invalid):
    """The Idempotency-Key was used with another request."""

    code = "idempotency_conflict"
    title = "This Idempotency-Key was used for another request"
    remedy = "Use a new key for a new request, and the same key only to repeat the same request."


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key is still being processed."""

    code = "request_in_progress"
    title = "The first request with this Idempotency-Key is still in progress"
    remedy = "Wait a moment and send the same request again; you get the response to the first."


class PayloadTooLarge(DomainError):
    """The body is too large."""

    code = "payload_too_large"
    title = "The body is too large"
    remedy = "Split it into several files or requests."


class MalformedRequest(DomainError):
    """The request is not valid HTTP."""

    code = "malformed_request"
    title = "The request is not valid HTTP"
    remedy = "Send HTTP/1.1 (RFC 9112); a proxy may have altered the request."


class RequestTimeout(DomainError):
    """The request arrived too slowly."""

    code = "request_timeout"
    title = "The request arrived too slowly"
    remedy = "Nothing was changed. Send the request again over a faster connection; the detail names the limit."


class UrlTooLong(DomainError):
    """The URL with its query is too long."""

    code = "address_too_long"
    title = "The URL is too long"
    remedy = "Send fewer or shorter query parameters, or use the POST operation where there is one."


class HeadTooLarge(DomainError):
    """The headers of the request are too large."""

    code = "head_too_large"
    title = "The headers are too large"
    remedy = "Send fewer or shorter headers; the service uses no cookies."


class UnsupportedMediaType(DomainError):
    """The operation does not support the content type of the body."""

    code = "unsupported_media_type"
    title = "The content type is not supported"
    remedy = (
        "Send 'Content-Type: application/json'; for an upload text/csv, or the type of another format that it takes."
    )


class UnsupportedEncoding(UnsupportedMediaType):
    """The operation does not support the content encoding of the body; ``accepted`` lists those it does."""

    code = "unsupported_encoding"
    title = "The content encoding is not supported"
    remedy = (
        "Send the body uncompressed, or compressed once with an encoding that Accept-Encoding of the response lists."
    )

    def __init__(self, detail: str = "", errors: Sequence[FieldError] = (), *, accepted: str = "identity") -> None:
        super().__init__(detail, errors)
        self.accepted = accepted


class NotAcceptable(DomainError):
    """There is no representation of a type that the caller accepts."""

    code = "not_acceptable"
    title = "There is no acceptable representation"
    remedy = "Ask for one of the formats of the operation, by Accept or ?format=."


class RangeNotSatisfiable(DomainError):
    """The range begins after the end of the representation, which has ``size`` bytes."""

    code = "range_not_satisfiable"
    title = "The range is not within the representation"
    remedy = "Content-Range of the response has the size; ask for a range within it, or for the whole without Range."

    def __init__(self, detail: str = "", errors: Sequence[FieldError] = (), *, size: int = 0) -> None:
        super().__init__(detail, errors)
        self.size = size


class MethodNotAllowed(DomainError):
    """The URL does not allow the method."""

    code = "method_not_allowed"
    title = "The method is not allowed"
    remedy = "The Allow header lists the methods of this URL."


class TooManyRequests(DomainError):
    """The caller exceeds a rate limit."""

    code = "too_many_requests"
    title = "Too many requests"
    remedy = "Wait for the seconds in Retry-After; RateLimit-Policy has the number of requests allowed in a window."

    def __init__(self, detail: str = "", errors: Sequence[FieldError] = (), *, retry_after: int = 60) -> None:
        super().__init__(detail, errors)
        self.retry_after = retry_after


class Unavailable(DomainError):
    """A part of the service is down or busy; nothing was changed."""

    code = "unavailable"
    title = "The service is temporarily unavailable"
    remedy = "Nothing was changed. Send the same request again after the seconds in Retry-After."


class CommitUnconfirmed(Unavailable):
    """The database did not confirm the change, which may have been made or may still be made."""

    code = "commit_unconfirmed"
    title = "The database has not confirmed the change"
    remedy = "It may have been made. Send the request again with the same Idempotency-Key, or read the resource."


class Internal(DomainError):
    """An internal error."""

    code = "internal"
    title = "Internal error"
    remedy = "Nothing was changed. Report it with the X-Request-ID of the response."
