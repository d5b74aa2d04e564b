"""Keeping of a local list: a loop of updates, waits, and runs of the operator's command."""

import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import structlog

from app.allowlist.serving.manifest import Manifest, ManifestRefused
from app.allowlist.snapshot import Snapshot
from app.follower.command import Command
from app.follower.confirmations import Confirmations
from app.follower.feed_client import WAIT_SECONDS, FeedClient, FeedRefused
from app.follower.list_file import ListFile
from app.witness import InconsistentCheckpoint, Witness

RETRY_SECONDS = (1, 2, 5, 10, 30)
FAILURES = (FeedRefused, ManifestRefused, httpx.HTTPError, OSError)
log = structlog.get_logger(__name__)


@dataclass
class Follower:
    """Writes the list of the feed at ``base_url`` to the file ``out`` in ``format``.

    ``credentials`` are a client's id and secret. ``family`` (4, 6) and ``aggregate`` shape the file, not what is
    verified. ``enforcer`` is the name under which it confirms what the command has loaded. Beside ``out`` are
    ``out.feed``, the whole list as JSON, and ``out.checkpoints``, the checkpoints of the event log. ``inconsistency``
    says why the last checkpoint is inconsistent with the stored ones, if it is.
    """

    base_url: str
    credentials: tuple[str, str]
    out: Path
    format: str = "text"
    family: Literal[4, 6] | None = None
    aggregate: bool = False
    command: Command | None = None
    transport: httpx.BaseTransport | None = None
    enforcer: str = field(default_factory=socket.gethostname)
    inconsistency: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Create the HTTP client, and load the list of the last run if it is undamaged."""
        self._feed = FeedClient(self.base_url, self.credentials, self.transport)
        self._file = ListFile(self.out, self.format, self.family, aggregate=self.aggregate)
        self._confirmations = Confirmations(self._feed, self.enforcer)
        self._witness = Witness(self.out.with_name(f"{self.out.name}.checkpoints"), self._feed.fetch_proof)

    @property
    def snapshot(self) -> Snapshot | None:
        """The list in ``out``."""
        return self._file.snapshot

    def run(self) -> None:
        """Run until interrupted; after a failure the last valid file stays, and the step is retried."""
        failures = 0
        while True:
            try:
                self.step()
                self.run_command()
                self._confirmations.send()
                if self.snapshot:
                    self._feed.wait_for_newer(self.snapshot, self._seconds_until_command(WAIT_SECONDS))
                failures = 0
            except FAILURES as failure:
                log.warning("keeping the last valid list", reason=str(failure)[:300])
                self.run_command()
                time.sleep(self._seconds_until_command(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]))
                failures += 1

    def run_once(self) -> bool:
        """Update the file and run the command; return whether the command succeeded or there is none.

        Raises as ``step`` does; then the command was run with the last valid list, if there is one.
        """
        try:
            self.step()
        except FAILURES:
            self.run_command()
            raise
        has_succeeded = self.run_command()
        self._confirmations.send()
        return has_succeeded

    def step(self) -> bool:
        """Update the file to the feed's manifest; return True when it was written.

        Raises ``FeedRefused``, ``ManifestRefused``, ``httpx.HTTPError`` or ``OSError``, and then leaves the file as it
        was, unless only the list beside it could not be stored.
        """
        manifest = self._feed.fetch_manifest(self.snapshot)
        try:
            return self._update(manifest)
        finally:
            self._observe_checkpoint(manifest.audit_checkpoint)

    def run_command(self) -> bool:
        """Run the command if it is due and there is a list; return False when it failed.

        A file that does not have the last valid list is written first, also while the feed is out of reach.
        """
        if self.command is None or self.snapshot is None or not self.command.is_due:
            return True
        try:
            if not self._file.is_written:
                self._write(self.snapshot)
        except OSError as failure:
            if not self._file.is_written:
                return self.command.postpone(f"its file could not be written: {failure}")
        variables = {"ALLOWLIST_FILE": str(self.out), "ALLOWLIST_SERIAL": str(self.snapshot.serial)}
        has_succeeded = self.command.run(variables)
        if has_succeeded:
            self._confirmations.note(self.snapshot)
        return has_succeeded

    def _update(self, manifest: Manifest) -> bool:
        current = self.snapshot
        identity = (manifest.session, manifest.serial, manifest.digest)
        if current and (current.session, current.serial, current.digest) == identity and self._file.is_current:
            return False
        self._write(self._feed.fetch_list(manifest, current))
        return True

    def _write(self, fresh: Snapshot) -> None:
        try:
            self._file.write(fresh)
        finally:
            if self.command and self.snapshot is fresh:  # the file is replaced, whatever failed after it
                self.command.owe()
        log.info("list updated", serial=fresh.serial, count=fresh.count, digest=fresh.digest)

    def _seconds_until_command(self, seconds: float) -> float:
        """``seconds``, or fewer when the command is due before."""
        return min(seconds, max(0.0, self.command.seconds_until_due)) if self.command and self.snapshot else seconds

    def _observe_checkpoint(self, signed: str | None) -> None:
        """Pass a checkpoint to the witness; no error of it keeps the list from being followed."""
        if signed is None:
            return
        try:
            self._witness.observe(signed, self._feed.verify_checkpoint(signed))
        except InconsistentCheckpoint as wrong:
            self.inconsistency = str(wrong)
            log.error("checkpoints of the event log are inconsistent", reason=self.inconsistency)  # noqa: TRY400 - not a fault of this program
        except (httpx.HTTPError, FeedRefused, OSError) as failure:
            log.warning("a checkpoint of the event log could not be stored", reason=str(failure)[:300])
        else:
            self.inconsistency = None
