"""Announcing that an operation will go: marked in the OpenAPI document, and said with each of its answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from fastapi import Depends, Request

KEPT_AS = "deprecation"


def deprecated(
    *, since: datetime, sunset: datetime | None = None, instead: str | None = None, explained: str = "/docs"
) -> dict[str, Any]:
    """What to give to a route of an operation that will go: ``@router.get("/old", **deprecated(since=...))``.

    Its answers carry ``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594) when it stops, and links to what explains it
    and to what to use ``instead``. Times are in UTC. Raises ``ValueError`` for a sunset before the deprecation.
    """
    if sunset is not None and sunset < since:
        raise ValueError("An operation stops after its deprecation (RFC 9745, 4).")
    links = [f'<{explained}>; rel="deprecation"; type="text/html"']
    headers = {"Deprecation": f"@{int(since.timestamp())}"}
    if sunset is not None:
        headers["Sunset"] = format_datetime(sunset, usegmt=True)
        links.append(f'<{explained}>; rel="sunset"; type="text/html"')
    if instead is not None:
        links.append(f'<{instead}>; rel="successor-version"')
    headers["Link"] = ", ".join(links)
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def announce(request: Request) -> None:
        setattr(request.state, KEPT_AS, named)

    return {"deprecated": True, "dependencies": [Depends(announce)]}


def announced(state: Mapping[str, Any]) -> Sequence[tuple[bytes, bytes]]:
    """The header fields that a request's ``state`` has for its answer, be that a success or a problem."""
    fields: Sequence[tuple[bytes, bytes]] = state.get(KEPT_AS, ())
    return fields
