"""A reference consumer of the feed: keeps a local file in step, and the last good one whatever happens."""

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

from app.allowlist.formats import FORMATS, SnapshotBody
from app.allowlist.schemas import DeltaBody
from app.allowlist.serving.manifest import Artefact, Manifest, ManifestRefused, verified
from app.allowlist.snapshot import NotASnapshot, Snapshot
from app.audit import checkpoint
from app.audit.checkpoint import TreeHead
from app.audit.errors import VerificationFailed
from app.core.process.atomic_files import replace_file
from app.witness import Misfit, NotProven, Witness

FEED = "/v1/allowlist"
MOST_DELTAS = 200
WAIT_SECONDS = 30
TOKEN_SPARE_SECONDS = 30
RETRY_SECONDS = (1, 2, 5, 10, 30)
log = structlog.get_logger(__name__)


class FeedRefused(Exception):
    """What the feed gave does not prove itself; nothing of it is taken."""


@dataclass
class Follower:
    """Follows the feed at ``base_url`` with a client's id and secret into ``out``, written in ``format``.

    Beside ``out`` it keeps ``out.feed``, the list it was made from, and ``out.checkpoints``, the checkpoints of the
    event log that it was shown. ``command`` runs after each change, and again at the next step when it failed.
    ``misfit`` says why the last checkpoint does not fit those kept, if it does not.
    """

    base_url: str
    credentials: tuple[str, str]
    out: Path
    format: str = "text"
    command: str | None = None
    transport: httpx.BaseTransport | None = None
    misfit: str | None = field(default=None, init=False)
    _keys: KeySet = field(default_factory=lambda: KeySet([]))
    _owed: bool = False

    def __post_init__(self) -> None:
        """Open the connection and take up the list of the last run, if it is whole."""
        self._http = httpx.Client(
            base_url=self.base_url, auth=self.credentials, timeout=WAIT_SECONDS + 30, transport=self.transport
        )
        self._state = self.out.with_name(f"{self.out.name}.feed")
        self.held = self._kept()
        self._witness = Witness(self.out.with_name(f"{self.out.name}.checkpoints"), self._consistency)
        self._bearer = ("", 0.0)

    def run(self) -> None:
        """Follow until interrupted; a failure keeps the last good file and is tried again."""
        failures = 0
        while True:
            try:
                self.step()
                self._wait()
                failures = 0
            except (FeedRefused, ManifestRefused, httpx.HTTPError, OSError) as failure:
                log.warning("the last good list stays", reason=str(failure)[:300])
                time.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    def step(self) -> bool:
        """Come into step with the feed's manifest; gives whether the file changed.

        Raises ``FeedRefused``, ``ManifestRefused`` or ``httpx.HTTPError``, and then has changed nothing.
        """
        manifest = self._manifest()
        try:
            return self._brought_to(manifest)
        finally:
            self._see(manifest.audit_checkpoint)

    def _brought_to(self, manifest: Manifest) -> bool:
        if self.held and self.held.digest == manifest.digest and self._is_at(manifest) and self._is_written(self.held):
            if self._owed:
                self._execute(self.held)
            return False
        self._write(self._caught_up(manifest) or self._whole(manifest))
        return True

    def _see(self, signed: str | None) -> None:
        """Witness a checkpoint; whatever it says, the list goes on being kept."""
        if signed is None:
            return
        try:
            self._witness.see(signed, self._statement(signed))
        except Misfit as wrong:
            self.misfit = str(wrong)
            log.error("checkpoints of the event log do not fit", reason=self.misfit)  # noqa: TRY400 - it is no fault here
        except (httpx.HTTPError, FeedRefused, OSError) as failure:
            log.warning("a checkpoint of the event log could not be kept", reason=str(failure)[:300])
        else:
            self.misfit = None

    def _statement(self, signed: str) -> TreeHead:
        try:
            return checkpoint.verify(signed, self._keys)
        except VerificationFailed:
            self._keys = self._published_keys()
        try:
            return checkpoint.verify(signed, self._keys)
        except VerificationFailed as wrong:
            raise Misfit(str(wrong)) from wrong

    def _consistency(self, first: int, second: int) -> list[bytes]:
        """The proof that one tree begins with another, by their sizes. Raises ``NotProven``, ``Misfit``."""
        try:
            headers = {"Authorization": f"Bearer {self._token()}"}
            query = {"first": first, "second": second}
            answer = self._http.get("/v1/audit/consistency", params=query, headers=headers, auth=None)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise Misfit(f"the log has no tree of size {first} or {second}, which was signed")
            return [bytes.fromhex(each) for each in answer.raise_for_status().json()["path"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as failure:
            raise NotProven(str(failure)) from failure

    def _token(self) -> str:
        token, ends = self._bearer
        if time.monotonic() >= ends:
            form = {"grant_type": "client_credentials", "scope": "events:read"}
            told = self._http.post("/oauth/token", data=form).raise_for_status().json()
            token = str(told["access_token"])
            self._bearer = token, time.monotonic() + int(told["expires_in"]) - TOKEN_SPARE_SECONDS
        return token

    def _is_at(self, manifest: Manifest) -> bool:
        held = self.held
        return held is not None and (held.session, held.serial) == (manifest.session, manifest.serial)

    def _manifest(self) -> Manifest:
        answer = self._get(f"{FEED}/manifest")
        self._keys = self._published_keys()  # each time: a key that was revoked is no longer among them
        manifest = verified(answer.text, self._keys, datetime.now(UTC))
        if manifest.count == 0:
            raise FeedRefused("the manifest is of an empty list")
        if self.held and self.held.session == manifest.session and manifest.serial < self.held.serial:
            raise FeedRefused(f"the manifest is of serial {manifest.serial}, older than {self.held.serial}: a replay")
        return manifest

    def _published_keys(self) -> KeySet:
        try:
            answer = self._get("/.well-known/jwks.json")
        except httpx.HTTPError:
            if not self._keys.keys:
                raise
            return self._keys  # the service cannot tell just now
        try:
            return KeySet.import_key_set(answer.json())
        except (JoseError, ValueError, KeyError, TypeError) as wrong:
            raise FeedRefused(f"the key set cannot be read: {wrong!r}") from wrong

    def _caught_up(self, manifest: Manifest) -> Snapshot | None:
        """The held list brought on by deltas, or None when they do not lead to the manifest's."""
        held = self.held
        if held is None or held.session != manifest.session:
            return None
        missed = [each for each in manifest.deltas if each.serial > held.serial]
        if len(missed) != manifest.serial - held.serial or len(missed) > MOST_DELTAS:
            return None
        try:
            for artefact in missed:
                held = _applied(held, DeltaBody.model_validate_json(self._fetch(artefact)))
        except (FeedRefused, NotASnapshot, ValueError, OSError, httpx.HTTPStatusError) as wrong:
            log.warning("a delta does not fit; taking the whole list", reason=str(wrong)[:300])
            return None
        return held if held.digest == manifest.digest else None

    def _whole(self, manifest: Manifest) -> Snapshot:
        try:
            body = SnapshotBody.model_validate_json(self._fetch(manifest.snapshot))
            fresh = _snapshot(body)
        except (ValidationError, NotASnapshot, OSError, ValueError) as wrong:
            raise FeedRefused(f"the snapshot is not a list: {wrong}") from wrong
        if fresh.digest != manifest.digest or fresh.count != manifest.count:
            raise FeedRefused("the snapshot does not have the manifest's digest")
        return fresh

    def _fetch(self, artefact: Artefact) -> bytes:
        """An artefact's bytes, from the feed that is followed wherever the manifest says it lies."""
        there = urlsplit(artefact.url)
        body = self._get(f"{there.path}?{there.query}" if there.query else there.path).content
        if sha256(body).hexdigest() != artefact.sha256:
            raise FeedRefused(f"{there.path} does not have the manifest's SHA-256")
        return body

    def _get(self, path: str, **headers: str) -> httpx.Response:
        return self._http.get(path, headers=headers).raise_for_status()

    def _wait(self) -> None:
        """Return when there is a newer serial, or after half a minute."""
        if self.held:
            path = f"{FEED}/delta?session={self.held.session}&since={self.held.serial}"
            self._get(path, Prefer=f"wait={WAIT_SECONDS}")

    def _kept(self) -> Snapshot | None:
        try:
            body = SnapshotBody.model_validate_json(self._state.read_bytes())
            kept = _snapshot(body)
        except (OSError, ValidationError, NotASnapshot, ValueError):
            return None
        return kept if kept.digest == body.digest else None

    def _bytes(self, of: Snapshot) -> bytes:
        return FORMATS[self.format].write(of, None).encode()

    def _is_written(self, held: Snapshot) -> bool:
        return self.out.exists() and self.out.read_bytes() == self._bytes(held)

    def _write(self, fresh: Snapshot) -> None:
        replace_file(self.out, self._bytes(fresh))
        replace_file(self._state, SnapshotBody.of(fresh, fresh.networks).model_dump_json().encode())
        self.held = fresh
        log.info("in step", serial=fresh.serial, count=fresh.count, digest=fresh.digest)
        if self.command:
            self._execute(fresh)

    def _execute(self, fresh: Snapshot) -> None:
        environment = {**os.environ, "ALLOWLIST_FILE": str(self.out), "ALLOWLIST_SERIAL": str(fresh.serial)}
        self._owed = True
        try:
            subprocess.run(shlex.split(self.command or ""), env=environment, check=True)  # noqa: S603 - the operator's own command
        except (OSError, ValueError, subprocess.CalledProcessError) as failure:
            log.warning("the command failed; it runs again at the next step", reason=str(failure)[:300])
        else:
            self._owed = False


def _snapshot(body: SnapshotBody) -> Snapshot:
    return Snapshot(body.session, body.serial, body.published_at, ((network, body.serial) for network in body.networks))


def _applied(held: Snapshot, delta: DeltaBody) -> Snapshot:
    """The list after a delta. Raises ``NotASnapshot`` when the delta is not the next, or does not give its digest."""
    if (delta.session, delta.start, delta.to) != (held.session, held.serial, held.serial + 1):
        raise NotASnapshot(f"the delta from {delta.start} to {delta.to} does not follow {held.serial}")
    removed = [removal["network"] for removal in delta.removed]
    after = held.replay(delta.to, datetime.now(UTC), delta.added, removed)
    if after.digest != delta.digest:
        raise NotASnapshot(f"the delta to {delta.to} does not give its digest")
    return after
