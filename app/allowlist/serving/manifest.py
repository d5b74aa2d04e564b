"""Signed manifest of the feed: the newest list, and the URLs and SHA-256 of its snapshot and deltas."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from joserfc import jws
from joserfc.jwk import Key, KeySet
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist.delta import Delta
from app.allowlist.formats import Selection
from app.allowlist.serving.history import FeedHistory
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.snapshot import Snapshot, Version
from app.core.auth import signatures
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.partners import store as partners

VALIDITY = timedelta(hours=24)
RENEWAL_SECONDS = 300.0
CHECKPOINT_RENEWAL_SECONDS = 1.0  # while the newest checkpoint waits to be signed by another key
# of the listed deltas as JSON: the whole in base64 stays well below the 128,000 bytes that JWS libraries accept
MAX_LISTING_BYTES = 64_000
MIN_DELTA_BYTES = 65_536  # of deltas that are listed, however small the snapshot is
MEDIA_TYPE, BYTES = MEDIA_TYPES = ("application/jose", "application/octet-stream")
TYPE = "allowlist-manifest"


class Artefact(BaseModel):
    """A snapshot or delta: its serial, its URL, and the SHA-256 of its bytes without content coding."""

    serial: int
    url: str
    sha256: str


class Manifest(BaseModel):
    """Payload of a manifest; ``audit_checkpoint`` is the newest checkpoint of the event log, itself a JWS."""

    issuer: str
    session: UUID
    serial: int
    count: int
    digest: str
    issued: datetime
    expires: datetime
    snapshot: Artefact
    deltas: Sequence[Artefact]
    audit_checkpoint: str | None = None


class ManifestSigner:
    """Signs a manifest when the serial is new, the last one is some minutes old, or its key was revoked.

    ``newest_checkpoint`` reads the newest checkpoint of the event log, as a JWS. While the database is down, the last
    key and checkpoint are used, unless ``is_revoked`` is true for the key's id.
    """

    def __init__(
        self,
        database: Database,
        reader: SnapshotReader,
        history: FeedHistory,
        public_url: str,
        newest_checkpoint: Callable[[Transaction], Awaitable[str | None]],
        is_revoked: Callable[[str], bool],
    ) -> None:
        self._database = database
        self._reader = reader
        self._history = history
        self._feed_url = f"{public_url}/v1/allowlist"
        self._issuer = public_url
        self._newest_checkpoint = newest_checkpoint
        self._is_revoked = is_revoked
        self._key: Key | None = None
        self._checkpoint: str | None = None
        self._checkpoint_kid: str | None = None  # also of a checkpoint that is left out
        self._signed: tuple[Version, float, str] | None = None
        self._lock = asyncio.Lock()
        self._deltas: dict[tuple[UUID, int, str], _ListedDelta] = {}

    async def current(self) -> str:
        """The manifest of the snapshot in memory, as a JWS (RFC 7515) in compact form."""
        if signed := self._valid_manifest():
            return signed
        async with self._lock:  # concurrent requests share one signature
            if signed := self._valid_manifest():
                return signed
            snapshot, deltas = self._reader.current(), list(self._reader.deltas.newest_first())
            key = await self._read_key_and_checkpoint()
            manifest = await self._build(snapshot, deltas)
            signed = signatures.sign(TYPE, manifest.model_dump_json().encode(), key)
            self._signed = (snapshot.version, time.monotonic(), signed)
            return signed

    def _valid_manifest(self) -> str | None:
        """The last manifest, or None when it has to be signed again."""
        if self._key and self._is_revoked(str(self._key.kid)):
            self._key = self._signed = None
        if self._checkpoint and self._is_checkpoint_revoked():
            self._checkpoint = self._signed = None
        if self._signed is None:
            return None
        version, signed_at, signed = self._signed
        seconds = CHECKPOINT_RENEWAL_SECONDS if self._is_checkpoint_revoked() else RENEWAL_SECONDS
        is_fresh = time.monotonic() - signed_at < seconds
        return signed if is_fresh and version == self._reader.current().version else None

    async def _read_key_and_checkpoint(self) -> Key:
        try:
            async with self._database.transaction(read_only=True) as tx:
                self._key = await partners.signing_key(tx)
                newest = await self._newest_checkpoint(tx)
        except (SQLAlchemyError, OSError):
            if self._key is None:
                raise
            return self._key
        self._checkpoint_kid = str(jws.extract_compact(newest.encode()).headers()["kid"]) if newest else None
        # clients cannot verify it by a revoked key: it is left out until a worker has signed it with another key
        self._checkpoint = None if self._is_checkpoint_revoked() else newest
        return self._key

    def _is_checkpoint_revoked(self) -> bool:
        return self._checkpoint_kid is not None and self._is_revoked(self._checkpoint_kid)

    async def _build(self, snapshot: Snapshot, deltas: Sequence[Delta]) -> Manifest:
        encoded = await self._reader.representations.get_or_build(snapshot, "json", Selection(), gzipped=False)
        now = datetime.now(UTC)
        url = f"{self._feed_url}/snapshots/{snapshot.serial}?format=json"
        return Manifest(
            issuer=self._issuer,
            session=snapshot.session,
            serial=snapshot.serial,
            count=snapshot.count,
            digest=snapshot.digest,
            issued=now,
            expires=now + VALIDITY,
            snapshot=Artefact(serial=snapshot.serial, url=url, sha256=encoded.sha256.hex()),
            deltas=await self._list_deltas(snapshot.session, deltas, encoded.size),
            audit_checkpoint=self._checkpoint,
        )

    async def _list_deltas(self, session: UUID, deltas: Sequence[Delta], size: int) -> list[Artefact]:
        """The newest deltas that together are smaller than a snapshot of ``size`` bytes, oldest first.

        A client that is further behind fetches the snapshot (RFC 8182). The manifest is bounded as well.
        """
        listed: dict[tuple[UUID, int, str], _ListedDelta] = {}
        delta_bytes, listing_bytes = max(size, MIN_DELTA_BYTES), MAX_LISTING_BYTES
        for delta in deltas:
            found = await self._list_delta(session, delta)
            delta_bytes -= found.size
            listing_bytes -= len(found.artefact.model_dump_json())
            if delta_bytes < 0 or listing_bytes < 0:
                break
            listed[session, delta.serial, delta.digest] = found
        self._deltas = listed
        return [each.artefact for each in reversed(listed.values())]

    async def _list_delta(self, session: UUID, delta: Delta) -> "_ListedDelta":
        if cached := self._deltas.get((session, delta.serial, delta.digest)):
            return cached
        encoded = await self._history.delta("manifest", session, [delta])
        url = f"{self._feed_url}/deltas/{delta.serial}"
        return _ListedDelta(Artefact(serial=delta.serial, url=url, sha256=encoded.sha256.hex()), len(encoded.body))


class _ListedDelta(NamedTuple):
    """A delta as the manifest lists it, and the size of its body in bytes."""

    artefact: Artefact
    size: int


class ManifestRefused(Exception):
    """The manifest is not signed by the feed's keys, has expired, or is malformed."""


def verify_manifest(signed: str, keys: KeySet, now: datetime) -> Manifest:
    """Verify and decode a manifest, as a client of the feed does. Raises ``ManifestRefused``."""
    try:
        found = signatures.verify(signed, keys)
        manifest = Manifest.model_validate_json(found.payload)
    except Exception as wrong:
        raise ManifestRefused(f"the manifest is malformed or its signature is invalid: {wrong}") from wrong
    if found.headers().get("typ") != TYPE:
        raise ManifestRefused("the signed content is not a manifest")
    if manifest.expires <= now:
        raise ManifestRefused(f"the manifest expired at {manifest.expires:%Y-%m-%dT%H:%M:%SZ}")
    return manifest


def preferred_type(accept: str) -> str:
    """Return the media type of a manifest for an ``Accept`` header: bytes for who asks for no other."""
    asked = [each.partition(";")[0].strip().lower() for each in accept.split(",")]
    return BYTES if BYTES in asked and not {MEDIA_TYPE, "application/*", "*/*"}.intersection(asked) else MEDIA_TYPE
