"""HTTP Basic authentication for firewalls without OAuth; known clients pass while the database is down."""

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app.core.database.outages import is_outage
from app.core.errors import Unauthenticated, Unavailable
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.partners.login.client_lookup import ClientLookup

FRESH_SECONDS = 60.0
LOOKUP_SECONDS = 3.0
AWAY_SECONDS = 5.0  # after an outage, in which known clients do not wait for another look-up
STALE_IF_ERROR_SECONDS = 24 * 3600.0


def decode_credentials(encoded: str) -> tuple[str, str] | None:
    """Return the user-id and password of Basic credentials (RFC 7617, section 2) in UTF-8, or None when malformed."""
    try:
        user_id, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # not ASCII, not base64, or not UTF-8
        return None
    return (user_id, password) if colon else None


@dataclass(frozen=True, slots=True)
class CachedClient:
    """A successful authentication.

    ``authenticated`` is a monotonic time. ``not_before`` is the time of the client's last token revocation then.
    """

    principal: Principal
    authenticated: float
    secret_expires_at: datetime | None
    not_before: float

    def is_within(self, seconds: float) -> bool:
        """True when it is less than ``seconds`` old and the secret has not expired since."""
        has_expired = self.secret_expires_at is not None and self.secret_expires_at <= datetime.now(UTC)
        return not has_expired and time.monotonic() - self.authenticated < seconds


class BasicAuthenticator:
    """Authenticates clients by id and secret, and caches successes by a keyed hash, never the secret itself.

    A cached success serves for ``FRESH_SECONDS``, and for ``STALE_IF_ERROR_SECONDS`` while the database is down.
    ``is_revoked`` ends it as it ends access tokens (``TokenRevocations.is_revoked``).
    """

    def __init__(self, clients: ClientLookup, keyring: Keyring, is_revoked: Callable[[UUID, float], bool]) -> None:
        self._clients = clients
        self._keyring = keyring
        self._is_revoked = is_revoked
        self._cache: dict[str, CachedClient] = {}
        self._away_until = float("-inf")

    async def verify(self, client_id: str, secret: str) -> Principal:
        """Return the principal of a client. Raises ``Unauthenticated``, ``Unavailable`` when it cannot be verified."""
        key = self._keyring.keyed_hash("remembered", f"{client_id}\n{secret}")
        cached = self._cache.get(key)
        if cached and self._is_revoked(cached.principal.client_id, cached.not_before):
            del self._cache[key]
            cached = None
        is_away = time.monotonic() < self._away_until
        if cached and cached.is_within(STALE_IF_ERROR_SECONDS if is_away else FRESH_SECONDS):
            return cached.principal
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._clients.authenticate_client(client_id, secret, "basic")
        except (SQLAlchemyError, OSError) as error:
            if not is_outage(error):
                raise
            self._away_until = time.monotonic() + AWAY_SECONDS
            if cached and cached.is_within(STALE_IF_ERROR_SECONDS):
                return cached.principal
            raise Unavailable("The credentials cannot be verified at the moment.") from error
        if found is None:
            self._cache.pop(key, None)
            raise Unauthenticated("Unknown client or wrong secret.")
        principal = found.client.principal(found.client.scopes)
        self._cache[key] = CachedClient(principal, time.monotonic(), found.secret_expires_at, found.client.not_before)
        return principal
