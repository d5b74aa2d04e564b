"""Rules of mail: the events that people are told of, codes that verify an address, and retries. Pure functions."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

CODE_DIGITS = 8
STOP_PATH = "/mail/stop"
CODE_LIFETIME = timedelta(hours=1)
CODE_INTERVAL = timedelta(hours=1)  # between two codes to one address
CODE_ATTEMPTS = 5
RETRY_DELAYS = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
MAILS_KEPT = timedelta(days=30)
OLDEST_NEWS = timedelta(days=3)  # of older events nobody is told, as after mail was off for a while


class MailKind(StrEnum):
    """The subject of a mail: the code that verifies an address, or the event of that name."""

    CODE = "code"
    EXPIRING = "expiring"
    LAPSED = "lapsed"
    EXPIRED = "expired"
    EXTENDED = "extended"
    NOTICE_GIVEN = "notice_given"
    NOTICE_CANCELLED = "notice_cancelled"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class MailStatus(StrEnum):
    """The status of a mail; ``failed`` after a refusal by the receiving server or the last attempt."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


# Names of the events that verified contacts are told of, with the kind of mail.
EVENTS = {f"registration.{kind}": kind for kind in MailKind if kind is not MailKind.CODE}
# The detail of an event that is its date, where there is one.
DATES = ("effective_at", "expires_at")


def date_of(details: dict[str, Any]) -> datetime | None:
    """Return the date that an event's details give."""
    found = next((details[name] for name in DATES if details.get(name)), None)
    return datetime.fromisoformat(found) if found else None


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """Return the time of the next attempt after ``attempts`` failed ones, or None after the last."""
    return now + RETRY_DELAYS[attempts - 1] if attempts <= len(RETRY_DELAYS) else None


def is_permanent(code: int) -> bool:
    """True for a reply that the server would repeat (RFC 5321, 4.2.1: 5yz)."""
    return code >= 500


def server_of(url: str) -> dict[str, Any]:
    """Return the arguments of an SMTP client for ``smtp[s]://[user:password@]host[:port]``.

    ``smtps`` is TLS from the first byte (RFC 8314). ``smtp`` starts TLS where the server offers it, and must do so when
    a password is given. Raises ``ValueError``.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("SMTP_URL is smtp://[user:password@]host[:port], or smtps:// for TLS from the start")
    is_tls = parts.scheme == "smtps"
    has_login = parts.username is not None
    return {
        "hostname": parts.hostname,
        "port": parts.port or (465 if is_tls else 587 if has_login else 25),
        "use_tls": is_tls,
        "start_tls": None if not (is_tls or has_login) else not is_tls,
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }
