"""A limit on the size of request bodies, answered with a problem (the framework's own limiter answers plain text)."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimitMiddleware:
    """Refuses bodies over a limit in bytes, by their declared length or as they come. Pure ASGI.

    ``wider`` maps a path to a limit of its own.
    """

    def __init__(self, app: ASGIApp, limit: int, wider: dict[str, int]) -> None:
        self.app = app
        self._limit = limit
        self._wider = wider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._wider.get(scope["path"], self._limit)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        seen = int(declared) if declared.isdigit() else 0
        refuse_at_once = seen > limit
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            if refuse_at_once:
                raise _too_large(limit)
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _too_large(limit)
            return message

        await self.app(scope, counted, send)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The body is over the limit of {limit} bytes.")
