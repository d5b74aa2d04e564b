"""Authentication events: log lines carry the method and client, and failures are logged and counted."""

from typing import Literal
from uuid import UUID

import structlog
from prometheus_client import Counter

from app.core.process.logs import bind_context

Method = Literal["secret", "assertion", "basic", "token", "external_token"]
FAILURES = Counter("login_failures", "Failed authentications", ["way"])
log = structlog.get_logger(__name__)


def record_success(method: Method, client_id: str, partner_id: str) -> None:
    """Add the method, client and partner to the log lines of the request."""
    bind_context(way=method, client_id=client_id, partner_id=partner_id)


def record_failure(method: Method, reason: str, client_id: UUID | None = None) -> None:
    """Log and count a failure.

    ``reason`` quotes nothing that was sent, and ``client_id`` is that of an existing client.
    """
    FAILURES.labels(method).inc()
    log.warning("login failed", way=method, reason=reason, client_id=client_id and str(client_id))
