"""Client of the feed: fetches manifests, lists, deltas and proofs, and verifies what can be verified."""

import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import ValidationError

from app.allowlist.formats import SnapshotBody
from app.allowlist.schemas import DeltaBody
from app.allowlist.serving.manifest import Artefact, Manifest, verify_manifest
from app.allowlist.snapshot import InvalidSnapshot, Snapshot
from app.audit import checkpoint
from app.audit.checkpoint import TreeHead
from app.audit.errors import VerificationFailed
from app.follower.list_file import build_snapshot
from app.witness import InconsistentCheckpoint, ProofUnavailable

FEED = "/v1/allowlist"
MAX_DELTAS = 200
# proxies customarily give up after 30 seconds without a byte
WAIT_SECONDS = 25
TIMEOUT = httpx.Timeout(WAIT_SECONDS + 30, connect=10)
CONFIRM_SECONDS = 10
TOKEN_MARGIN_SECONDS = 30
PROXY_TIMEOUTS = (httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT)
log = structlog.get_logger(__name__)


class FeedRefused(Exception):
    """A response of the feed cannot be verified, and nothing of it is used."""


class ConfirmationRefused(Exception):
    """The service does not take confirmations of this client."""


class AppliedList(NamedTuple):
    """A list that the operator's command has loaded, and when."""

    session: UUID
    serial: int
    digest: str
    applied_at: datetime


class FeedClient:
    """Client of the feed at ``base_url`` with a client's id and secret; ``transport`` replaces that of ``httpx``.

    Each request raises ``httpx.HTTPError`` when it fails.
    """

    def __init__(self, base_url: str, credentials: tuple[str, str], transport: httpx.BaseTransport | None) -> None:
        self._http = httpx.Client(base_url=base_url, auth=credentials, timeout=TIMEOUT, transport=transport)
        self._keys = KeySet([])
        self._bearer = ("", 0.0)  # the token, and the time to replace it
        self._wait_seconds = WAIT_SECONDS

    def fetch_manifest(self, current: Snapshot | None) -> Manifest:
        """Fetch a valid manifest, not older than the current list. Raises ``FeedRefused`` or ``ManifestRefused``."""
        answer = self._get(f"{FEED}/manifest")
        self._keys = self._fetch_keys()  # each time, since a key may have been revoked
        manifest = verify_manifest(answer.text, self._keys, datetime.now(UTC))
        if manifest.count == 0:
            raise FeedRefused("the manifest is of an empty list")
        if current and current.session == manifest.session and manifest.serial < current.serial:
            raise FeedRefused(f"the manifest is of serial {manifest.serial}, older than {current.serial}: a replay")
        return manifest

    def fetch_list(self, manifest: Manifest, current: Snapshot | None) -> Snapshot:
        """Fetch the manifest's list: by the deltas to the current one, or the whole. Raises ``FeedRefused``."""
        return self._apply_deltas(manifest, current) or self._fetch_snapshot(manifest)

    def wait_for_newer(self, current: Snapshot, seconds: float) -> None:
        """Return when there is a newer serial, or after ``seconds`` or fewer.

        A proxy that gives up earlier is no failure; the next wait is half as long.
        """
        wait = max(1, min(self._wait_seconds, int(seconds)))
        path = f"{FEED}/delta?session={current.session}&since={current.serial}"
        answer = self._http.get(path, headers={"Prefer": f"wait={wait}"})
        if answer.status_code in PROXY_TIMEOUTS and wait > 1:
            self._wait_seconds = wait // 2
            log.info("a proxy ended the wait for a change", waited=wait, next=self._wait_seconds)
            return
        answer.raise_for_status()

    def confirm(self, enforcer: str, applied: AppliedList) -> None:
        """Say that ``enforcer`` has applied a list. Raises ``ConfirmationRefused`` for what is not to be repeated."""
        item = {"enforcer": enforcer, **applied._asdict(), "session": str(applied.session)}
        item["applied_at"] = applied.applied_at.isoformat()
        answer = self._http.post(f"{FEED}/confirmations", json={"items": [item]}, timeout=CONFIRM_SECONDS)
        if answer.is_client_error:
            raise ConfirmationRefused(f"status {answer.status_code}: {answer.text[:300]}")
        answer.raise_for_status()

    def verify_checkpoint(self, signed: str) -> TreeHead:
        """Return the content of a checkpoint. Raises ``InconsistentCheckpoint`` when no key of the feed signed it."""
        try:
            return checkpoint.verify(signed, self._keys)
        except VerificationFailed:
            self._keys = self._fetch_keys()
        try:
            return checkpoint.verify(signed, self._keys)
        except VerificationFailed as wrong:
            raise InconsistentCheckpoint(str(wrong)) from wrong

    def fetch_proof(self, first: int, second: int) -> list[bytes]:
        """Fetch the proof that the tree of one size begins with that of another.

        Raises ``ProofUnavailable`` or ``InconsistentCheckpoint``.
        """
        try:
            headers = {"Authorization": f"Bearer {self._token()}"}
            query = {"first": first, "second": second}
            answer = self._http.get("/v1/audit/consistency", params=query, headers=headers, auth=None)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise InconsistentCheckpoint(f"the log has no tree of size {first} or {second}, although it was signed")
            return [bytes.fromhex(each) for each in answer.raise_for_status().json()["path"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as failure:
            raise ProofUnavailable(str(failure)) from failure

    def _token(self) -> str:
        token, expires = self._bearer
        if time.monotonic() >= expires:
            form = {"grant_type": "client_credentials", "scope": "events:read"}
            issued = self._http.post("/oauth/token", data=form).raise_for_status().json()
            token = str(issued["access_token"])
            self._bearer = token, time.monotonic() + int(issued["expires_in"]) - TOKEN_MARGIN_SECONDS
        return token

    def _fetch_keys(self) -> KeySet:
        try:
            answer = self._get("/.well-known/jwks.json")
        except httpx.HTTPError:
            if not self._keys.keys:
                raise
            return self._keys  # the last ones, while the service is unavailable
        try:
            return KeySet.import_key_set(answer.json())
        except (JoseError, ValueError, KeyError, TypeError) as wrong:
            raise FeedRefused(f"the key set cannot be read: {wrong!r}") from wrong

    def _apply_deltas(self, manifest: Manifest, snapshot: Snapshot | None) -> Snapshot | None:
        """Apply the manifest's deltas to a list; None when they do not lead to the manifest's digest."""
        if snapshot is None or snapshot.session != manifest.session:
            return None
        missed = [each for each in manifest.deltas if each.serial > snapshot.serial]
        if len(missed) != manifest.serial - snapshot.serial or len(missed) > MAX_DELTAS:
            return None
        try:
            for artefact in missed:
                snapshot = _apply_delta(snapshot, DeltaBody.model_validate_json(self._fetch(artefact)))
        except (FeedRefused, InvalidSnapshot, ValueError, OSError, httpx.HTTPStatusError) as wrong:
            log.warning("a delta could not be applied; fetching the whole list", reason=str(wrong)[:300])
            return None
        return snapshot if snapshot.digest == manifest.digest else None

    def _fetch_snapshot(self, manifest: Manifest) -> Snapshot:
        try:
            fresh = build_snapshot(SnapshotBody.model_validate_json(self._fetch(manifest.snapshot)))
        except (ValidationError, InvalidSnapshot, OSError, ValueError) as wrong:
            raise FeedRefused(f"the snapshot is not a valid list: {wrong}") from wrong
        if fresh.digest != manifest.digest or fresh.count != manifest.count:
            raise FeedRefused("the snapshot does not have the manifest's digest")
        return fresh

    def _fetch(self, artefact: Artefact) -> bytes:
        """Fetch an artefact by the path of its URL below the feed's, always from ``base_url``; verify its SHA-256."""
        url = urlsplit(artefact.url)
        _, feed, path = url.path.partition(FEED)  # before it may be the prefix of PUBLIC_URL
        body = self._get(f"{feed}{path}?{url.query}" if url.query else f"{feed}{path}").content
        if sha256(body).hexdigest() != artefact.sha256:
            raise FeedRefused(f"{url.path} does not have the manifest's SHA-256")
        return body

    def _get(self, path: str) -> httpx.Response:
        return self._http.get(path).raise_for_status()


def _apply_delta(snapshot: Snapshot, delta: DeltaBody) -> Snapshot:
    """The list after a delta. Raises ``InvalidSnapshot`` when it is not the next one, or leads to another digest."""
    if (delta.session, delta.start, delta.to) != (snapshot.session, snapshot.serial, snapshot.serial + 1):
        raise InvalidSnapshot(f"the delta from {delta.start} to {delta.to} does not follow serial {snapshot.serial}")
    removed = [removal["network"] for removal in delta.removed]
    after = snapshot.apply_delta(delta.to, datetime.now(UTC), delta.added, removed)
    if after.digest != delta.digest:
        raise InvalidSnapshot(f"the delta to serial {delta.to} does not lead to its digest")
    return after
