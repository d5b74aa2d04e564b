"""Limits on the size, rate and memory of request bodies."""

import asyncio
from collections import Counter

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.headers import announces_body

UNAUTHENTICATED_BYTES = 16_384  # room for a form with an assertion
CLIENT_SHARE = 8  # a client may have an eighth of all bodies in memory


class BodyLimitMiddleware:
    """Refuses bodies that are too large, by their declared length or as they arrive, or too slow. Pure ASGI.

    A body has at most ``limit`` bytes (``UNAUTHENTICATED_BYTES`` before its sender is authenticated) and ``seconds`` to
    arrive. ``streamed`` maps the paths of POSTs whose bodies do not stay in memory to limits of their own; these may
    take longer, at ``min_rate`` bytes a second. All other bodies together take at most ``memory`` bytes.
    """

    def __init__(
        self, app: ASGIApp, *, limit: int, seconds: float, streamed: dict[str, int], min_rate: int, memory: int
    ) -> None:
        self.app = app
        self._limit = limit
        self._seconds = seconds
        self._streamed = streamed
        self._min_rate = min_rate
        self._memory = BodyMemory(memory)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and check its body while it is read."""
        if scope["type"] != "http" or not announces_body(scope):
            await self.app(scope, receive, send)
            return
        limit = self._streamed.get(scope["path"]) if scope["method"] == "POST" else None
        memory, min_rate = (self._memory, None) if limit is None else (None, self._min_rate)
        body = _Body(scope, receive, limit or self._limit, self._seconds, min_rate, memory)
        try:
            await self.app(scope, body.receive, send)
        finally:
            body.release()


class BodyMemory:
    """Counts the bytes of bodies in memory, by client and in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: Counter[str] = Counter()
        self._total = 0

    def take(self, client: str, size: int) -> None:
        """Add bytes that arrived. Raises ``HTTPException`` 429 or 503 over a limit."""
        if self._taken[client] + size > self._limit // CLIENT_SHARE:
            detail = f"Bodies of your client that are being received exceed {self._limit // CLIENT_SHARE} bytes."
            raise HTTPException(429, detail, {"Connection": "close"})
        if self._total + size > self._limit:
            raise HTTPException(503, "Too many request bodies are being received.", {"Connection": "close"})
        self._taken[client] += size
        self._total += size

    def give_back(self, client: str, size: int) -> None:
        """Subtract bytes."""
        self._total -= size
        self._taken[client] -= size
        if not self._taken[client]:
            del self._taken[client]


class _Body:
    """The body of one request while it is received."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        limit: int,
        seconds: float,
        min_rate: int | None,
        memory: BodyMemory | None,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._min_rate = min_rate
        self._memory = memory
        self._client = ""
        self._taken = 0
        self._began: float | None = None
        self._received = 0
        self._is_complete = False

    async def receive(self) -> Message:
        """Receive the next part. Raises ``HTTPException`` 408, 413, 429 or 503."""
        if self._is_complete:  # only a disconnect can follow
            return await self._receive()
        if self._began is None:
            self._begin()
        try:
            async with asyncio.timeout_at(self._deadline()):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        size = len(message.get("body", b""))
        self._received += size
        self._is_complete = not message.get("more_body", False)
        if self._received > self._limit:
            raise self._too_large()
        if self._memory is not None and self._client and size:
            self._memory.take(self._client, size)
            self._taken += size
        return message

    def release(self) -> None:
        """Subtract the body from the memory count."""
        if self._memory is not None and self._taken:
            self._memory.give_back(self._client, self._taken)

    def _begin(self) -> None:
        """Choose the limit, now that the caller has been authenticated if the operation does so."""
        self._began = asyncio.get_running_loop().time()
        if (principal := self._scope.get("principal")) is not None:
            self._client = principal.id_texts[0]
        else:
            self._limit = min(self._limit, UNAUTHENTICATED_BYTES)
        declared = next((value for name, value in self._scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._limit:
            raise self._too_large()

    def _deadline(self) -> float:
        assert self._began is not None
        return self._began + self._seconds + (self._received / self._min_rate if self._min_rate else 0)

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"The body exceeds {self._limit} bytes.")

    def _too_slow(self) -> HTTPException:
        rate = f" and then came slower than {self._min_rate} bytes a second" if self._min_rate else ""
        detail = f"The body had not arrived after {self._seconds:g} seconds{rate}."
        return HTTPException(408, detail, {"Connection": "close"})
