"""Rate limits over HTTP: the quota of a request, its headers and the 429.

The headers are those of draft-ietf-httpapi-ratelimit-headers (``RateLimit-Policy``, ``RateLimit``).
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from zlib import crc32

from fastapi import Request

from app.core.database.engine import Database
from app.core.errors import TooManyRequests
from app.core.headers import fields_of
from app.core.limits.rate_limits import Counted, Quota, RateLimiter
from app.core.settings import Settings

READING = ("GET", "HEAD")
CONDITIONS = frozenset((b"if-none-match", b"if-modified-since"))
TOO_MANY = 429
FAILED_LOGIN_BUCKETS = 64
BY_SOURCE = ("failed_logins", "failed_receipts")  # by source address, not by client
Fields = Sequence[tuple[bytes, bytes]]


class RateLimits:
    """The quotas of the settings, and the class of each request.

    Reads below the path ``feed`` are of the class ``feed``; responses of ``feed`` itself and below the paths
    ``conditional`` may be 304. ``special`` has the classes of single operations by method and path. Other requests are
    ``read`` or ``write`` by their method.
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
            Quota("failed_receipts", settings.rate_limit_failed_receipts, window),
        )
        self._quotas = {each.name: each for each in quotas if each.requests}
        self.of_clients = [each for each in quotas if each.requests and each.name not in BY_SOURCE]
        self._feed = feed
        self._conditional = conditional
        self._special = special

    def class_of(self, method: str, path: str) -> str:
        """Return the class of a client's request."""
        if named := self._special.get((method, path)):
            return named
        if method not in READING:
            return "write"
        return "feed" if path.startswith(self._feed) else "read"

    async def count(self, request: Request, name: str, subject: str) -> None:
        """Count a request once in the class ``name``. Raises ``TooManyRequests`` when the quota is used up.

        A conditional read of the feed goes on all the same: a 304 is free.
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
        return is_conditional and not CONDITIONS.isdisjoint(fields_of(request.scope))


def _is_not_304(status: int) -> bool:
    return status != 304


async def count_client(request: Request, client_id: str) -> None:
    """Count a request of an authenticated client. Raises ``TooManyRequests``."""
    limits: RateLimits = request.app.state.limits
    await limits.count(request, limits.class_of(request.scope["method"], request.scope["path"]), client_id)


def count_work(request: Request) -> None:
    """Count a read of the feed whatever its response, before costly work. Raises ``TooManyRequests``.

    Otherwise work for a response of 304, or for a caller that disconnects, would be free.
    """
    for each in request.scope["counted"]:
        if each.quota.name == "feed":
            if not each.passed:
                raise each.refusal
            each.is_work = True


async def count_token(request: Request, client_id: str) -> None:
    """Count a token that is about to be issued. Raises ``TooManyRequests``."""
    limits: RateLimits = request.app.state.limits
    await limits.count(request, "token", client_id)


async def count_failed_login(request: Request, client_id: str) -> None:
    """Count a failed login by its source address and the client id it gave. Raises ``TooManyRequests``.

    Only failures are counted, so a valid login passes after any number of them. Client ids share a few counts by a
    hash, so that invented ids neither add counts nor differ from existing ones.
    """
    limits: RateLimits = request.app.state.limits
    bucket = crc32(client_id.encode("utf-8", "surrogatepass")) % FAILED_LOGIN_BUCKETS
    await limits.count(request, "failed_logins", f"{_source_of(request)} {bucket}")


async def count_failed_receipt(request: Request) -> None:
    """Count a receipt that is not known by its source address. Raises ``TooManyRequests``.

    Only failures are counted: many people share an address, and whoever has a receipt is always answered.
    """
    limits: RateLimits = request.app.state.limits
    await limits.count(request, "failed_receipts", _source_of(request))


def _source_of(request: Request) -> str:
    """Return the source address of a request; of IPv6 the /64, which is one subscriber's."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else host


def finish_counting(counted: Sequence[Counted], status: int) -> tuple[Fields, TooManyRequests | None]:
    """Uncount requests for which a response of ``status`` is free.

    Returns the headers for the response, and the error to respond with in its place, if any.
    """
    kept = [each for each in counted if _counts(each, status)]
    if not kept:
        return (), None
    over = [each.refusal for each in kept if not each.passed and status != TOO_MANY]
    left = ", ".join([f'"{each.quota.name}";r={each.remaining};t={each.seconds}' for each in kept])
    policies = b", ".join([each.quota.policy for each in kept])
    return ((b"ratelimit-policy", policies), (b"ratelimit", left.encode())), over[0] if over else None


def _counts(counted: Counted, status: int) -> bool:
    if counted.is_work or counted.quota.counts(status) or (status == TOO_MANY and not counted.passed):
        return True
    if counted.passed:
        counted.give_back()
    return False
