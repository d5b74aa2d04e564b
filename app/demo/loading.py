"""Loads the sample register as its partners would: upload, follow, decide, wait for the publication."""

import time
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.demo.sample import Batch, Sample

POLL_SECONDS = 0.2
GIVE_UP_SECONDS = 300


class Caller:
    """Calls the API with one client's token, and gets a new one when it has expired."""

    def __init__(self, base_url: str, credentials: dict[str, str]) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=120)
        self._form = {"grant_type": "client_credentials", **credentials}
        self._authorise()

    def _authorise(self) -> None:
        token = self._http.post("/oauth/token", data=self._form).raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def _call(self, method: str, path: str, **body: Any) -> Any:
        answer = self._http.request(method, path, **body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._authorise()
            answer = self._http.request(method, path, **body)
        return answer.raise_for_status().json()

    def get(self, path: str) -> Any:
        """The JSON of a GET; raises ``httpx.HTTPStatusError``."""
        return self._call("GET", path)

    def post(self, path: str, **body: Any) -> Any:
        """The JSON of a POST; raises ``httpx.HTTPStatusError``."""
        return self._call("POST", path, **body)


def upload_and_follow(caller: Caller, body: bytes, progress: Progress, label: str, *, dry_run: bool = False) -> Any:
    """Upload a CSV file and follow it with a progress bar to its end; gives the upload as it then is."""
    task = progress.add_task(label, total=None)
    path = f"/v1/bulk-uploads?dry_run={str(dry_run).lower()}"
    upload = caller.post(path, content=body, headers={"Content-Type": "text/csv"})
    while upload["status"] in ("received", "processing"):
        time.sleep(POLL_SECONDS)
        upload = caller.get(f"/v1/bulk-uploads/{upload['id']}")
        progress.update(task, total=upload["counts"]["total"], completed=upload["rows_done"])
    return upload


def progress_bar(console: Console) -> Progress:
    """A progress bar of rows."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def load_sample(base_url: str, clients: dict[str, dict[str, str]], console: Console) -> tuple[int, float]:
    """Register, approve and publish the whole sample; gives the networks in the feed and the seconds it took.

    Done again after an interruption, it finds what is there unchanged and goes on.
    """
    sample = list(Sample().files())
    began = time.monotonic()
    officer = Caller(base_url, clients["pta-officer-1"])
    with progress_bar(console) as progress:
        expected = sum(_upload(base_url, clients, batch, body, progress) for batch, body in sample)
    for upload in officer.get("/v1/bulk-uploads?limit=500")["items"]:
        selection = {"bulk_upload_id": upload["id"], "status": "submitted"}
        officer.post("/v1/review-decisions/batch", json={"selection": selection, "action": "approve"})
    _wait_for_publication(officer, expected)
    return expected, time.monotonic() - began


def _upload(base_url: str, clients: dict[str, dict[str, str]], batch: Batch, body: bytes, progress: Progress) -> int:
    caller = Caller(base_url, clients[batch.partner])
    done = upload_and_follow(caller, body, progress, f"{batch.partner}: {batch.name}.csv")
    return int(done["counts"]["created"] + done["counts"]["unchanged"])


def _wait_for_publication(caller: Caller, expected: int) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        newest = caller.get("/v1/allowlist/publications?limit=1")["items"]
        if newest and newest[0]["count"] >= expected:
            return
        time.sleep(POLL_SECONDS)
    raise TimeoutError("the publication did not come; see the worker's log")
