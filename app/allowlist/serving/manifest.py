"""The signed manifest: what the feed holds, where it lies, and the SHA-256 of each piece."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from joserfc import jws
from joserfc.jwk import KeySet, OKPKey
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist.delta import Delta
from app.allowlist.serving.history import FeedHistory
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.snapshot import Snapshot, Version
from app.core.auth.bearer import ALGORITHM
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.partners import store as partners

LASTS = timedelta(hours=24)
SIGNED_AGAIN_SECONDS = 300.0
CHECKPOINT_SECONDS = 1.0  # while the newest checkpoint waits to be signed by another key
# of the deltas, as JSON: with the rest and in base64 well below the 128,000 bytes that libraries for JWS read
LARGEST_LIST = 64_000
ALWAYS_WORTH_LISTING = 65_536  # bytes of deltas, of however small a list
MEDIA_TYPE = "application/jose"
TYPE = "allowlist-manifest"


class Artefact(BaseModel):
    """A piece of the feed at a serial: its address, and SHA-256 of its bytes without content coding."""

    serial: int
    url: str
    sha256: str


class Manifest(BaseModel):
    """What the signature is over; ``audit_checkpoint`` is the newest checkpoint of the event log, a JWS of its own."""

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

    While the database is down it goes on with the key and the checkpoint that it has, unless ``is_revoked`` tells that
    the key was revoked. ``newest_checkpoint`` reads the newest checkpoint of the event log as it was signed, which each
    manifest carries.
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
        self._key: OKPKey | None = None
        self._checkpoint: str | None = None
        self._checkpoint_kid: str | None = None  # of the newest checkpoint, also of one that is held back
        self._signed: tuple[Version, float, str] | None = None
        self._signing = asyncio.Lock()
        self._deltas: dict[tuple[UUID, int, str], _Described] = {}

    async def current(self) -> str:
        """The manifest of the snapshot in memory, as a JWS (RFC 7515) in compact form."""
        if signed := self._still_good():
            return signed
        async with self._signing:  # once, however many ask for it
            if signed := self._still_good():
                return signed
            snapshot, deltas = self._reader.current(), list(self._reader.deltas.newest_first())
            key = await self._signing_key()
            manifest = await self._describe(snapshot, deltas)
            header = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}
            signed = jws.serialize_compact(header, manifest.model_dump_json().encode(), key, algorithms=[ALGORITHM])
            self._signed = (snapshot.version, time.monotonic(), signed)
            return signed

    def _still_good(self) -> str | None:
        if self._key and self._is_revoked(str(self._key.kid)):
            self._key = self._signed = None
        if self._checkpoint and self._is_by_revoked_key():
            self._checkpoint = self._signed = None
        if self._signed is None:
            return None
        of, at, signed = self._signed
        lasts = CHECKPOINT_SECONDS if self._is_by_revoked_key() else SIGNED_AGAIN_SECONDS
        is_fresh = time.monotonic() - at < lasts
        return signed if is_fresh and of == self._reader.current().version else None

    async def _signing_key(self) -> OKPKey:
        try:
            async with self._database.transaction(read_only=True) as tx:
                self._key = await partners.signing_key(tx)
                newest = await self._newest_checkpoint(tx)
        except (SQLAlchemyError, OSError):
            if self._key is None:
                raise
            return self._key
        self._checkpoint_kid = str(jws.extract_compact(newest.encode()).headers()["kid"]) if newest else None
        # a worker signs the newest one anew; until then readers, who know no revoked key, are given none
        self._checkpoint = None if self._is_by_revoked_key() else newest
        return self._key

    def _is_by_revoked_key(self) -> bool:
        return self._checkpoint_kid is not None and self._is_revoked(self._checkpoint_kid)

    async def _describe(self, snapshot: Snapshot, deltas: Sequence[Delta]) -> Manifest:
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
            deltas=await self._listed(snapshot.session, deltas, shown.size),
            audit_checkpoint=self._checkpoint,
        )

    async def _listed(self, session: UUID, deltas: Sequence[Delta], size: int) -> list[Artefact]:
        """The newest deltas that together are smaller than a snapshot of ``size`` bytes, oldest first.

        A consumer that is further behind takes the snapshot (RFC 8182). The manifest itself stays within
        what its readers take.
        """
        described: dict[tuple[UUID, int, str], _Described] = {}
        left, room = max(size, ALWAYS_WORTH_LISTING), LARGEST_LIST
        for delta in deltas:
            found = await self._described(session, delta)
            left, room = left - found.size, room - len(found.artefact.model_dump_json())
            if left < 0 or room < 0:
                break
            described[session, delta.serial, delta.digest] = found
        self._deltas = described
        return [each.artefact for each in reversed(described.values())]

    async def _described(self, session: UUID, delta: Delta) -> "_Described":
        if known := self._deltas.get((session, delta.serial, delta.digest)):
            return known
        piece = await self._history.delta("manifest", session, [delta])
        url = f"{self._feed_url}/deltas/{delta.serial}"
        return _Described(Artefact(serial=delta.serial, url=url, sha256=piece.sha256.hex()), len(piece.body))


class _Described(NamedTuple):
    """A delta as a manifest lists it, and the size of its body in bytes."""

    artefact: Artefact
    size: int


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
