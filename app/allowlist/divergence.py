"""Two lists under one serial, as a failover to a database that had not every commit leaves them: found, and told."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

DIVERGED = Counter("allowlist_diverged", "Lists that this process held and the database does not have at their serial")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Divergence:
    """A serial at which this process held another list than the database has, and when that was found."""

    serial: int
    found_at: datetime


def report(serial: int, held: str, recorded: str | None, newest: int) -> Divergence:
    """Count and log that the list of digest ``held`` is not the one that the database has at ``serial``.

    ``recorded`` is the digest of that one, None when there is none; ``newest`` is the database's newest serial.
    """
    DIVERGED.inc()
    log.error("the list held is not the database's", serial=serial, held=held, recorded=recorded, newest=newest)
    return Divergence(serial, datetime.now(UTC))
