"""Rate limits: quotas of fixed windows, counted in memory by leases that processes take from the database."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.database.engine import Database
from app.core.database.outages import is_outage
from app.core.errors import TooManyRequests
from app.core.limits import leases
from app.core.limits.leases import Grant

PORTIONS = 20  # leases that use up a quota
LEASE_TIMEOUT_SECONDS = 1.0
LOCAL_SECONDS = 5.0  # without the database after an outage
SWEEP_ABOVE = 10_000  # leases in memory
SWEEP_SECONDS = 60.0
log = structlog.get_logger(__name__)


def _always(_status: int) -> bool:
    return True


@dataclass(frozen=True, eq=False)
class Quota:
    """A number of requests of one class in a window of seconds.

    ``counts`` is True for the status of a response that uses the quota.
    """

    name: str
    requests: int
    window: int
    counts: Callable[[int], bool] = _always

    @cached_property
    def policy(self) -> bytes:
        """The item of ``RateLimit-Policy``."""
        return f'"{self.name}";q={self.requests};w={self.window}'.encode()

    @property
    def portion(self) -> int:
        """The number of requests that a process leases at a time."""
        return max(1, self.requests // PORTIONS)


@dataclass(slots=True)
class Lease:
    """The requests that this process may still let through for one subject; times are of the monotonic clock."""

    window: object = None
    left: int = 0
    unleased: int = 0
    ends: float = -math.inf
    spent_until: float = -math.inf
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, now: float) -> bool:
        """Count a request; return False when the lease is used up."""
        if self.left <= 0 or now >= self.ends:
            return False
        self.left -= 1
        return True

    def is_spent(self, now: float) -> bool:
        """True when nothing is left to lease in this window."""
        return self.left <= 0 and now < self.spent_until

    def give_back(self, window: object) -> None:
        """Uncount a request of ``window``, unless that has ended."""
        if window == self.window:
            self.left += 1

    def renew(self, grant: Grant, sent: float, received: float) -> None:
        """Add a grant that was requested and received at these times.

        The lease ends at the earliest time at which its window may end. When the quota is used up, no lease is
        requested until the latest such time.
        """
        if grant.window != self.window:
            self.window, self.left = grant.window, 0
        self.left += grant.requests
        self.unleased = grant.unleased
        self.ends = sent + grant.seconds
        if self.unleased == 0:
            self.spent_until = received + grant.seconds


@dataclass(slots=True)
class Counted:
    """A request that was counted, or refused when it did not pass; ``is_work`` counts whatever the response."""

    quota: Quota
    lease: Lease
    window: object
    passed: bool
    remaining: int
    resets: float
    is_work: bool = False

    def give_back(self) -> None:
        """Uncount it."""
        self.lease.give_back(self.window)

    @property
    def seconds(self) -> int:
        """Seconds until the window ends, rounded up."""
        return max(0, math.ceil(self.resets - time.monotonic()))

    @property
    def refusal(self) -> TooManyRequests:
        """The error for the caller."""
        detail = f"The limit {self.quota.name} is {self.quota.requests} requests in {self.quota.window} seconds."
        return TooManyRequests(detail, retry_after=max(1, self.seconds))


class RateLimiter:
    """Counts requests by quota and subject."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases: dict[tuple[str, str], Lease] = {}
        self._local_until = -math.inf
        self._swept_at = -math.inf

    async def take(self, quota: Quota, subject: str) -> Counted:
        """Count a request of ``subject``; lease more from the database only when the lease is used up."""
        key = (quota.name, subject)
        lease = self._leases.get(key)
        if lease is None:
            lease = self._add(key)
        passed = lease.take(time.monotonic()) or await self._take_renewed(lease, quota, subject)
        resets = lease.ends if passed else lease.spent_until
        return Counted(quota, lease, lease.window, passed, lease.left + lease.unleased if passed else 0, resets)

    def _add(self, key: tuple[str, str]) -> Lease:
        now = time.monotonic()
        if len(self._leases) >= SWEEP_ABOVE and now - self._swept_at > SWEEP_SECONDS:
            self._leases = {each: kept for each, kept in self._leases.items() if kept.ends > now}
            self._swept_at = now
        lease = self._leases[key] = Lease()
        return lease

    async def _take_renewed(self, lease: Lease, quota: Quota, subject: str) -> bool:
        async with lease.lock:
            while not lease.take(now := time.monotonic()):
                if lease.is_spent(now):
                    return False
                lease.renew(await self._lease(quota, subject), now, time.monotonic())
            return True

    async def _lease(self, quota: Quota, subject: str) -> Grant:
        """Lease from the database; during an outage, grant this process the whole quota."""
        if time.monotonic() < self._local_until:
            return _local_grant(quota)
        try:
            async with asyncio.timeout(LEASE_TIMEOUT_SECONDS), self._database.transaction() as tx:
                window = timedelta(seconds=quota.window)
                grant = await leases.lease(
                    tx, quota.name, subject, portion=quota.portion, quota=quota.requests, window=window
                )
        except (SQLAlchemyError, OSError) as error:
            if not is_outage(error):
                raise
            if self._local_until == -math.inf:
                log.warning("no leases to be had: this process limits rates on its own", error=repr(error)[:200])
            self._local_until = time.monotonic() + LOCAL_SECONDS
            return _local_grant(quota)
        self._local_until = -math.inf
        return grant


def _local_grant(quota: Quota) -> Grant:
    return Grant(object(), quota.requests, 0, quota.window)
