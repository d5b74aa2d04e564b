"""Look-up of clients by ``client_id``, and their authentication by a secret."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.core.auth import auth_events
from app.core.auth.auth_events import Method
from app.core.database.batcher import Batcher
from app.core.database.engine import Database
from app.partners import store
from app.partners.models import Client

MAX_BATCH = 100


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client whose secret was right, and the time until which that secret works, if it has an end."""

    client: Client
    secret_expires_at: datetime | None


class ClientLookup:
    """Finds clients before anyone is authenticated.

    All callers share one statement at a time, so that a flood of logins takes one connection.
    """

    def __init__(self, database: Database) -> None:
        self._keyring = database.keyring
        self._database = database
        self._batcher = Batcher(self._find_each, MAX_BATCH)

    async def find_client(self, client_id: str) -> Client | None:
        """Return the client of that id, which may be disabled, or None."""
        return await self._batcher.process(client_id)

    async def authenticate_client(self, client_id: str, secret: str, way: Method) -> AuthenticatedClient | None:
        """Return the enabled client of that id and secret, or None; only the log tells which of them was wrong.

        The hash is computed for an unknown client too, so that the time of the response reveals nothing.
        """
        client = await self.find_client(client_id)
        found = _match_secret(client, self._keyring.keyed_hash("client-secret", secret))
        if found is None:
            auth_events.record_failure(way, "unknown client, disabled, or wrong secret", client.id if client else None)
        else:
            auth_events.record_success(way, str(found.client.id), str(found.client.partner_id))
        return found

    async def _find_each(self, client_ids: Sequence[str]) -> Sequence[Client | None]:
        valid = {each for each in client_ids if each.isascii() and each.isprintable()}
        async with self._database.transaction(read_only=True) as tx:
            found = {each.client_id: each for each in await store.find_clients(tx, valid)}
        return [found.get(each) for each in client_ids]


def _match_secret(client: Client | None, secret_hash: str) -> AuthenticatedClient | None:
    if client is None or not client.has_access:
        return None
    if hmac.compare_digest(secret_hash, client.secret_hash or ""):
        return AuthenticatedClient(client, None)
    expires_at = client.previous_secret_expires_at
    is_valid = expires_at is not None and expires_at > datetime.now(UTC)
    if is_valid and hmac.compare_digest(secret_hash, client.previous_secret_hash or ""):
        return AuthenticatedClient(client, expires_at)
    return None
