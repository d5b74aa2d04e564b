"""The operator's command that loads the list: when it is due, and its run within a time limit."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import structlog

TIMEOUT_SECONDS = 300.0
REFRESH_SECONDS = 3600.0
RETRY_SECONDS = (1, 2, 5, 10, 30, 60)
GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL
log = structlog.get_logger(__name__)


@dataclass
class Command:
    """A command and the time of its next run, in seconds of ``time.monotonic``.

    It is due at once when it was never run: a process that starts cannot know what was loaded before, since a machine
    that was restarted has lost it and a run that was killed may not have ended. It is due again ``refresh`` seconds
    after a success (0: never), and after growing pauses while it fails. After ``timeout`` seconds it is killed with all
    processes of its group.
    """

    arguments: Sequence[str]
    timeout: float = TIMEOUT_SECONDS
    refresh: float = REFRESH_SECONDS
    due_at: float = field(default=float("-inf"), init=False)
    failures: int = field(default=0, init=False)

    @property
    def is_due(self) -> bool:
        """True when it is to be run now."""
        return self.seconds_until_due <= 0

    @property
    def seconds_until_due(self) -> float:
        """Seconds until the next run; negative when it is late."""
        return self.due_at - time.monotonic()

    def owe(self) -> None:
        """Make it due now, as after a change of the list."""
        self.due_at = float("-inf")

    def run(self, variables: Mapping[str, str]) -> bool:
        """Run it with these environment variables besides this process's own; return whether it succeeded."""
        failure = self._attempt({**os.environ, **variables})
        if failure is not None:
            return self.postpone(failure)
        self.failures = 0
        self.due_at = time.monotonic() + self.refresh if self.refresh else float("inf")
        return True

    def postpone(self, reason: str) -> Literal[False]:
        """Count a failure for this reason, and make it due after a pause; return False."""
        pause = RETRY_SECONDS[min(self.failures, len(RETRY_SECONDS) - 1)]
        self.failures += 1
        self.due_at = time.monotonic() + pause
        log.warning("the command failed and will be run again", reason=reason, failures=self.failures, seconds=pause)
        return False

    def _attempt(self, environment: Mapping[str, str]) -> str | None:
        """Run it once; return the reason of a failure, or None."""
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command
                self.arguments, env=environment, stdin=subprocess.DEVNULL, process_group=0
            )
        except (OSError, ValueError) as failure:
            return f"it could not be started: {failure}"
        try:
            code = process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            return f"it did not end within {self.timeout:g} seconds and was killed"
        except BaseException:  # this process is asked to end
            _kill_group(process)
            raise
        if code < 0:
            return f"it was killed by signal {-code}"
        return f"it ended with exit code {code}" if code else None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started, first by SIGTERM."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError):  # also those that outlive the first process
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
