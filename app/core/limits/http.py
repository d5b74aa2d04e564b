"""Rate limits over HTTP: which quota a request counts against, the header fields that say so, and the 429.

The fields are those of draft-ietf-httpapi-ratelimit-headers (``RateLimit-Policy``, ``RateLimit``).
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from zlib import crc32

from fastapi import Request

from app.core.database.engine import Database
from app.core.errors import TooManyRequests
from app.core.headers import first_header
from app.core.limits.rate_limits import Counted, Quota, RateLimiter
from app.core.settings import Settings

READING = ("GET", "HEAD")
TOO_MANY = 429
FAILED_LOGIN_BUCKETS = 64
Fields = Sequence[tuple[bytes, bytes]]


class RateLimits:
    """The quotas of this process's settings, and which request is of which class.

    ``feed`` is the address below which reads are of the class ``feed``, and ``conditional`` the addresses below which
    they, and those of ``feed`` itself, may be answered 304; ``special`` has the class of single operations, by method
    and path. All else is ``read`` or ``write`` by its method.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        feed: str,
        special: Mapping[tuple[str, str], str],
        conditional: tuple[str, ...] = (),
    ) -> None:
        self._limiter = RateLimiter(database)
        window = settings.rate_limit_window_seconds
        quotas = (
            Quota("read", settings.rate_limit_read, window),
            Quota("write", settings.rate_limit_write, window),
            Quota("upload", settings.rate_limit_upload, window),
            Quota("feed", settings.rate_limit_feed, window, counts=_is_not_304),
            Quota("token", settings.rate_limit_token, window),
            Quota("failed_logins", settings.rate_limit_failed_logins, window),
        )
        self._quotas = {each.name: each for each in quotas if each.requests}
        self._feed = feed
        self._conditional = conditional
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
        if quota is None or (counted and any(each.quota is quota for each in counted)):
            return
        taken = await self._limiter.take(quota, subject)
        counted.append(taken)
        if not taken.passed and not (name == "feed" and self._may_be_304(request)):
            raise taken.refusal

    def _may_be_304(self, request: Request) -> bool:
        path = request.scope["path"]
        is_conditional = path == self._feed or path.startswith(self._conditional)
        return is_conditional and bool(first_header(request.scope, b"if-none-match"))


def _is_not_304(status: int) -> bool:
    return status != 304


async def count_client(request: Request, client_id: str) -> None:
    """Count a request of a client that is known. Raises ``TooManyRequests``."""
    limits: RateLimits = request.app.state.limits
    await limits.count(request, limits.class_of(request.scope["method"], request.scope["path"]), client_id)


def count_work(request: Request) -> None:
    """Let a read of the feed count whatever its answer, before the service works for it. Raises ``TooManyRequests``.

    Without it a read that ends as 304, or whose caller leaves, would be free.
    """
    for each in request.scope["counted"]:
        if each.quota.name == "feed":
            if not each.passed:
                raise each.refusal
            each.is_work = True


async def count_token(request: Request, client_id: str) -> None:
    """Count a token that a client is about to get. Raises ``TooManyRequests``."""
    limits: RateLimits = request.app.state.limits
    await limits.count(request, "token", client_id)


async def count_failed_login(request: Request, client_id: str) -> None:
    """Count a failed attempt against its source address and the client that it names. Raises ``TooManyRequests``.

    It is called when an attempt has failed: one that proves who it is passes however many others have failed. Clients
    share a few counts by a hash of their name, so that names that nobody has make no more of them, and are counted as
    those that somebody has.
    """
    limits: RateLimits = request.app.state.limits
    bucket = crc32(client_id.encode("utf-8", "surrogatepass")) % FAILED_LOGIN_BUCKETS
    await limits.count(request, "failed_logins", f"{_source(request)} {bucket}")


def _source(request: Request) -> str:
    """The address that a request comes from; of IPv6 the /64, which is one subscriber's."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host


def finish_counting(counted: Sequence[Counted], status: int) -> tuple[Fields, TooManyRequests | None]:
    """What an answer of this status counts as; what it shows to be free is given back.

    Gives the header fields that say so, and the refusal that has to be answered in its place.
    """
    kept = [each for each in counted if _stays(each, status)]
    if not kept:
        return (), None
    over = [each.refusal for each in kept if not each.passed and status != TOO_MANY]
    left = ", ".join([f'"{each.quota.name}";r={each.remaining};t={each.seconds}' for each in kept])
    policies = b", ".join([each.quota.policy for each in kept])
    return ((b"ratelimit-policy", policies), (b"ratelimit", left.encode())), over[0] if over else None


def _stays(counted: Counted, status: int) -> bool:
    if counted.is_work or counted.quota.counts(status) or (status == TOO_MANY and not counted.passed):
        return True
    if counted.passed:
        counted.give_back()
    return False
