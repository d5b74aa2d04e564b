"""Operations of one upload: send a file, follow its processing, download its exports."""

import os
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from app.bulk_uploads.problems import sentence
from app.bulk_uploads.rules import UploadOptions, UploadStatus
from app.uploader.client import Refused, ServiceClient
from app.uploader.progress import Progress
from app.uploader.source import Source

UPLOADS = "/v1/bulk-uploads"
FIRST_POLL_SECONDS, MAX_POLL_SECONDS = 0.2, 2.0
POLL_BACKOFF = 1.1
NO_OPTIONS = UploadOptions()
UNFINISHED = (UploadStatus.RECEIVED, UploadStatus.PROCESSING)


def send(
    client: ServiceClient,
    source: Source,
    progress: Progress,
    *,
    dry_run: bool = False,
    options: UploadOptions = NO_OPTIONS,
    key: str | None = None,
) -> Any:
    """Send a file and return the upload; ``key`` is its ``Idempotency-Key``, by default a random one.

    Raises ``Refused`` or ``Unreachable``, ``FileChanged`` when the file changes before it was sent, and ``OSError``
    when it cannot be read.
    """
    reading = source.read()
    headers = {
        "Content-Type": source.media_type,
        "Content-Length": str(reading.size),
        "Content-Digest": reading.content_digest,
    }
    if source.encoding:
        headers["Content-Encoding"] = source.encoding
    if key:
        headers["Idempotency-Key"] = key

    def content() -> Iterator[bytes]:
        done = 0
        for chunk in source.chunks_of(reading):
            yield chunk
            done += len(chunk)
            progress.show_sent(source.name, done, reading.size)

    return client.post(f"{UPLOADS}?{_query(dry_run, options)}", headers, content)


def _query(dry_run: bool, options: UploadOptions) -> str:
    given = {"dry_run": dry_run, **options._asdict()}
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items() if value}
    return urlencode(texts, doseq=True)


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


def first_problems(client: ServiceClient, upload_id: str, limit: int) -> tuple[list[str], bool]:
    """Return the first ``limit`` problems of an upload as sentences, and True when there are more.

    Those of an old dry run are not kept. Raises ``Refused`` or ``Unreachable``.
    """
    try:
        page = client.get(f"{UPLOADS}/{upload_id}/rows?outcome=refused&limit={limit}").json()
    except Refused as refused:
        if refused.status != httpx.codes.GONE:
            raise
        return [], False
    found = [sentence(problem) for row in page["items"] for problem in row["problems"]]
    return found[:limit], len(found) > limit or page["next_cursor"] is not None


def save(client: ServiceClient, upload_id: str, export: str, path: Path) -> None:
    """Write an export of an upload, such as ``receipts.csv``, to ``path``, atomically, readable by its owner only.

    Raises ``Refused``, ``Unreachable`` or ``OSError``.
    """
    partial_path = path.with_name(f"{path.name}.part")
    client.download(f"{UPLOADS}/{upload_id}/{export}", partial(_write, partial_path))
    partial_path.replace(path)


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # of a file that an interrupted run left, too
        file.writelines(chunks)
