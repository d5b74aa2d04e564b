"""Limits on the size, pace and memory of bodies, answered with a problem; the framework's own answers plain text."""

import asyncio
from collections import Counter

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WITHOUT_BODY = ("GET", "HEAD")  # no operation reads one
UNKNOWN_CALLER_BYTES = 16_384  # a form with an assertion fits
CLIENT_SHARE = 8  # one client's part of all bodies in memory is an eighth


class BodyLimitMiddleware:
    """Refuses bodies over a limit in bytes, by their declared length or as they come, and those that come too slowly.

    A body has ``seconds`` to arrive, and at most ``limit`` bytes; ``UNKNOWN_CALLER_BYTES`` where it is read without
    its sender having been authenticated. ``wider`` maps the path of an operation that keeps its body out of memory to
    a limit of its own; there the time grows with what has arrived, so that any size may come at ``pace`` bytes a
    second. All other bodies of clients together take at most ``memory`` bytes. Pure ASGI.
    """

    def __init__(
        self, app: ASGIApp, *, limit: int, seconds: float, wider: dict[str, int], pace: int, memory: int
    ) -> None:
        self.app = app
        self._limit = limit
        self._seconds = seconds
        self._wider = wider
        self._pace = pace
        self._memory = BodyMemory(memory)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        wider = self._wider.get(scope["path"])
        memory, pace = (self._memory, None) if wider is None else (None, self._pace)
        body = _Body(scope, receive, wider or self._limit, self._seconds, pace, memory)
        try:
            await self.app(scope, body.receive, send)
        finally:
            body.let_go()


class BodyMemory:
    """The bytes of bodies that are in memory, of each client and of all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self._total = 0

    def take(self, client: str, size: int) -> None:
        """Count bytes that have come. Raises the exceptions of status 429 and 503."""
        if self._taken[client] + size > self._most // CLIENT_SHARE:
            said = f"Bodies of your client that are on their way take {self._most // CLIENT_SHARE} bytes already."
            raise HTTPException(429, said, {"Connection": "close"})
        if self._total + size > self._most:
            raise HTTPException(503, "There are too many bodies on their way just now.", {"Connection": "close"})
        self._taken[client] += size
        self._total += size

    def give_back(self, client: str, size: int) -> None:
        """Count bytes no longer."""
        self._total -= size
        self._taken[client] -= size
        if not self._taken[client]:
            del self._taken[client]


class _Body:
    """One request's body on its way in."""

    def __init__(
        self, scope: Scope, receive: Receive, limit: int, seconds: float, pace: int | None, memory: BodyMemory | None
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._pace = pace
        self._memory = memory
        self._client = ""
        self._taken = 0
        self._began: float | None = None
        self._seen = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """The next part. Raises the exceptions of status 408, 413, 429 and 503."""
        if self._is_whole:  # what is still to come is the caller's going away
            return await self._receive()
        if self._began is None:
            self._begin()
        try:
            async with asyncio.timeout_at(self._deadline()):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        size = len(message.get("body", b""))
        self._seen += size
        self._is_whole = not message.get("more_body", False)
        if self._seen > self._limit:
            raise self._too_large()
        if self._memory is not None and self._client and size:
            self._memory.take(self._client, size)
            self._taken += size
        return message

    def let_go(self) -> None:
        """Give the memory of the body back."""
        if self._memory is not None and self._taken:
            self._memory.give_back(self._client, self._taken)

    def _begin(self) -> None:
        """Begin to read: it is known by now who sends it, if anyone asked."""
        self._began = asyncio.get_running_loop().time()
        if (principal := self._scope.get("principal")) is not None:
            self._client = principal.named[0]
        else:
            self._limit = min(self._limit, UNKNOWN_CALLER_BYTES)
        declared = next((value for name, value in self._scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._limit:
            raise self._too_large()

    def _deadline(self) -> float:
        assert self._began is not None
        return self._began + self._seconds + (self._seen / self._pace if self._pace else 0)

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"The body is over the limit of {self._limit} bytes.")

    def _too_slow(self) -> HTTPException:
        slower = f" and then came slower than {self._pace} bytes a second" if self._pace else ""
        said = f"The body had not arrived after {self._seconds:g} seconds{slower}."
        return HTTPException(408, said, {"Connection": "close"})
