"""The signed list of certificates' statuses.

It is a Status List Token as Token Status List (TSL) defines it, draft-ietf-oauth-status-list-21 of June 2026, which the
IESG approved as a Proposed Standard and which has no RFC number yet: a JWT of the type ``statuslist+jwt`` with two bits
for each certificate. It tells nothing of a holder, since indexes are random and unused ones look valid.
"""

import asyncio
import gzip
import hashlib
import json
import time
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from app.certificates import store
from app.certificates.rules import BITS, encode_statuses, pack_statuses, size_with
from app.certificates.service import STATUS_LIST_PATH
from app.core.auth import signatures
from app.core.database.engine import Database
from app.core.limits.shared_read import SharedRead
from app.partners import store as partners

TYPE = "statuslist+jwt"
MEDIA_TYPE = "application/statuslist+jwt"
REBUILD_SECONDS = 20.0
TTL_SECONDS = 30  # with the above, a change of status has reached every cache within a minute
VALID_SECONDS = 24 * 60 * 60
RESIGN_SECONDS = 60 * 60  # after which a list without a change is signed again


class StatusList(NamedTuple):
    """A signed list, plain and by gzip, with its entity tag, what it says, and the key and moment of its signature."""

    signed: str
    gzipped: bytes
    tag: str
    statuses: str
    kid: str
    signed_at: float


class StatusLists:
    """Makes the list again when it is asked for and some seconds old; all requests meanwhile share it.

    While the database is down, the last list is used, unless ``is_revoked`` is true for the id of its key.
    """

    def __init__(self, database: Database, public_url: str, is_revoked: Callable[[str], bool]) -> None:
        self._database = database
        self._issuer = public_url
        self._is_revoked = is_revoked
        self._newest: StatusList | None = None
        self._read = SharedRead(self._build, REBUILD_SECONDS)

    async def current(self) -> StatusList:
        """Return the list, at most ``REBUILD_SECONDS`` old. Raises the outage of a database when there is no list."""
        if self._newest and self._is_revoked(self._newest.kid):
            self._newest, self._read = None, SharedRead(self._build, REBUILD_SECONDS)
        try:
            return await self._read.get()
        except (SQLAlchemyError, OSError):
            if self._newest is None:
                raise
            return self._newest

    async def _build(self) -> StatusList:
        async with self._database.transaction(read_only=True) as tx:
            largest, statuses = await store.statuses(tx)
            key, now = await partners.signing_key(tx), int((await tx.now()).timestamp())
        encoded = await asyncio.to_thread(lambda: encode_statuses(pack_statuses(size_with(largest), statuses)))
        last = self._newest
        is_same = last is not None and (last.statuses, last.kid) == (encoded, str(key.kid))
        if last and is_same and time.monotonic() - last.signed_at < RESIGN_SECONDS:
            return last
        claims = {
            "iss": self._issuer,
            "sub": self._issuer + STATUS_LIST_PATH,
            "iat": now,
            "exp": now + VALID_SECONDS,
            "ttl": TTL_SECONDS,
            "status_list": {"bits": BITS, "lst": encoded},
        }
        signed = signatures.sign(TYPE, json.dumps(claims, separators=(",", ":")).encode(), key)
        tag = hashlib.sha256(signed.encode()).hexdigest()[:32]
        self._newest = StatusList(
            signed, gzip.compress(signed.encode(), mtime=0), tag, encoded, str(key.kid), time.monotonic()
        )
        return self._newest
