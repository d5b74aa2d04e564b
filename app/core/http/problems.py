"""Errors as problem details (RFC 9457), with their status codes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.core import errors
from app.core.database.outages import CommitUnconfirmed, is_disk_fault, is_outage
from app.core.errors import DomainError, FieldError
from app.core.http.public_path import public_path
from app.core.validation.schemas import MAX_TEXT_LENGTH, FieldProblem, Problem, field_error

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
RETRY_AFTER_SECONDS = "2"
DISK_UNUSABLE = (
    "The disk for temporary files of the service is full or cannot be written. Its operators must make room."
)
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait (RFC 9110, 10.2.3)", "schema": {"type": "integer"}}}
DOCUMENTED_HEADERS = {429: {"headers": RETRY_AFTER}, 503: {"headers": RETRY_AFTER}}
STATUS_OF_KIND: dict[type[DomainError], int] = {
    errors.MalformedRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.NotAcceptable: 406,
    errors.RequestTimeout: 408,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.VersionMismatch: 412,
    errors.PayloadTooLarge: 413,
    errors.UrlTooLong: 414,
    errors.UnsupportedMediaType: 415,
    errors.RangeNotSatisfiable: 416,
    errors.Invalid: 422,
    errors.PreconditionRequired: 428,
    errors.TooManyRequests: 429,
    errors.HeadTooLarge: 431,
    errors.Internal: 500,
    errors.Unavailable: 503,
}
KIND_OF_STATUS = {status: kind for kind, status in STATUS_OF_KIND.items() if kind.code} | {
    400: errors.InvalidValue,
    422: errors.InvalidValue,
}
# Errors of any operation that reads a resource, takes a body, creates or changes a resource.
READS = (errors.Unauthenticated, errors.Forbidden, errors.NotFound)
BODIES = (
    errors.UnsupportedMediaType, errors.UnsupportedEncoding, errors.PayloadTooLarge, errors.RequestTimeout,
)  # fmt: skip
CREATES = (*READS, *BODIES, errors.IdempotencyConflict, errors.RequestInProgress)
CHANGES = (*READS, errors.PreconditionRequired, errors.VersionMismatch)
log = structlog.get_logger(__name__)


def status_of(error: DomainError | type[DomainError]) -> int:
    """Return the HTTP status of an error, which is that of its nearest base class in ``STATUS_OF_KIND``."""
    kind = error if isinstance(error, type) else type(error)
    return next(STATUS_OF_KIND[base] for base in kind.__mro__ if base in STATUS_OF_KIND)


def problem_of(error: DomainError, instance: str) -> Problem:
    """Return the problem details of ``error`` at the path ``instance`` of the service."""
    return Problem(
        type=public_path(f"/problems/{error.code}"),
        title=error.title,
        status=status_of(error),
        detail=error.detail,
        code=error.code,
        instance=public_path(instance),
        errors=[FieldProblem.model_validate(each) for each in error.errors],
    )


def problem_response(error: DomainError, instance: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response for ``error``, with the headers that its status requires."""
    status = status_of(error)
    extra = dict(headers or {})
    if isinstance(error, errors.Unauthenticated):
        extra.setdefault("WWW-Authenticate", error.challenge)
    if isinstance(error, errors.UnsupportedEncoding):
        extra.setdefault("Accept-Encoding", error.accepted)
    if isinstance(error, errors.RangeNotSatisfiable):
        extra["Content-Range"] = f"bytes */{error.size}"  # RFC 9110, 14.4
    if isinstance(error, errors.TooManyRequests):
        extra["Retry-After"] = str(error.retry_after)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra.setdefault("Retry-After", RETRY_AFTER_SECONDS)
    body = problem_of(error, instance).model_dump(mode="json", exclude_defaults=True)
    return JSONResponse(body, status, headers=extra, media_type="application/problem+json")


def problem_responses(*kinds: type[DomainError]) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses=`` of an operation that can raise ``kinds``, with the errors of every operation added.

    An operation that authenticates is also rate limited; one that changes something commits.
    """
    limited = (errors.TooManyRequests,) if errors.Unauthenticated in kinds else ()
    changes = errors.UnsupportedMediaType in kinds or errors.PreconditionRequired in kinds
    committed = (errors.CommitUnconfirmed,) if changes else ()
    anywhere = (errors.InvalidValue, errors.UrlTooLong, errors.Unavailable, errors.Internal)
    every: tuple[type[DomainError], ...] = (*kinds, *limited, *committed, *anywhere)
    by_status: dict[int | str, dict[str, Any]] = {}
    for kind in dict.fromkeys(every):
        places = [kind.at("/networks/0")] if issubclass(kind, errors.Invalid) else []
        example = problem_of(kind(errors=places), "/v1/...").model_dump(mode="json", exclude_defaults=True)
        response = by_status.setdefault(
            status_of(kind),
            {
                "model": Problem,
                "description": "",
                **DOCUMENTED_HEADERS.get(status_of(kind), {}),
                "content": {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
                },
            },
        )
        response["description"] = ", ".join(filter(None, (response["description"], f"`{kind.code}`")))
        examples = response["content"]["application/problem+json"]["examples"]
        examples[kind.code] = {"summary": kind.title, "value": example}
    return by_status


def _instance(request: Request) -> str:
    return quote(request.scope["path"])[:MAX_TEXT_LENGTH]  # a URI reference (RFC 9457, 3.1.5)


async def _on_domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)
    return problem_response(error, _instance(request))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = KIND_OF_STATUS.get(error.status_code, errors.Internal if error.status_code >= 500 else errors.InvalidValue)
    detail = "" if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed_methods(request)
    whole_body = [kind.at("", detail)] if error.status_code == HTTPStatus.BAD_REQUEST else []
    return problem_response(kind(detail, whole_body), _instance(request), headers)


def _allowed_methods(request: Request) -> str:
    """Return all methods of a path (RFC 9110, 10.2.1); the router lists those of one operation."""
    return ", ".join(method for method in METHODS if _is_served(request, method))


def _is_served(request: Request, method: str) -> bool:
    routed = "GET" if method == "HEAD" else method
    scope = {"type": "http", "method": routed, "path": request.scope["path"], "root_path": "", "headers": []}
    return any(route.matches(dict(scope))[0] is Match.FULL for route in request.app.routes)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    content_type = request.headers.get("content-type", "")
    about_body = any(each["loc"][0] == "body" for each in error.errors())
    if about_body and error.body and not _is_json(content_type):
        detail = f"The content type is {content_type or 'missing'}."
        return problem_response(errors.UnsupportedMediaType(detail), _instance(request))
    return problem_response(errors.Invalid.of(field_errors(error)), _instance(request))


def _is_json(content_type: str) -> bool:
    essence = content_type.partition(";")[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def field_errors(refused: RequestValidationError) -> list[FieldError]:
    """Return the errors of a request that the framework refused."""
    return [_to_field_error(each) for each in refused.errors()]


def _to_field_error(error: Any) -> FieldError:
    place, *rest = error["loc"]
    if place == "query":
        rest = rest[:1]  # of a parameter with several values, without the position
    if error["type"] == "json_invalid":
        return errors.InvalidValue.at("", f"The body is not JSON: {error['ctx']['error']} at position {rest[0]}.")
    loc = tuple(rest) if place == "body" else (place, *rest)
    return field_error(error, loc)


async def problem_for(request: Request, error: Exception) -> JSONResponse:
    """Return the problem of an error that no handler of the framework took; log one that is a bug or an outage."""
    if isinstance(error, DomainError):
        return await _on_domain_error(request, error)
    if isinstance(error, CommitUnconfirmed):
        log.warning("commit unconfirmed", error=str(error))
        return problem_response(errors.CommitUnconfirmed(str(error)), _instance(request))
    if is_disk_fault(error):
        log.error("disk unusable", error=repr(error)[:300])
        return problem_response(errors.Unavailable(DISK_UNUSABLE), _instance(request))
    if is_outage(error):
        log.warning("database unavailable", error=repr(error)[:300])
        return problem_response(errors.Unavailable(), _instance(request))
    log.error("request failed", exc_info=error)
    return problem_response(errors.Internal(), _instance(request))


def add_problem_handlers(app: FastAPI) -> None:
    """Make problems of all errors of ``app``, including the framework's own."""
    app.add_exception_handler(DomainError, _on_domain_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
