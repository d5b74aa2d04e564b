"""Follower: the reference client of the feed, which keeps a local file up to date with the allowlist."""

import os
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import ValidationError

from app.allowlist.formats import FORMATS, Selection, SnapshotBody
from app.allowlist.schemas import DeltaBody
from app.allowlist.serving.manifest import Artefact, Manifest, ManifestRefused, verify_manifest
from app.allowlist.snapshot import InvalidSnapshot, Snapshot
from app.audit import checkpoint
from app.audit.checkpoint import TreeHead
from app.audit.errors import VerificationFailed
from app.core.process.atomic_files import replace_file
from app.witness import InconsistentCheckpoint, ProofUnavailable, Witness

FEED = "/v1/allowlist"
MAX_DELTAS = 200
WAIT_SECONDS = 30
TOKEN_MARGIN_SECONDS = 30
RETRY_SECONDS = (1, 2, 5, 10, 30)
log = structlog.get_logger(__name__)


class FeedRefused(Exception):
    """A response of the feed cannot be verified, and nothing of it is used."""


@dataclass
class Follower:
    """Writes the list of the feed at ``base_url`` to the file ``out`` in ``format``.

    ``credentials`` are a client's id and secret. Beside ``out`` are ``out.feed``, the list as JSON, and
    ``out.checkpoints``, the checkpoints of the event log. ``command`` runs after each change, and again at the next
    step when it failed. ``snapshot`` is the list in ``out``; ``inconsistency`` says why the last checkpoint is
    inconsistent with the stored ones, if it is.
    """

    base_url: str
    credentials: tuple[str, str]
    out: Path
    format: str = "text"
    command: str | None = None
    transport: httpx.BaseTransport | None = None
    inconsistency: str | None = field(default=None, init=False)
    _keys: KeySet = field(default_factory=lambda: KeySet([]))
    _is_command_due: bool = False

    def __post_init__(self) -> None:
        """Create the HTTP client, and load the list of the last run if it is undamaged."""
        self._http = httpx.Client(
            base_url=self.base_url, auth=self.credentials, timeout=WAIT_SECONDS + 30, transport=self.transport
        )
        self._state = self.out.with_name(f"{self.out.name}.feed")
        self.snapshot = self._load_state()
        self._witness = Witness(self.out.with_name(f"{self.out.name}.checkpoints"), self._fetch_proof)
        self._bearer = ("", 0.0)  # the token, and the time to replace it

    def run(self) -> None:
        """Run until interrupted; after a failure the last valid file stays, and the step is retried."""
        failures = 0
        while True:
            try:
                self.step()
                self._wait()
                failures = 0
            except (FeedRefused, ManifestRefused, httpx.HTTPError, OSError) as failure:
                log.warning("keeping the last valid list", reason=str(failure)[:300])
                time.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    def step(self) -> bool:
        """Update the file to the feed's manifest; return True when it changed.

        Raises ``FeedRefused``, ``ManifestRefused`` or ``httpx.HTTPError``, and then leaves the file unchanged.
        """
        manifest = self._fetch_manifest()
        try:
            return self._update(manifest)
        finally:
            self._observe_checkpoint(manifest.audit_checkpoint)

    def _update(self, manifest: Manifest) -> bool:
        current = self.snapshot
        if current and current.digest == manifest.digest and self._is_at(manifest) and self._is_written(current):
            if self._is_command_due:
                self._run_command(current)
            return False
        self._write(self._apply_deltas(manifest) or self._fetch_snapshot(manifest))
        return True

    def _observe_checkpoint(self, signed: str | None) -> None:
        """Pass a checkpoint to the witness; no error of it keeps the list from being followed."""
        if signed is None:
            return
        try:
            self._witness.observe(signed, self._read_checkpoint(signed))
        except InconsistentCheckpoint as wrong:
            self.inconsistency = str(wrong)
            log.error("checkpoints of the event log are inconsistent", reason=self.inconsistency)  # noqa: TRY400 - not a fault of this program
        except (httpx.HTTPError, FeedRefused, OSError) as failure:
            log.warning("a checkpoint of the event log could not be stored", reason=str(failure)[:300])
        else:
            self.inconsistency = None

    def _read_checkpoint(self, signed: str) -> TreeHead:
        try:
            return checkpoint.verify(signed, self._keys)
        except VerificationFailed:
            self._keys = self._fetch_keys()
        try:
            return checkpoint.verify(signed, self._keys)
        except VerificationFailed as wrong:
            raise InconsistentCheckpoint(str(wrong)) from wrong

    def _fetch_proof(self, first: int, second: int) -> list[bytes]:
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

    def _is_at(self, manifest: Manifest) -> bool:
        current = self.snapshot
        return current is not None and (current.session, current.serial) == (manifest.session, manifest.serial)

    def _fetch_manifest(self) -> Manifest:
        answer = self._get(f"{FEED}/manifest")
        self._keys = self._fetch_keys()  # each time, since a key may have been revoked
        manifest = verify_manifest(answer.text, self._keys, datetime.now(UTC))
        current = self.snapshot
        if manifest.count == 0:
            raise FeedRefused("the manifest is of an empty list")
        if current and current.session == manifest.session and manifest.serial < current.serial:
            raise FeedRefused(f"the manifest is of serial {manifest.serial}, older than {current.serial}: a replay")
        return manifest

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

    def _apply_deltas(self, manifest: Manifest) -> Snapshot | None:
        """Apply the manifest's deltas to the current list; None when they do not lead to the manifest's digest."""
        snapshot = self.snapshot
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
            body = SnapshotBody.model_validate_json(self._fetch(manifest.snapshot))
            fresh = _build_snapshot(body)
        except (ValidationError, InvalidSnapshot, OSError, ValueError) as wrong:
            raise FeedRefused(f"the snapshot is not a valid list: {wrong}") from wrong
        if fresh.digest != manifest.digest or fresh.count != manifest.count:
            raise FeedRefused("the snapshot does not have the manifest's digest")
        return fresh

    def _fetch(self, artefact: Artefact) -> bytes:
        """Fetch an artefact by the path of its URL, always from ``base_url``, and verify its SHA-256."""
        url = urlsplit(artefact.url)
        body = self._get(f"{url.path}?{url.query}" if url.query else url.path).content
        if sha256(body).hexdigest() != artefact.sha256:
            raise FeedRefused(f"{url.path} does not have the manifest's SHA-256")
        return body

    def _get(self, path: str, **headers: str) -> httpx.Response:
        return self._http.get(path, headers=headers).raise_for_status()

    def _wait(self) -> None:
        """Return when there is a newer serial, or after half a minute."""
        if self.snapshot:
            path = f"{FEED}/delta?session={self.snapshot.session}&since={self.snapshot.serial}"
            self._get(path, Prefer=f"wait={WAIT_SECONDS}")

    def _load_state(self) -> Snapshot | None:
        try:
            body = SnapshotBody.model_validate_json(self._state.read_bytes())
            snapshot = _build_snapshot(body)
        except (OSError, ValidationError, InvalidSnapshot, ValueError):
            return None
        return snapshot if snapshot.digest == body.digest else None

    def _encode(self, snapshot: Snapshot) -> bytes:
        return FORMATS[self.format].encode(snapshot, Selection()).encode()

    def _is_written(self, snapshot: Snapshot) -> bool:
        return self.out.exists() and self.out.read_bytes() == self._encode(snapshot)

    def _write(self, fresh: Snapshot) -> None:
        replace_file(self.out, self._encode(fresh))
        replace_file(self._state, SnapshotBody.of(fresh, fresh.networks).model_dump_json().encode())
        self.snapshot = fresh
        log.info("list updated", serial=fresh.serial, count=fresh.count, digest=fresh.digest)
        if self.command:
            self._run_command(fresh)

    def _run_command(self, snapshot: Snapshot) -> None:
        environment = {**os.environ, "ALLOWLIST_FILE": str(self.out), "ALLOWLIST_SERIAL": str(snapshot.serial)}
        self._is_command_due = True
        try:
            subprocess.run(shlex.split(self.command or ""), env=environment, check=True)  # noqa: S603 - the operator's own command
        except (OSError, ValueError, subprocess.CalledProcessError) as failure:
            log.warning("the command failed and will be retried at the next step", reason=str(failure)[:300])
        else:
            self._is_command_due = False


def _build_snapshot(body: SnapshotBody) -> Snapshot:
    return Snapshot(body.session, body.serial, body.published_at, ((network, body.serial) for network in body.networks))


def _apply_delta(snapshot: Snapshot, delta: DeltaBody) -> Snapshot:
    """The list after a delta. Raises ``InvalidSnapshot`` when it is not the next one, or leads to another digest."""
    if (delta.session, delta.start, delta.to) != (snapshot.session, snapshot.serial, snapshot.serial + 1):
        raise InvalidSnapshot(f"the delta from {delta.start} to {delta.to} does not follow serial {snapshot.serial}")
    removed = [removal["network"] for removal in delta.removed]
    after = snapshot.apply_delta(delta.to, datetime.now(UTC), delta.added, removed)
    if after.digest != delta.digest:
        raise InvalidSnapshot(f"the delta to serial {delta.to} does not lead to its digest")
    return after
