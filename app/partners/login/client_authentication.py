"""Which client asks for a token: known by its secret, or by an assertion that its key signed."""

import asyncio
import time
from functools import partial

from joserfc.errors import JoseError
from joserfc.jwk import Key

from app.core.auth import auth_events
from app.core.auth.bearer import decode_unverified
from app.core.database.engine import Database
from app.core.outbound.client import Outbound
from app.partners import key_sets, service, store
from app.partners.login import assertions
from app.partners.login.assertions import AssertionRefused
from app.partners.login.client_lookup import ClientLookup
from app.partners.login.remote_keys import KeysUnreachable, RemoteKeys, fetch
from app.partners.models import Client

MOST_KEY_SETS = 1_000
UNKNOWN = "Unknown client, or not signed by a key of the client, or its keys cannot be fetched just now."
# Every refused assertion is answered after the same time, within which a key set is waited for: else the time of the
# answer would tell a client that publishes its keys from one that does not exist.
REFUSED_AFTER_SECONDS = 1.0
KEYS_WAITED_FOR_SECONDS = 0.8


class TokenClients:
    """Tells who asks for a token. Key sets that clients publish are kept; no transaction waits for their fetching."""

    def __init__(self, clients: ClientLookup, database: Database, outbound: Outbound, issuer: str) -> None:
        self._clients = clients
        self._database = database
        self._outbound = outbound
        self._issuer = issuer
        self._remote: dict[str, RemoteKeys] = {}

    async def by_secret(self, client_id: str, secret: str) -> Client | None:
        """The enabled client of that id and secret, or None; which of the two was wrong is not told."""
        client = await self._clients.find(client_id)
        recognised = service.recognise(self._database.keyring, client, secret, "secret")
        return recognised.client if recognised else None

    async def by_assertion(self, assertion: str, named: str | None = None) -> Client:
        """The client that signed an assertion (RFC 7523, 2.2), which is used up by that.

        ``named`` is the ``client_id`` that came beside it (RFC 7521, 4.2). Raises ``AssertionRefused``, always after
        the same time and, unless the signature was right, in the same words.
        """
        answered = time.monotonic() + REFUSED_AFTER_SECONDS
        claimed = decode_unverified(assertion)
        client = await self._clients.find(str(claimed.claims.get("sub")))
        try:
            signer = await self._signer(assertion, client, named, claimed.header.get("kid"))
        except AssertionRefused as refused:
            auth_events.record_failure("assertion", refused.reason, client.id if client else None)
            await asyncio.sleep(answered - time.monotonic())
            raise
        auth_events.record_success("assertion", str(signer.id), str(signer.partner_id))
        return signer

    async def _signer(self, assertion: str, client: Client | None, named: str | None, kid: object) -> Client:
        """The client that an assertion names, when it is enabled and signed it. Raises ``AssertionRefused``."""
        key = await self._key(client, kid) if client and client.disabled_at is None else None
        if client is None or key is None or named not in (None, client.client_id):
            raise AssertionRefused(UNKNOWN)
        try:
            token = key_sets.decode(assertion, key)
        except (JoseError, ValueError, RecursionError):
            raise AssertionRefused(UNKNOWN) from None
        single = assertions.checked(token, client_id=client.client_id, issuer=self._issuer)
        async with self._database.transaction() as tx:
            if not await store.use_assertion(tx, client.id, single.jti, single.expires_at):
                raise AssertionRefused("The jti of the assertion was used before.")
        return client

    async def _key(self, client: Client, kid: object) -> Key | None:
        if not isinstance(kid, str):
            return None
        if client.jwks_uri is None:
            return key_sets.usable(client.jwks).get(kid)
        try:
            return await self._published(client.jwks_uri, str(client.partner_id)).find(kid, KEYS_WAITED_FOR_SECONDS)
        except KeysUnreachable as failure:
            raise AssertionRefused(UNKNOWN, reason=f"the client's keys cannot be had: {failure}") from None

    def _published(self, url: str, owner: str) -> RemoteKeys:
        if url not in self._remote:
            while len(self._remote) >= MOST_KEY_SETS:
                self._remote.pop(next(iter(self._remote)))
            self._remote[url] = RemoteKeys(partial(fetch, self._outbound, url, owner))
        return self._remote[url]
