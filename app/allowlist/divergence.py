"""Reports of divergence: a process has another list under a serial than the database, as after a failover."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

DIVERGED = Counter("allowlist_diverged", "Lists that this process held and the database does not have at their serial")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Divergence:
    """A serial at which this process had another list than the database, and when that was found."""

    serial: int
    found_at: datetime


def report_divergence(serial: int, held: str, recorded: str | None, newest: int) -> Divergence:
    """Count and log that the list of this process is not the one that the database has at ``serial``.

    ``held`` and ``recorded`` are the digests of the two, the latter None if the database has no such serial;
    ``newest`` is the newest serial of the database.
    """
    DIVERGED.inc()
    log.error("the list held is not the database's", serial=serial, held=held, recorded=recorded, newest=newest)
    return Divergence(serial, datetime.now(UTC))
