"""Rate limits over HTTP: which quota a request counts against, the header fields that say so, and the 429.

The fields are those of draft-ietf-httpapi-ratelimit-headers (``RateLimit-Policy``, ``RateLimit``).
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from uuid import UUID

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.db import Database
from app.core.problems import problem_response
from app.core.rate_limits import Counted, Quota, RateLimiter
from app.core.settings import Settings

READING = ("GET", "HEAD")
LEASE_CONNECTIONS = 2


class RateLimits:
    """The quotas of this process's settings, and which request is of which class.

    ``feed`` is the address below which reads are of the class ``feed``; ``special`` has the class of single
    operations, by method and path. All else is ``read`` or ``write`` by its method.
    """

    def __init__(self, settings: Settings, *, feed: str, special: Mapping[tuple[str, str], str]) -> None:
        # connections of its own: requests that hold all the others must not keep a lease waiting
        self._database = Database(settings.model_copy(update={"database_pool": LEASE_CONNECTIONS}))
        self._limiter = RateLimiter(self._database)
        window = settings.rate_limit_window_seconds
        quotas = (
            Quota("read", settings.rate_limit_read, window),
            Quota("write", settings.rate_limit_write, window),
            Quota("upload", settings.rate_limit_upload, window),
            Quota("feed", settings.rate_limit_feed, window, counts=_is_not_304),
            Quota("token", settings.rate_limit_token, window),
            Quota("failed_logins", settings.rate_limit_failed_logins, window, counts=_is_401),
        )
        self._quotas = {each.name: each for each in quotas if each.requests}
        self._feed = feed
        self._special = special

    def class_of(self, method: str, path: str) -> str:
        """The class of a request of a client's."""
        if named := self._special.get((method, path)):
            return named
        if method not in READING:
            return "write"
        return "feed" if path.startswith(self._feed) else "read"

    async def count(self, request: Request, name: str, subject: str) -> None:
        """Count a request, once in the class ``name``. Raises ``TooManyRequests`` when the quota is used up.

        A read of the feed that may be answered 304 goes on all the same: only its answer decides.
        """
        quota = self._quotas.get(name)
        counted: list[Counted] = request.scope["counted"]
        if quota is None or any(each.quota is quota for each in counted):
            return
        taken = await self._limiter.take(quota, subject)
        counted.append(taken)
        if not taken.passed and not (name == "feed" and "if-none-match" in request.headers):
            raise taken.refusal

    async def close(self) -> None:
        """Give the connections back."""
        await self._database.close()


def _is_not_304(status: int) -> bool:
    return status != 304


def _is_401(status: int) -> bool:
    return status == 401


async def count_client(request: Request, client_id: UUID) -> None:
    """Count a request of a client that is known. Raises ``TooManyRequests``."""
    limits: RateLimits = request.app.state.limits
    await limits.count(request, limits.class_of(request.method, request.scope["path"]), str(client_id))


async def count_token(request: Request, client_id: UUID) -> None:
    """Count a token that a client is about to get. Raises ``TooManyRequests``."""
    limits: RateLimits = request.app.state.limits
    await limits.count(request, "token", str(client_id))


async def count_login(request: Request) -> None:
    """Count an attempt to prove who one is against its source address, for as long as it may fail.

    Raises ``TooManyRequests`` when too many from there have failed.
    """
    limits: RateLimits = request.app.state.limits
    await limits.count(request, "failed_logins", _source(request))


def _source(request: Request) -> str:
    """The address that a request comes from; of IPv6 the /64, which is one subscriber's."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host


class RateLimitMiddleware:
    """Puts the header fields on what was counted, and does not count what an answer shows to be free. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a list for what it is counted as."""
        counted: list[Counted] = []
        scope["counted"] = counted
        replaced = False

        async def settled(message: Message) -> None:
            nonlocal replaced
            if replaced:
                return
            if counted and message["type"] == "http.response.start":
                shown = _settled(counted, message["status"])
                marked = _marking(send, shown)
                over = next((each for each in shown if not each.passed), None)
                if over and message["status"] != 429:
                    replaced = True
                    await problem_response(over.refusal, scope["path"])(scope, receive, marked)
                else:
                    await marked(message)
            else:
                await send(message)

        await self.app(scope, receive, settled)


def _settled(counted: Sequence[Counted], status: int) -> list[Counted]:
    """What an answer counts as; the rest is given back."""
    kept = []
    for each in counted:
        if each.quota.counts(status) or (status == 429 and not each.passed):
            kept.append(each)
        elif each.passed:
            each.give_back()
    return kept


def _marking(send: Send, counted: Sequence[Counted]) -> Send:
    fields = [
        (b"ratelimit-policy", ", ".join([each.quota.policy for each in counted]).encode()),
        (
            b"ratelimit",
            ", ".join(f'"{each.quota.name}";r={each.remaining};t={each.seconds}' for each in counted).encode(),
        ),
    ]

    async def marked(message: Message) -> None:
        if counted and message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *fields]}
        await send(message)

    return marked
