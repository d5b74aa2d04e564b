"""Confirmations: saying to the service which list the operator's command has loaded."""

import time
from datetime import UTC, datetime

import httpx
import structlog

from app.allowlist.snapshot import Snapshot
from app.follower.feed_client import AppliedList, ConfirmationRefused, FeedClient

REPEAT_SECONDS = 900.0  # the service takes an enforcer for silent after an hour
log = structlog.get_logger(__name__)


class Confirmations:
    """Confirms the last loaded list under the name ``enforcer``: at once, and again while it stays loaded.

    No failure keeps the list from being followed. One is logged once, until a confirmation succeeds.
    """

    def __init__(self, feed: FeedClient, enforcer: str) -> None:
        self._feed = feed
        self._enforcer = enforcer
        self._applied: AppliedList | None = None
        self._due_at = float("-inf")
        self._is_reported = False

    def note(self, loaded: Snapshot) -> None:
        """Note that the command has just loaded a list."""
        self._applied = AppliedList(loaded.session, loaded.serial, loaded.digest, datetime.now(UTC))
        self._due_at = float("-inf")

    def send(self) -> None:
        """Confirm the last loaded list if that is due."""
        if self._applied is None or time.monotonic() < self._due_at:
            return
        try:
            self._feed.confirm(self._enforcer, self._applied)
        except ConfirmationRefused as refused:
            self._due_at = time.monotonic() + REPEAT_SECONDS  # the client may get the scope
            self._report("the service refuses confirmations of loaded lists", str(refused))
        except httpx.HTTPError as failure:
            self._report("a loaded list could not be confirmed", str(failure))
        else:
            self._due_at = time.monotonic() + REPEAT_SECONDS
            self._is_reported = False

    def _report(self, what: str, reason: str) -> None:
        if not self._is_reported:
            log.warning(what, reason=reason[:300])
        self._is_reported = True
