"""One upload: send a file, follow it to its end, fetch what was refused."""

import os
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from app.bulk_uploads.rules import UploadStatus
from app.uploader.client import ServiceClient
from app.uploader.progress import Progress
from app.uploader.source import Source

UPLOADS = "/v1/bulk-uploads"
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.2, 2.0
SLOWER = 1.1
UNDER_WAY = (UploadStatus.RECEIVED, UploadStatus.PROCESSING)


def send(
    client: ServiceClient, source: Source, progress: Progress, *, dry_run: bool = False, key: str | None = None
) -> Any:
    """Upload a file and give the upload as it was taken; ``key`` is its ``Idempotency-Key``, else a random one.

    Raises ``Refused`` or ``Unreachable``, and ``OSError`` when the file cannot be read.
    """
    size, digest = source.measured()
    headers = {"Content-Type": source.media_type, "Content-Length": str(size), "Content-Digest": digest}
    if source.encoding:
        headers["Content-Encoding"] = source.encoding
    if key:
        headers["Idempotency-Key"] = key

    def content() -> Iterator[bytes]:
        done = 0
        for piece in source.pieces():
            yield piece
            done += len(piece)
            progress.sent(source.name, done, size)

    return client.post(f"{UPLOADS}?dry_run={str(dry_run).lower()}", headers, content)


def follow(client: ServiceClient, upload: Any, progress: Progress, name: str) -> Any:
    """The upload as it is at its end, shown on the way there. Raises ``Refused`` or ``Unreachable``."""
    pause, etag, held_up = FIRST_POLL_SECONDS, "", None
    while True:
        progress.rows(name, upload["rows_done"], upload["counts"]["total"])
        if upload["status"] not in UNDER_WAY:
            return upload
        if upload["problem"] and upload["problem"] != held_up:
            held_up = upload["problem"]
            progress.tell(held_up["detail"])
        time.sleep(pause)
        pause = min(LONGEST_POLL_SECONDS, pause * SLOWER)
        answer = client.get(f"{UPLOADS}/{upload['id']}", **({"If-None-Match": etag} if etag else {}))
        if answer.status_code != httpx.codes.NOT_MODIFIED:
            upload, etag = answer.json(), answer.headers.get("ETag", "")


def fetch(client: ServiceClient, upload_id: str) -> Any:
    """An upload that is there. Raises ``Refused`` or ``Unreachable``."""
    return client.get(f"{UPLOADS}/{upload_id}").json()


def save(client: ServiceClient, upload_id: str, export: str, out: Path) -> None:
    """Write an upload's ``problems.csv`` or ``refused.csv`` to ``out``, whole or not at all, for its owner alone.

    Raises ``Refused``, ``Unreachable`` or ``OSError``.
    """
    beside = out.with_name(f"{out.name}.part")
    client.download(f"{UPLOADS}/{upload_id}/{export}", partial(_write, beside))
    beside.replace(out)


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.writelines(pieces)
