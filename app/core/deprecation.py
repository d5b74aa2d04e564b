"""Announcing that an operation will go: marked in the OpenAPI document, and said with each of its answers."""

from datetime import datetime
from email.utils import format_datetime
from typing import Any

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class DeprecationMiddleware:
    """Adds what a deprecated operation announces to its answer, whether that is a success or a problem. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        state = scope.setdefault("state", {}) if scope["type"] == "http" else {}

        async def announced(message: Message) -> None:
            if message["type"] == "http.response.start" and KEPT_AS in state:
                message = {**message, "headers": [*message["headers"], *state[KEPT_AS]]}
            await send(message)

        await self.app(scope, receive, announced)
