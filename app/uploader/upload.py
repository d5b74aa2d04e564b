"""Operations of one upload: send a file, follow its processing, download its exports."""

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
FIRST_POLL_SECONDS, MAX_POLL_SECONDS = 0.2, 2.0
POLL_BACKOFF = 1.1
UNFINISHED = (UploadStatus.RECEIVED, UploadStatus.PROCESSING)


def send(
    client: ServiceClient, source: Source, progress: Progress, *, dry_run: bool = False, key: str | None = None
) -> Any:
    """Send a file and return the upload; ``key`` is its ``Idempotency-Key``, by default a random one.

    Raises ``Refused`` or ``Unreachable``, and ``OSError`` when the file cannot be read.
    """
    size, digest = source.size_and_digest()
    headers = {"Content-Type": source.media_type, "Content-Length": str(size), "Content-Digest": digest}
    if source.encoding:
        headers["Content-Encoding"] = source.encoding
    if key:
        headers["Idempotency-Key"] = key

    def content() -> Iterator[bytes]:
        done = 0
        for chunk in source.chunks():
            yield chunk
            done += len(chunk)
            progress.show_sent(source.name, done, size)

    return client.post(f"{UPLOADS}?dry_run={str(dry_run).lower()}", headers, content)


def follow(client: ServiceClient, upload: Any, progress: Progress, name: str) -> Any:
    """Poll an upload until it ends, show its progress, and return it. Raises ``Refused`` or ``Unreachable``."""
    pause, etag, problem = FIRST_POLL_SECONDS, "", None
    while True:
        progress.show_rows(name, upload["rows_done"], upload["counts"]["total"])
        if upload["status"] not in UNFINISHED:
            return upload
        if upload["problem"] and upload["problem"] != problem:
            problem = upload["problem"]
            progress.print(problem["detail"])
        time.sleep(pause)
        pause = min(MAX_POLL_SECONDS, pause * POLL_BACKOFF)
        answer = client.get(f"{UPLOADS}/{upload['id']}", **({"If-None-Match": etag} if etag else {}))
        if answer.status_code != httpx.codes.NOT_MODIFIED:
            upload, etag = answer.json(), answer.headers.get("ETag", "")


def fetch(client: ServiceClient, upload_id: str) -> Any:
    """Return an existing upload. Raises ``Refused`` or ``Unreachable``."""
    return client.get(f"{UPLOADS}/{upload_id}").json()


def save(client: ServiceClient, upload_id: str, export: str, path: Path) -> None:
    """Write ``problems.csv`` or ``refused.csv`` of an upload to ``path``, atomically, readable by its owner only.

    Raises ``Refused``, ``Unreachable`` or ``OSError``.
    """
    partial_path = path.with_name(f"{path.name}.part")
    client.download(f"{UPLOADS}/{upload_id}/{export}", partial(_write, partial_path))
    partial_path.replace(path)


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.writelines(chunks)
