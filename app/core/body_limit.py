"""Limits on the size and pace of bodies, answered with a problem (the framework's own limiter answers plain text)."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WITHOUT_BODY = ("GET", "HEAD")  # no operation reads one


class BodyLimitMiddleware:
    """Refuses bodies over a limit in bytes, by their declared length or as they come, and those that come too slowly.

    A body has ``seconds`` to arrive. ``wider`` maps a path to a limit of its own; there the time grows with what
    has arrived, so that any size may come at ``pace`` bytes a second. Pure ASGI.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float, wider: dict[str, int], pace: int) -> None:
        self.app = app
        self._limit = limit
        self._seconds = seconds
        self._wider = wider
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        pace = self._pace if path in self._wider else None
        body = _Body(receive, self._wider.get(path, self._limit), self._seconds, pace)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        body.refuse_at_once = declared.isdigit() and int(declared) > body.limit
        await self.app(scope, body.receive, send)


class _Body:
    """One request's body on its way in."""

    def __init__(self, receive: Receive, limit: int, seconds: float, pace: int | None) -> None:
        self.limit = limit
        self.refuse_at_once = False
        self._receive = receive
        self._seconds = seconds
        self._pace = pace
        self._began: float | None = None
        self._seen = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """The next part. Raises the exceptions of status 408 and 413."""
        if self.refuse_at_once:
            raise self._too_large()
        if self._is_whole:  # what is still to come is the caller's going away
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline()):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        self._seen += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._seen > self.limit:
            raise self._too_large()
        return message

    def _deadline(self) -> float:
        if self._began is None:
            self._began = asyncio.get_running_loop().time()
        return self._began + self._seconds + (self._seen / self._pace if self._pace else 0)

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"The body is over the limit of {self.limit} bytes.")

    def _too_slow(self) -> HTTPException:
        slower = f" and then came slower than {self._pace} bytes a second" if self._pace else ""
        said = f"The body had not arrived after {self._seconds:g} seconds{slower}."
        return HTTPException(408, said, {"Connection": "close"})
