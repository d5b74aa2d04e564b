"""Attempts to prove who one is: each is in the log with its way in, and those that fail are counted."""

from typing import Literal
from uuid import UUID

import structlog
from prometheus_client import Counter

from app.core.process.logs import tell

Way = Literal["secret", "assertion", "basic", "token", "external_token"]
FAILED = Counter("login_failures", "Attempts to prove who one is that failed", ["way"])
log = structlog.get_logger(__name__)


def succeeded(way: Way, client_id: str, partner_id: str) -> None:
    """Say in the request's log lines who came in, for whom, and by which way."""
    tell(way=way, client_id=client_id, partner_id=partner_id)


def failed(way: Way, reason: str, client_id: UUID | None = None) -> None:
    """Log and count a failure. ``client_id`` is a client that is known; of what was sent nothing is repeated.

    ``reason`` is in words of ours.
    """
    FAILED.labels(way).inc()
    log.warning("login failed", way=way, reason=reason, client_id=client_id and str(client_id))
