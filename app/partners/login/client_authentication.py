"""Client authentication at the token endpoint: by a secret, or by an assertion (RFC 7523)."""

import asyncio
import time
from functools import partial

from joserfc.errors import JoseError
from joserfc.jwk import Key

from app.core.auth import auth_events
from app.core.auth.bearer import decode_unverified
from app.core.database.engine import Database
from app.core.outbound.client import Outbound
from app.partners import key_sets, store
from app.partners.login import assertions
from app.partners.login.assertions import AssertionRefused
from app.partners.login.client_lookup import ClientLookup
from app.partners.login.remote_keys import KeysUnreachable, RemoteKeys, fetch_json
from app.partners.models import Client

MAX_KEY_SETS = 1_000
TOKEN_PATH = "/oauth/token"  # noqa: S105 - the path of the endpoint
UNKNOWN = "Unknown client, no valid signature by a key of the client, or its keys cannot be fetched at the moment."
# Every refused assertion is answered after the same time, which includes waiting for a published key set. Otherwise
# the time of the response would distinguish a client that publishes its keys from one that does not exist.
REFUSED_AFTER_SECONDS = 1.0
KEYS_TIMEOUT_SECONDS = 0.8


class ClientAuthenticator:
    """Authenticates clients that ask for a token. Published key sets are cached and fetched outside transactions."""

    def __init__(self, clients: ClientLookup, database: Database, outbound: Outbound, issuer: str) -> None:
        self._clients = clients
        self._database = database
        self._outbound = outbound
        self._audiences = (issuer, f"{issuer}{TOKEN_PATH}")
        self._published: dict[str, RemoteKeys] = {}

    async def by_secret(self, client_id: str, secret: str) -> Client | None:
        """Return the enabled client of that id and secret, or None."""
        found = await self._clients.authenticate_client(client_id, secret, "secret")
        return found.client if found else None

    async def by_assertion(self, assertion: str, client_id: str | None = None) -> Client:
        """Return the client that signed an assertion (RFC 7523, section 2.2), which cannot be used again.

        ``client_id`` is the form's parameter of that name (RFC 7521, section 4.2). Raises ``AssertionRefused`` always
        after the same time, and with the same description unless the signature was valid.
        """
        refused_at = time.monotonic() + REFUSED_AFTER_SECONDS
        claimed = decode_unverified(assertion)
        client = await self._clients.find_client(str(claimed.claims.get("sub")))
        try:
            signer = await self._verify(assertion, client, client_id, claimed.header.get("kid"))
        except AssertionRefused as refused:
            auth_events.record_failure("assertion", refused.reason, client.id if client else None)
            await asyncio.sleep(refused_at - time.monotonic())
            raise
        auth_events.record_success("assertion", str(signer.id), str(signer.partner_id))
        return signer

    async def _verify(self, assertion: str, client: Client | None, client_id: str | None, kid: object) -> Client:
        """Return the claimed client if it is enabled and signed the assertion. Raises ``AssertionRefused``."""
        key = await self._find_key(client, kid) if client and client.has_access else None
        if client is None or key is None or client_id not in (None, client.client_id):
            raise AssertionRefused(UNKNOWN)
        try:
            token = key_sets.decode(assertion, key)
        except (JoseError, ValueError, RecursionError):
            raise AssertionRefused(UNKNOWN) from None
        used = assertions.validate_claims(token, client_id=client.client_id, audiences=self._audiences)
        async with self._database.transaction() as tx:
            if not await store.use_assertion(tx, client.id, used.jti, used.expires_at):
                raise AssertionRefused("The jti of the assertion was used before.")
        return client

    async def _find_key(self, client: Client, kid: object) -> Key | None:
        """Return the key of that id; without an id, which some libraries leave out, the only key of a stored set."""
        if client.jwks_uri is None:
            keys = key_sets.import_usable(client.jwks)
            return next(iter(keys.values())) if kid is None and len(keys) == 1 else keys.get(str(kid))
        if not isinstance(kid, str):
            return None
        try:
            return await self._published_keys(client.jwks_uri, str(client.partner_id)).find(kid, KEYS_TIMEOUT_SECONDS)
        except KeysUnreachable as failure:
            raise AssertionRefused(UNKNOWN, reason=f"the client's keys cannot be fetched: {failure}") from None

    def _published_keys(self, url: str, owner: str) -> RemoteKeys:
        if url not in self._published:
            while len(self._published) >= MAX_KEY_SETS:
                self._published.pop(next(iter(self._published)))
            self._published[url] = RemoteKeys(partial(fetch_json, self._outbound, url, owner))
        return self._published[url]
