"""Access tokens that no longer count although they have not expired: what each API process holds of them in memory."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.db import Database
from app.core.doorbell import Listener
from app.partners import store

log = structlog.get_logger(__name__)


class CalledBack:
    """The clients whose tokens were called back lately, and when; a refresh that fails leaves what is held."""

    def __init__(self, database: Database, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._not_before: Mapping[UUID, datetime] = {}

    def is_called_back(self, client_id: UUID, not_before: float) -> bool:
        """Whether the client's tokens were called back since one was issued.

        ``not_before`` is what the token says of it (``service.access_token``), so that no two clocks are compared.
        """
        latest = self._not_before.get(client_id)
        return latest is not None and not_before < latest.timestamp()

    async def refresh(self) -> None:
        """Ask the database who they are."""
        async with self._database.read() as session:
            self._not_before = await store.called_back(session)

    async def run(self, listener: Listener) -> None:
        """Refresh on every ring and poll until cancelled."""
        while True:
            await listener.wait("clients_changed", self._poll_seconds)
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError) as error:
                log.warning("it could not be asked whose tokens were called back", error=repr(error)[:300])
