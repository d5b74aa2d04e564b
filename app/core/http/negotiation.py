"""Content negotiation by ``Accept`` and ``Accept-Encoding`` (RFC 9110, 12.5)."""

from collections.abc import Iterable
from functools import lru_cache

from fastapi import Request

from app.core.headers import field_value


def preferred(accept: str, offered: Iterable[str]) -> str | None:
    """Return the media type that ``accept`` prefers, the first offered among equals; None when it takes none of them.

    Without a preference, as an empty ``accept``, it is the first.
    """
    best, best_weight = None, 0.0
    for media_type in offered:
        weight = _weight(accept or "*/*", media_type)
        if weight > best_weight:
            best, best_weight = media_type, weight
    return best


def _weight(accept: str, media_type: str) -> float:
    """The weight of a media type, from the most specific range that matches it; 0 when none does."""
    ranges = {}
    for part in accept.split(","):
        media_range, *parameters = (item.strip().lower() for item in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        ranges[media_range] = float(quality) if quality.replace(".", "", 1).isdecimal() else 0.0
    for candidate in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if candidate in ranges:
            return ranges[candidate]
    return 0.0


def accepts_gzip(request: Request) -> bool:
    """True when ``Accept-Encoding`` includes gzip (RFC 9110, 12.5.3)."""
    return _includes_gzip(field_value(request.scope, b"accept-encoding") or "")


@lru_cache(maxsize=64)
def _includes_gzip(accepted: str) -> bool:
    codings = accepted.lower().replace(" ", "").split(",")
    return any(coding == "gzip" or (coding.startswith("gzip;q=") and coding[7:].strip("0.")) for coding in codings)
