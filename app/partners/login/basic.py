"""HTTP Basic for firewalls that know no OAuth: a client that is known goes on when the database is down."""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app.core.database.engine import is_outage
from app.core.errors import Unauthenticated, Unavailable
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.partners import service
from app.partners.login.client_lookup import ClientLookup

CHECKED_AGAIN_SECONDS = 60.0
TRUSTED_WITHOUT_DATABASE_SECONDS = 24 * 3600.0


def credentials(encoded: str) -> tuple[str, str] | None:
    """The user-id and password of Basic credentials (RFC 7617, 2) in UTF-8, or None when they are none."""
    try:
        user_id, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # not ASCII, not base64, or not UTF-8 within
        return None
    return (user_id, password) if colon else None


@dataclass(frozen=True, slots=True)
class Known:
    """A client whose secret was right, when that was checked, and the end of that secret, if one is set.

    ``not_before`` is when the client's tokens were last called back, as it was then.
    """

    principal: Principal
    checked: float
    until: datetime | None
    not_before: float

    def still(self, seconds: float) -> bool:
        """Whether it was checked less than ``seconds`` ago and the secret has not come to its end since."""
        ended = self.until is not None and self.until <= datetime.now(UTC)
        return not ended and time.monotonic() - self.checked < seconds


class BasicClients:
    """Checks client ids and secrets; remembers the good ones by a keyed hash, never the secret itself.

    ``is_called_back`` tells, as of tokens, whether what was checked with ``not_before`` no longer counts.
    """

    def __init__(self, clients: ClientLookup, keyring: Keyring, is_called_back: Callable[[UUID, float], bool]) -> None:
        self._clients = clients
        self._keyring = keyring
        self._is_called_back = is_called_back
        self._known: dict[str, Known] = {}

    async def verify(self, client_id: str, secret: str) -> Principal:
        """The principal of a client. Raises ``Unauthenticated``, or ``Unavailable`` when it cannot be told now."""
        remembered = self._keyring.keyed_hash("remembered", f"{client_id}\n{secret}")
        known = self._known.get(remembered)
        if known and self._is_called_back(known.principal.client_id, known.not_before):
            del self._known[remembered]
            known = None
        if known and known.still(CHECKED_AGAIN_SECONDS):
            return known.principal
        try:
            client = await self._clients.find(client_id)
        except (SQLAlchemyError, OSError) as error:
            if not is_outage(error):
                raise
            if known and known.still(TRUSTED_WITHOUT_DATABASE_SECONDS):
                return known.principal
            raise Unavailable("Your credentials cannot be checked just now.") from error
        recognised = service.recognise(self._keyring, client, secret, "basic")
        if recognised is None:
            self._known.pop(remembered, None)
            raise Unauthenticated("Unknown client or wrong secret.")
        principal = service.principal_of(recognised.client, recognised.client.scopes)
        self._known[remembered] = Known(
            principal, time.monotonic(), recognised.until, service.not_before_of(recognised.client)
        )
        return principal
