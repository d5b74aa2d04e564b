"""The signed manifest: what the feed holds, where it lies, and the SHA-256 of each piece."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

from joserfc import jws
from joserfc.jwk import KeySet, OKPKey
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist.delta import Delta
from app.allowlist.reader import SnapshotReader
from app.allowlist.schemas import DeltaBody
from app.core.db import Database
from app.core.security import ALGORITHM
from app.partners import store as partners

LASTS = timedelta(hours=24)
SIGNED_AGAIN_SECONDS = 3600.0
MEDIA_TYPE = "application/jose"
TYPE = "allowlist-manifest"


class Artefact(BaseModel):
    """A piece of the feed at a serial: its address, and SHA-256 of its bytes without content coding."""

    serial: int
    url: str
    sha256: str


class Manifest(BaseModel):
    """What the signature is over."""

    issuer: str
    session: UUID
    serial: int
    count: int
    digest: str
    issued: datetime
    expires: datetime
    snapshot: Artefact
    deltas: Sequence[Artefact]


@lru_cache(maxsize=8192)
def delta_bytes(session: UUID, delta: Delta) -> bytes:
    """The body of one serial's delta, the same bytes in every process."""
    body = DeltaBody(
        session=session,
        start=delta.serial - 1,
        to=delta.serial,
        added=delta.added,
        removed=delta.removed,
        digest=delta.digest,
    )
    return body.model_dump_json(by_alias=True).encode()


@lru_cache(maxsize=8192)
def _delta_sha256(session: UUID, delta: Delta) -> str:
    return sha256(delta_bytes(session, delta)).hexdigest()


class ManifestSigner:
    """Signs a manifest when the serial is new, the last one an hour old, or its key revoked.

    While the database is down it signs with the key it has, unless ``is_revoked`` tells that this one was revoked.
    """

    def __init__(
        self, database: Database, reader: SnapshotReader, public_url: str, is_revoked: Callable[[str], bool]
    ) -> None:
        self._database = database
        self._reader = reader
        self._feed_url = f"{public_url}/v1/allowlist"
        self._issuer = public_url
        self._is_revoked = is_revoked
        self._key: OKPKey | None = None
        self._signed: tuple[tuple[UUID, int], float, str] | None = None

    async def current(self) -> str:
        """The manifest of the snapshot in memory, as a JWS (RFC 7515) in compact form."""
        snapshot = self._reader.current()
        held = (snapshot.session, snapshot.serial)
        if self._key and self._is_revoked(str(self._key.kid)):
            self._key = self._signed = None
        if self._signed and self._signed[0] == held and time.monotonic() - self._signed[1] < SIGNED_AGAIN_SECONDS:
            return self._signed[2]
        key = await self._signing_key()
        manifest = await self._describe()
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}
        signed = jws.serialize_compact(header, manifest.model_dump_json().encode(), key, algorithms=[ALGORITHM])
        self._signed = ((manifest.session, manifest.serial), time.monotonic(), signed)
        return signed

    async def _signing_key(self) -> OKPKey:
        try:
            async with self._database.read() as session:
                self._key = await partners.signing_key(session)
        except (SQLAlchemyError, OSError):
            if self._key is None:
                raise
        return self._key

    async def _describe(self) -> Manifest:
        snapshot = self._reader.current()
        kept = list(self._reader.deltas)
        shown = await self._reader.representations.of(snapshot, "json", None, gzipped=False)
        now = datetime.now(UTC)
        whole = f"{self._feed_url}/snapshots/{snapshot.serial}?format=json"
        return Manifest(
            issuer=self._issuer,
            session=snapshot.session,
            serial=snapshot.serial,
            count=snapshot.count,
            digest=snapshot.digest,
            issued=now,
            expires=now + LASTS,
            snapshot=Artefact(serial=snapshot.serial, url=whole, sha256=shown.sha256.hex()),
            deltas=[self._artefact(snapshot.session, delta) for delta in kept if delta.serial <= snapshot.serial],
        )

    def _artefact(self, session: UUID, delta: Delta) -> Artefact:
        url = f"{self._feed_url}/deltas/{delta.serial}"
        return Artefact(serial=delta.serial, url=url, sha256=_delta_sha256(session, delta))


class ManifestRefused(Exception):
    """A manifest that is not signed by the feed's keys, has expired, or cannot be read."""


def verified(signed: str, keys: KeySet, now: datetime) -> Manifest:
    """What a manifest says, for whoever reads the feed. Raises ``ManifestRefused``."""
    try:
        found = jws.deserialize_compact(signed, keys, algorithms=[ALGORITHM])
        manifest = Manifest.model_validate_json(found.payload)
    except Exception as wrong:
        raise ManifestRefused(f"the manifest's signature or form is wrong: {wrong}") from wrong
    if found.headers().get("typ") != TYPE:
        raise ManifestRefused("what was signed is not a manifest")
    if manifest.expires <= now:
        raise ManifestRefused(f"the manifest expired at {manifest.expires:%Y-%m-%dT%H:%M:%SZ}")
    return manifest
