"""How often a client may ask: quotas of fixed windows, counted down in memory from leases that processes share."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.database.engine import Database, is_outage
from app.core.errors import TooManyRequests
from app.core.limits import leases
from app.core.limits.leases import Grant

PORTIONS = 20
LONGEST_ASKING_SECONDS = 1.0
ALONE_SECONDS = 5.0
MANY_LEASES = 10_000
SWEEP_SECONDS = 60.0
log = structlog.get_logger(__name__)


def _always(_status: int) -> bool:
    return True


@dataclass(frozen=True, eq=False)
class Quota:
    """So many requests of one class in a window of so many seconds.

    ``counts`` says by an answer's status whether it was one of them.
    """

    name: str
    requests: int
    window: int
    counts: Callable[[int], bool] = _always

    @cached_property
    def policy(self) -> bytes:
        """Its item of ``RateLimit-Policy``."""
        return f'"{self.name}";q={self.requests};w={self.window}'.encode()

    @property
    def portion(self) -> int:
        """What a process leases at a time."""
        return max(1, self.requests // PORTIONS)


@dataclass(slots=True)
class Lease:
    """What this process may still let through for one subject, in seconds of the monotonic clock."""

    window: object = None
    left: int = 0
    unleased: int = 0
    ends: float = -math.inf
    spent_until: float = -math.inf
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, now: float) -> bool:
        """Count one request; False when nothing is left of this lease."""
        if self.left <= 0 or now >= self.ends:
            return False
        self.left -= 1
        return True

    def is_spent(self, now: float) -> bool:
        """Whether there is nothing more to ask for in this window."""
        return self.left <= 0 and now < self.spent_until

    def give_back(self, window: object) -> None:
        """Take back the count of a request of ``window``, unless that has ended."""
        if window == self.window:
            self.left += 1

    def renew(self, grant: Grant, asked: float, answered: float) -> None:
        """Add what was granted between two moments.

        It is used up to the earliest moment at which its window may end. When nothing of the window is left to lease,
        nothing more is asked for up to the latest.
        """
        if grant.window != self.window:
            self.window, self.left = grant.window, 0
        self.left += grant.requests
        self.unleased = grant.unleased
        self.ends = asked + grant.seconds
        if self.unleased == 0:
            self.spent_until = answered + grant.seconds


@dataclass(slots=True)
class Counted:
    """One request as it was counted, or refused when it did not pass; ``is_work``: it counts whatever its answer."""

    quota: Quota
    lease: Lease
    window: object
    passed: bool
    remaining: int
    resets: float
    is_work: bool = False

    def give_back(self) -> None:
        """Let it not have counted."""
        self.lease.give_back(self.window)

    @property
    def seconds(self) -> int:
        """Whole seconds until the window has ended."""
        return max(0, math.ceil(self.resets - time.monotonic()))

    @property
    def refusal(self) -> TooManyRequests:
        """What the caller is told who asks too often."""
        said = f"Of {self.quota.name}, {self.quota.requests} requests pass in {self.quota.window} seconds."
        return TooManyRequests(said, retry_after=max(1, self.seconds))


class RateLimiter:
    """Counts requests by quota and subject. What it holds is a few numbers for each subject of the last windows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases: dict[tuple[str, str], Lease] = {}
        self._alone_until = -math.inf
        self._swept = -math.inf

    async def take(self, quota: Quota, subject: str) -> Counted:
        """Count one request of ``subject``; the database is asked only when the lease is used up."""
        key = (quota.name, subject)
        lease = self._leases.get(key)
        if lease is None:
            lease = self._begun(key)
        passed = lease.take(time.monotonic()) or await self._renewed(lease, quota, subject)
        resets = lease.ends if passed else lease.spent_until
        return Counted(quota, lease, lease.window, passed, lease.left + lease.unleased if passed else 0, resets)

    def _begun(self, key: tuple[str, str]) -> Lease:
        now = time.monotonic()
        if len(self._leases) >= MANY_LEASES and now - self._swept > SWEEP_SECONDS:
            self._leases = {each: kept for each, kept in self._leases.items() if kept.ends > now}
            self._swept = now
        lease = self._leases[key] = Lease()
        return lease

    async def _renewed(self, lease: Lease, quota: Quota, subject: str) -> bool:
        async with lease.turn:
            while not lease.take(now := time.monotonic()):
                if lease.is_spent(now):
                    return False
                lease.renew(await self._granted(quota, subject), now, time.monotonic())
            return True

    async def _granted(self, quota: Quota, subject: str) -> Grant:
        """A lease of the database's; the whole quota for this process while the database does not answer."""
        if time.monotonic() < self._alone_until:
            return _alone(quota)
        try:
            async with asyncio.timeout(LONGEST_ASKING_SECONDS), self._database.transaction() as tx:
                window = timedelta(seconds=quota.window)
                granted = await leases.lease(
                    tx, quota.name, subject, portion=quota.portion, quota=quota.requests, window=window
                )
        except (SQLAlchemyError, OSError) as error:
            if not is_outage(error):
                raise
            if self._alone_until == -math.inf:
                log.warning("no leases to be had: this process limits rates on its own", error=repr(error)[:200])
            self._alone_until = time.monotonic() + ALONE_SECONDS
            return _alone(quota)
        self._alone_until = -math.inf
        return granted


def _alone(quota: Quota) -> Grant:
    return Grant(object(), quota.requests, 0, quota.window)
