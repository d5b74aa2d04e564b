"""Conditional and range requests (RFC 9110, 13 and 14): 304, 206 and 416 in place of the whole representation."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from fastapi import Request, Response

from app.core.errors import RangeNotSatisfiable
from app.core.headers import field_value
from app.core.validation.preconditions import HasVersion, etag_of

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "Not modified since the `ETag` sent"}}
PARTIAL: dict[int | str, dict[str, Any]] = {206: {"description": "The bytes that `Range` asks for"}}
MAX_DATE_LENGTH = 40
# One range; several, other units and malformed ranges get the whole.
_RANGE = re.compile(r"bytes\s*=\s*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.IGNORECASE | re.ASCII)


def not_modified(request: Request, resource: HasVersion) -> Response | None:
    """Return a 304 when ``If-None-Match`` has the entity tag of the resource, else None."""
    tag = etag_of(resource)
    return Response(None, 304, {"ETag": tag}) if matches_if_none_match(request, tag) else None


def matches_if_none_match(request: Request, tag: str) -> bool:
    """True when ``If-None-Match`` has the entity tag, by weak comparison (RFC 9110, 13.1.2)."""
    field = field_value(request.scope, b"if-none-match")
    if not field or field == tag:
        return field == tag
    tags = {each.strip().removeprefix("W/") for each in field.split(",")}
    return tag in tags or "*" in tags


def is_unmodified_since(request: Request, modified: datetime | None) -> bool:
    """True when ``If-Modified-Since`` counts and is not before ``modified``, the time in ``Last-Modified``.

    It is ignored where ``If-None-Match`` was sent (RFC 9110, 13.1.3), and for a time in the future: a caller's clock
    that is wrong would hide changes.
    """
    since = field_value(request.scope, b"if-modified-since")
    if since is None or modified is None or field_value(request.scope, b"if-none-match") is not None:
        return False
    date = parse_date(since)
    return date is not None and modified.replace(microsecond=0) <= date <= datetime.now(UTC)


@lru_cache(maxsize=256)
def parse_date(text: str) -> datetime | None:
    """Return the time of an HTTP date (RFC 9110, 5.6.7), or None for what is none."""
    try:
        date = parsedate_to_datetime(text[:MAX_DATE_LENGTH])
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def requested_range(request: Request, whole: Response) -> Response:
    """Return the part of ``whole`` that ``Range`` asks for, or ``whole``, which has an ``ETag``.

    ``If-Range`` of another representation gets the whole. Raises ``RangeNotSatisfiable``.
    """
    asked = _RANGE.fullmatch((field_value(request.scope, b"range") or "").strip())
    condition = field_value(request.scope, b"if-range")
    is_other = condition is not None and condition not in (whole.headers["etag"], whole.headers.get("last-modified"))
    if asked is None or is_other:
        return whole
    size = len(whole.body)
    first, last, suffix = (int(each) if each else None for each in asked.groups())
    if first is not None and last is not None and last < first:
        return whole  # not a range (RFC 9110, 14.1.1)
    start = max(size - suffix, 0) if suffix is not None else first or 0
    end = size - 1 if last is None else min(last, size - 1)
    if start >= size:
        raise RangeNotSatisfiable(f"The representation has {size} bytes.", size=size)
    kept = {name: value for name, value in whole.headers.items() if name != "content-length"}
    headers = {**kept, "Content-Range": f"bytes {start}-{end}/{size}"}
    return Response(bytes(whole.body[start : end + 1]), 206, headers)
