"""Loading of the sample register through the API: upload, follow, approve, wait for the publication."""

import io
import time
from collections.abc import Mapping

from rich.console import Console

from app.bulk_uploads.rules import UploadFormat
from app.demo.sample import Sample, SampleUpload
from app.uploader.client import ServiceClient
from app.uploader.progress import Progress
from app.uploader.source import Source
from app.uploader.upload import follow, send

POLL_SECONDS = 0.2
TIMEOUT_SECONDS = 300


def load_sample(base_url: str, clients: dict[str, dict[str, str]], console: Console) -> tuple[int, float]:
    """Register, approve and publish the sample; return the number of networks and the seconds it took.

    It can be repeated after an interruption. Raises ``TimeoutError`` when the publication does not appear.
    """
    files = list(Sample().files())
    began = time.monotonic()
    with Progress(console) as progress:
        expected = sum(register(base_url, clients, upload, body, progress) for upload, body in files)
    with client_of(base_url, clients["pta-officer-1"]) as officer:
        for upload in officer.get("/v1/bulk-uploads?limit=500").json()["items"]:
            selection = {"bulk_upload_id": upload["id"], "status": "submitted"}
            decision = {"selection": selection, "action": "approve", "including_flags": ["outside_country"]}
            officer.post(
                "/v1/review-decisions/batch", json=decision
            )  # operators announce some prefixes of other registries
        _wait_for_publication(officer, expected)
    return expected, time.monotonic() - began


def client_of(base_url: str, credentials: Mapping[str, str]) -> ServiceClient:
    """Return a client of the service with the credentials of a demo client."""
    return ServiceClient(base_url, (credentials["client_id"], credentials["client_secret"]))


def register(
    base_url: str, clients: Mapping[str, Mapping[str, str]], upload: SampleUpload, body: bytes, progress: Progress
) -> int:
    """Send an upload, follow it to its end, and return how many of its rows are registered."""
    source = Source(f"{upload.partner}: {upload.name}.csv", lambda: io.BytesIO(body), UploadFormat.CSV)
    with client_of(base_url, clients[upload.partner]) as client:
        done = follow(client, send(client, source, progress), progress, source.name)
    return int(done["counts"]["created"] + done["counts"]["unchanged"])


def _wait_for_publication(client: ServiceClient, expected: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        newest = client.get("/v1/allowlist/publications?limit=1").json()["items"]
        if newest and newest[0]["count"] >= expected:
            return
        time.sleep(POLL_SECONDS)
    raise TimeoutError("No publication of the sample; see the worker's log.")
