"""Clients by the id that they name, for those who have not proved yet who they are."""

from collections.abc import Sequence

from app.core.database.batcher import Batcher
from app.core.database.engine import Database
from app.partners import store
from app.partners.models import Client

MOST_AT_ONCE = 100


class ClientLookup:
    """Finds clients. One statement at a time is under way, for all who wait: a flood takes one connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting = Batcher(self._find_each, MOST_AT_ONCE)

    async def find(self, client_id: str) -> Client | None:
        """The client of that id, which may be disabled; None when there is none."""
        return await self._waiting.process(client_id)

    async def _find_each(self, client_ids: Sequence[str]) -> Sequence[Client | None]:
        asked = {each for each in client_ids if each.isascii() and each.isprintable()}
        async with self._database.transaction(read_only=True) as tx:
            found = {each.client_id: each for each in await store.find_clients(tx, asked)}
        return [found.get(each) for each in client_ids]
