"""A follower of a served feed, with a transport between them that can alter responses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.follower.follower import Follower
from tests.support import feed
from tests.support.feed import FEED, addresses, manifest_of, published, signed
from tests.support.service import Caller, Service

A, B, C, D = addresses(4)  # neighbours, of which A and B make a /31, and all four a /30
KEYS = "/.well-known/jwks.json"


class TamperingTransport(httpx.BaseTransport):
    """A transport to the feed that records requests and replaces responses.

    ``replacements`` has, by part of a path, the function that alters the body; ``requested`` are the paths requested,
    ``preferences`` what they prefer (RFC 7240), which is not sent, so that none waits. ``prefix`` is taken from each
    path, as by a proxy.
    """

    def __init__(self) -> None:
        self._transport = httpx.HTTPTransport()
        self.requested: list[str] = []
        self.preferences: list[str] = []
        self.prefix = ""
        self.replacements: dict[str, Callable[[bytes], bytes | httpx.Response]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return its response, altered where ``replacements`` says so."""
        if self.prefix:
            path = request.url.raw_path.removeprefix(self.prefix.encode())
            request = httpx.Request(request.method, request.url.copy_with(raw_path=path), headers=request.headers)
        self.requested.append(request.url.path.removeprefix(f"{FEED}/"))
        self.preferences += request.headers.get_list("Prefer")
        request.headers.pop("Prefer", None)
        answer = self._transport.handle_request(request)
        answer.read()
        for part, alter in self.replacements.items():
            if part in request.url.path:
                body = alter(answer.content)
                return body if isinstance(body, httpx.Response) else httpx.Response(answer.status_code, content=body)
        return httpx.Response(answer.status_code, content=answer.content)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


@dataclass
class FollowedFeed:
    """A served feed, the tampering transport to it, and its follower."""

    service: Service
    caller: Caller
    transport: TamperingTransport
    url: str
    out: Path
    consumer: Follower

    def restart(self, **changes: Any) -> Follower:
        """Start the follower anew, and return it."""
        login = self.caller.credentials
        given = {"base_url": self.url, "credentials": (login.client_id, login.client_secret), "out": self.out}
        self.consumer = Follower(**{**given, "transport": self.transport, **changes})
        return self.consumer

    async def step(self) -> bool:
        self.transport.requested.clear()
        return await asyncio.to_thread(self.consumer.step)

    async def manifest(self, **changes: Any) -> dict[str, Any]:
        """Return the content of the feed's manifest, with changes."""
        return {**await manifest_of(self.caller), **changes}

    async def forge_manifest(self, **changes: Any) -> None:
        """Replace the manifest by one with changes, signed with the feed's own key."""
        forged = await signed(self.service, await self.manifest(**changes))
        self.transport.replacements["manifest"] = lambda _: forged.encode()

    def has_list(self, *networks: str) -> bool:
        """Return whether the file has exactly these networks and no temporary file is left."""
        beside = sorted(path.name for path in self.out.parent.iterdir())
        return self.out.read_text().splitlines() == list(networks) and beside == ["list.txt", "list.txt.feed"]


@asynccontextmanager
async def follow_list(service: Service, caller: Caller, out: Path, *networks: str) -> AsyncIterator[FollowedFeed]:
    """Serve a feed of these networks at serial 1, and yield it with a follower that is up to date."""
    await published(service, *networks)
    async with feed.serving(service.app) as url:
        made = FollowedFeed(service, caller, TamperingTransport(), url, out, None)  # type: ignore[arg-type]  # next
        made.restart()
        assert await made.step()
        assert made.has_list(*networks)
        yield made
        made.transport.close()
