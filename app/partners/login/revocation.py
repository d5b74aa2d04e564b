"""Revocation of access tokens and of the keys that sign them, known to each API process without asking the database."""

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
    """Trusted signing keys, revoked ones, and the clients whose tokens were revoked recently.

    A refresh that fails changes nothing. ``keys`` is empty before the first refresh.
    """

    def __init__(self, database: Database, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._revoked_at: Mapping[UUID, datetime] = {}
        self._revoked_kids: frozenset[str] = frozenset()
        self.keys = KeySet([])

    def is_revoked(self, client_id: UUID, not_before: float) -> bool:
        """True when the client's tokens were revoked after a token with this ``tokens_not_before`` was issued.

        Both times come from the database, so no two clocks are compared.
        """
        latest = self._revoked_at.get(client_id)
        return latest is not None and not_before < latest.timestamp()

    def is_key_revoked(self, kid: str) -> bool:
        """True when the signing key of that id was revoked."""
        return kid in self._revoked_kids

    async def refresh(self) -> None:
        """Read keys and revocations from the database."""
        async with self._database.transaction(read_only=True) as tx:
            revoked_at = await store.token_revocations(tx)
            keys = await store.public_keys(tx)
            revoked_kids = await store.revoked_keys(tx)
        self._revoked_at = revoked_at
        self._revoked_kids |= revoked_kids  # final, even when an older refresh ends after a newer one
        self.keys = KeySet([key for key in keys.keys if not self.is_key_revoked(str(key.kid))])

    async def run(self, listener: Listener) -> None:
        """Refresh on every notification, and at least every ``poll_seconds``, until cancelled."""
        while True:
            await listener.wait("clients_changed", self._poll_seconds)
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError) as error:
                log.warning("token revocations could not be refreshed", error=repr(error)[:300])
            except Exception:
                log.exception("token revocations could not be refreshed")
