"""``app.cli upload``: what is typed, what is shown, and the exit code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import typer
from rich.console import Console

from app.bulk_uploads.rules import UploadFormat, UploadStatus
from app.uploader import upload as uploading
from app.uploader.client import PATIENCE_SECONDS, Refused, ServiceClient, Unreachable
from app.uploader.progress import Progress
from app.uploader.source import Source, UnknownFormat

SETTINGS_WRONG = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)
console = Console(stderr=True, soft_wrap=True)


class ExitCode(IntEnum):
    """What a script learns from the end of the program."""

    TAKEN = 0
    ROWS_REFUSED = 1
    USAGE = 2
    FILE_REFUSED = 3
    UNREACHABLE = 4
    INTERRUPTED = 130


class Usage(Exception):
    """What was typed makes no sense."""


@dataclass
class Wanted:
    """What was typed, but for where the service is."""

    file: Path | None
    watch: str | None
    upload_format: UploadFormat | None
    gzip: bool
    dry_run: bool
    detach: bool
    problems: Path | None
    refused: Path | None
    key: str | None


def upload(
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="CSV, NDJSON or XLSX; also as .gz or .zst")
    ] = None,
    url: Annotated[str, typer.Option(envvar="PUBLIC_URL", help="Where the service is")] = "http://127.0.0.1:8000",
    client_id: Annotated[str, typer.Option(envvar="CLIENT_ID", help="Your client's id")] = "",
    client_secret: Annotated[str, typer.Option(envvar="CLIENT_SECRET", help="Better given by the environment")] = "",
    watch: Annotated[str | None, typer.Option(help="Follow an upload that is there, by its id or address")] = None,
    format_: Annotated[UploadFormat | None, typer.Option("--format", help="When the file's name does not say")] = None,
    gzip: Annotated[bool, typer.Option("--gzip", help="Pack the file on its way")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge every row and register none")] = False,
    detach: Annotated[bool, typer.Option("--detach", "--no-follow", help="Exit once the file was received")] = False,
    problems: Annotated[Path | None, typer.Option(help="Write what is wrong, line by line, to this CSV file")] = None,
    refused: Annotated[Path | None, typer.Option(help="Write the refused rows to this CSV file")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same again: the same upload, not another")] = None,
    give_up: Annotated[float, typer.Option(help="Seconds to try again while nobody answers")] = PATIENCE_SECONDS,
) -> None:
    """Upload a file of registrations and follow it to its end.

    Exits with 0 when every row was taken, 1 when rows were refused, 2 for wrong usage or credentials, 3 when the file
    as a whole was refused, 4 when the service could not be reached, 130 when interrupted.
    """
    wanted = Wanted(file, watch, format_, gzip, dry_run, detach, problems, refused, idempotency_key)
    with _explained(), Progress(console) as progress:
        at, watched = _watched(watch, url)
        _check(wanted, at, client_id, client_secret)
        with ServiceClient(at, (client_id, client_secret), patience=give_up, tell=progress.tell) as client:
            done = _carried_out(client, wanted, watched, progress)
    raise typer.Exit(_told(done))


@contextmanager
def _explained() -> Iterator[None]:
    """Ends the program with what went wrong in words, and the code for it."""
    try:
        yield
    except (Usage, UnknownFormat, OSError, httpx.InvalidURL) as wrong:
        code, said = ExitCode.USAGE, str(wrong)
    except Refused as refused:
        code = ExitCode.USAGE if refused.status in SETTINGS_WRONG else ExitCode.FILE_REFUSED
        said = str(refused)
    except Unreachable as away:
        code, said = ExitCode.UNREACHABLE, f"{away}. Given up; try again later."
    except KeyboardInterrupt:
        code, said = ExitCode.INTERRUPTED, "Interrupted. What was not received whole changes nothing."
    else:
        return
    console.print(said, markup=False, highlight=False)
    raise typer.Exit(code)


def _check(wanted: Wanted, url: str, client_id: str, client_secret: str) -> None:
    if (wanted.file is None) == (wanted.watch is None):
        raise Usage("Give a file to upload, or --watch with an upload that is there.")
    if wanted.detach and (wanted.problems or wanted.refused):
        raise Usage("--problems and --refused need the upload's end: leave --detach out, or use --watch later.")
    if urlsplit(url).scheme not in ("http", "https"):
        raise Usage(f"{url} is no address of a service: say --url https://register.example.")
    if not client_id or not client_secret:
        raise Usage("Give your client's id and secret: CLIENT_ID and CLIENT_SECRET in the environment.")


def _watched(watch: str | None, url: str) -> tuple[str, str]:
    """Where the service is and the id of the upload to follow, or nothing."""
    if watch is None:
        return url, ""
    there = urlsplit(watch)
    try:
        upload_id = str(UUID(there.path.rstrip("/").rpartition("/")[2]))
    except ValueError:
        raise Usage(f"{watch} is neither an upload's id nor its address.") from None
    return (f"{there.scheme}://{there.netloc}" if there.netloc else url), upload_id


def _carried_out(client: ServiceClient, wanted: Wanted, watched: str, progress: Progress) -> Any:
    if wanted.file:
        name = wanted.file.name
        source = Source.of(wanted.file, wanted.upload_format, gzip=wanted.gzip)
        done = uploading.send(client, source, progress, dry_run=wanted.dry_run, key=wanted.key)
    else:
        name, done = watched, uploading.fetch(client, watched)
    if wanted.detach:
        return done
    try:
        done = uploading.follow(client, done, progress, name)
    except (KeyboardInterrupt, Unreachable):
        progress.tell(f"The upload goes on by itself. To follow it again: --url {client.url} --watch {done['id']}")
        raise
    for export, out in (("problems.csv", wanted.problems), ("refused.csv", wanted.refused)):
        if out:
            uploading.save(client, done["id"], export, out)
    return done


def _told(done: Any) -> ExitCode:
    """Say how an upload stands: one line of JSON for a script, sentences for a person."""
    typer.echo(json.dumps({"id": done["id"], "status": done["status"], **done["counts"]}))
    if done["status"] == UploadStatus.FAILED:
        problem = done["problem"]
        wrong = [f"  {each['pointer']}: {each['detail']}" for each in problem.get("errors") or []]
        console.print("\n".join([problem["detail"], *wrong]), markup=False, highlight=False)
        return ExitCode.FILE_REFUSED
    if done["counts"]["refused"]:
        said = f"{done['counts']['refused']} rows were refused. Why: /v1/bulk-uploads/{done['id']}/problems.csv,"
        console.print(f"{said} or --watch {done['id']} --problems OUT.csv", markup=False, highlight=False)
        return ExitCode.ROWS_REFUSED
    return ExitCode.TAKEN
