"""An honest caller beside an attack: it asks for liveness, submits, and reports how long each answer took.

It runs in a process of its own, so that the attacker's work in the test's process is not counted as the service's.
Run as ``python -m tests.attacks.witness`` with a ``Brief`` as JSON on the first line of standard input; it goes on
until standard input ends and then writes a ``Report`` as JSON to standard output.
"""

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count

import httpx

PATIENCE_SECONDS = 30.0
LIVENESS_EVERY_SECONDS = 0.25
SUBMISSION_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Brief:
    """The URL of the service, and an association's client with an applicant for whom it submits."""

    url: str
    client_id: str
    client_secret: str
    applicant_id: str


@dataclass
class Report:
    """The seconds of each response, and the failures."""

    liveness: list[float] = field(default_factory=list)
    submissions: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def assert_served(self, liveness: float = 1.0, submission: float = 2.0) -> None:
        """Assert that every call was answered, within so many seconds."""
        assert not self.failures, self.failures[:5]
        assert self.liveness, "no liveness check was made during the attack"
        assert self.submissions, "no submission was made during the attack"
        assert max(self.liveness) < liveness, f"liveness took {max(self.liveness):.2f} s"
        assert max(self.submissions) < submission, f"a submission took {max(self.submissions):.2f} s"


@contextmanager
def witnessing(brief: Brief) -> Iterator[Report]:
    """Call the service beside the block; the report is complete when the block has ended."""
    report = Report()
    command = [sys.executable, "-m", "tests.attacks.witness"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(brief)) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n", "the witness did not get through to the service"
        try:
            yield report
        finally:
            process.stdin.close()
            told = process.stdout.read()
    measured = Report(**json.loads(told))
    report.liveness, report.submissions, report.failures = measured.liveness, measured.submissions, measured.failures


class _Witness:
    """Two callers, with a new connection for every call."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._hosts = count(secrets.randbelow(60_000))  # more than one may witness the same service
        self._token = self._log_in()
        self.report = Report()

    def _log_in(self) -> str:
        form = {"grant_type": "client_credentials"}
        secret = (self._brief.client_id, self._brief.client_secret)
        answer = httpx.post(f"{self._brief.url}/oauth/token", data=form, auth=secret, timeout=PATIENCE_SECONDS)
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    def ask_liveness(self) -> None:
        """``GET /health/live``."""
        self._measure(
            self.report.liveness, 200, lambda: httpx.get(f"{self._brief.url}/health/live", timeout=PATIENCE_SECONDS)
        )

    def submit(self) -> None:
        """Submit a registration of an address that nobody has."""
        number = next(self._hosts)
        body = {
            "applicant_id": self._brief.applicant_id,
            "track": "vpn_company",
            "purpose": "it_services",
            "protocol": "wireguard",
            "operator": "nayatel",
            "networks": [f"154.193.{number // 250 % 256}.{number % 250 + 1}"],
        }
        headers = {"Authorization": f"Bearer {self._token}"}
        url = f"{self._brief.url}/v1/registrations"
        self._measure(
            self.report.submissions, 201, lambda: httpx.post(url, json=body, headers=headers, timeout=PATIENCE_SECONDS)
        )

    def _measure(self, seconds: list[float], expected: int, call: Callable[[], httpx.Response]) -> None:
        began = time.monotonic()
        try:
            answer = call()
        except httpx.HTTPError as error:
            self.report.failures.append(f"{error!r} after {time.monotonic() - began:.2f} s")
            return
        if answer.status_code == expected:
            seconds.append(time.monotonic() - began)
        else:
            self.report.failures.append(f"{answer.status_code} {answer.text[:300]}")


def _repeat(call: Callable[[], None], every: float, ended: threading.Event) -> None:
    while not ended.is_set():
        call()
        ended.wait(every)


def main() -> None:
    """Witness until standard input ends."""
    witness = _Witness(Brief(**json.loads(sys.stdin.readline())))
    print("ready", flush=True)  # noqa: T201 - the protocol with the test's process
    ended = threading.Event()
    callers = [
        threading.Thread(target=_repeat, args=(witness.ask_liveness, LIVENESS_EVERY_SECONDS, ended)),
        threading.Thread(target=_repeat, args=(witness.submit, SUBMISSION_EVERY_SECONDS, ended)),
    ]
    for each in callers:
        each.start()
    sys.stdin.read()
    ended.set()
    for each in callers:
        each.join()
    print(json.dumps(asdict(witness.report)))  # noqa: T201 - the same


if __name__ == "__main__":
    main()
