"""Which access tokens count: the trusted keys, and what was revoked before it expired, in each API process's memory."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import structlog
from joserfc.jwk import KeySet
from sqlalchemy.exc import SQLAlchemyError

from app.core.database.engine import Database
from app.core.database.notifications import Listener
from app.partners import store

log = structlog.get_logger(__name__)


class TokenRevocations:
    """The keys that are trusted and those revoked; the clients whose tokens were called back lately, and when.

    A refresh that fails leaves what is held. ``keys`` holds none before the first.
    """

    def __init__(self, database: Database, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._not_before: Mapping[UUID, datetime] = {}
        self._revoked: frozenset[str] = frozenset()
        self.keys = KeySet([])

    def is_called_back(self, client_id: UUID, not_before: float) -> bool:
        """Whether the client's tokens were called back since one was issued.

        ``not_before`` is what the token says of it (``service.access_token``), so that no two clocks are compared.
        """
        latest = self._not_before.get(client_id)
        return latest is not None and not_before < latest.timestamp()

    def is_revoked(self, kid: str) -> bool:
        """Whether the signing key of that id was revoked."""
        return kid in self._revoked

    async def refresh(self) -> None:
        """Ask the database."""
        async with self._database.transaction(read_only=True) as tx:
            not_before = await store.called_back(tx)
            keys = await store.public_keys(tx)
            revoked = await store.revoked_keys(tx)
        self._not_before = not_before
        self._revoked |= revoked  # for good, also when an older refresh comes to its end after a younger one
        self.keys = KeySet([key for key in keys.keys if not self.is_revoked(str(key.kid))])

    async def run(self, listener: Listener) -> None:
        """Refresh on every ring and poll until cancelled."""
        while True:
            await listener.wait("clients_changed", self._poll_seconds)
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError) as error:
                log.warning("it could not be asked whose tokens were called back", error=repr(error)[:300])
