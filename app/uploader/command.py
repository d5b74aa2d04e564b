"""The command ``app.cli upload``: its options, output and exit codes."""

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

from app.bulk_uploads.rules import Encoding, UploadFormat, UploadOptions, UploadStatus
from app.uploader import reports
from app.uploader import upload as uploading
from app.uploader.client import RETRY_SECONDS, Refused, ServiceClient, Unreachable
from app.uploader.progress import Progress
from app.uploader.source import FileChanged, Source, UnknownFormat

CONFIGURATION_ERRORS = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)
console = Console(stderr=True, soft_wrap=True)


class ExitCode(IntEnum):
    """Exit code of the command."""

    COMPLETED = 0
    ROWS_REFUSED = 1
    USAGE = 2
    FILE_REFUSED = 3
    UNREACHABLE = 4
    FILE_CHANGED = 5
    INTERRUPTED = 130


class UsageError(Exception):
    """The arguments and options contradict one another or are incomplete."""


@dataclass
class Options:
    """Arguments and options, other than the URL and credentials of the service."""

    file: Path | None
    watch: str | None
    upload_format: UploadFormat | None
    gzip: bool
    dry_run: bool
    upload: UploadOptions
    detach: bool
    problems: Path | None
    refused: Path | None
    receipts: Path | None
    key: str | None


def upload(
    file: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="A spreadsheet, CSV or NDJSON, also as .gz, .zst or .zip"),
    ] = None,
    url: Annotated[str, typer.Option(envvar="PUBLIC_URL", help="URL of the service")] = "http://127.0.0.1:8000",
    client_id: Annotated[str, typer.Option(envvar="CLIENT_ID", help="Your client id")] = "",
    client_secret: Annotated[str, typer.Option(envvar="CLIENT_SECRET", help="Better set in the environment")] = "",
    watch: Annotated[str | None, typer.Option(help="Follow an existing upload, by its id or URL")] = None,
    format_: Annotated[UploadFormat | None, typer.Option("--format", help="Default: by the name of the file")] = None,
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress the file for the transfer")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate every row and register none")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="A cell with - clears what is known of an applicant")] = False,
    rename: Annotated[bool, typer.Option("--rename", help="Take other names of known applicants")] = False,
    encoding: Annotated[Encoding | None, typer.Option(help="Of a text file that is not Unicode")] = None,
    ignore_column: Annotated[list[str] | None, typer.Option(help="Leave out this column; may be repeated")] = None,
    detach: Annotated[bool, typer.Option("--detach", "--no-follow", help="Exit once the file was received")] = False,
    problems: Annotated[Path | None, typer.Option(help="Write the problems of each line to this CSV file")] = None,
    refused: Annotated[Path | None, typer.Option(help="Write the refused rows to this CSV file")] = None,
    receipts: Annotated[Path | None, typer.Option(help="Write the receipts of new cases to this CSV file")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key again: no second upload")] = None,
    give_up: Annotated[float, typer.Option(help="Seconds of retries while the service is away")] = RETRY_SECONDS,
) -> None:
    """Upload a file of registrations and follow its processing.

    Exits with 0 when no row was refused, 1 when rows were refused or there are none, 2 for wrong usage or credentials,
    3 when the file as a whole was refused, 4 when the service could not be reached, 5 when the file changed before it
    was sent, 130 when interrupted.
    """
    upload_options = UploadOptions(clear, rename, encoding.value if encoding else None, ignore_column or ())
    exports = problems, refused, receipts
    options = Options(file, watch, format_, gzip, dry_run, upload_options, detach, *exports, idempotency_key)
    with _exit_on_error(), Progress(console) as progress:
        service_url, upload_id = _parse_watch(watch, url)
        _check(options, service_url, client_id, client_secret)
        credentials = client_id, client_secret
        with ServiceClient(service_url, credentials, retry_seconds=give_up, on_retry=progress.print) as client:
            done = _run(client, options, upload_id, progress)
            code = _report(client, done)
    raise typer.Exit(code)


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """Print the error that ends the block, and exit with its code."""
    try:
        yield
    except (UsageError, UnknownFormat, OSError, httpx.InvalidURL) as error:
        code, message = ExitCode.USAGE, str(error)
    except FileChanged as error:
        code, message = ExitCode.FILE_CHANGED, str(error)
    except Refused as error:
        code = ExitCode.USAGE if error.status in CONFIGURATION_ERRORS else ExitCode.FILE_REFUSED
        message = str(error)
    except Unreachable as error:
        code, message = ExitCode.UNREACHABLE, f"{error}. Try again later."
    except KeyboardInterrupt:
        code, message = ExitCode.INTERRUPTED, "Interrupted. A file that was not received completely changes nothing."
    else:
        return
    console.print(message, markup=False, highlight=False)
    raise typer.Exit(code)


def _check(options: Options, url: str, client_id: str, client_secret: str) -> None:
    if (options.file is None) == (options.watch is None):
        raise UsageError("Give a file to upload, or an existing upload with --watch.")
    if options.detach and (options.problems or options.refused or options.receipts):
        exports = "--problems, --refused and --receipts"
        raise UsageError(f"{exports} need a finished upload: omit --detach, or use --watch later.")
    if options.dry_run and options.receipts:
        raise UsageError("A dry run registers nothing, so that it has no receipts: omit --receipts.")
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{url} is not an HTTP URL: give one such as --url https://register.example.")
    if not client_id or not client_secret:
        raise UsageError("Set the client's id and secret as CLIENT_ID and CLIENT_SECRET in the environment.")


def _parse_watch(watch: str | None, url: str) -> tuple[str, str]:
    """Return the URL of the service and the id of the upload to follow, or an empty one."""
    if watch is None:
        return url, ""
    parts = urlsplit(watch)
    try:
        upload_id = str(UUID(parts.path.rstrip("/").rpartition("/")[2]))
    except ValueError:
        raise UsageError(f"{watch} is neither the id nor the URL of an upload.") from None
    return (f"{parts.scheme}://{parts.netloc}" if parts.netloc else url), upload_id


def _run(client: ServiceClient, options: Options, upload_id: str, progress: Progress) -> Any:
    """Send the file or fetch the upload ``upload_id``, follow it, write its exports, and return it."""
    if options.file:
        name = options.file.name
        source = Source.from_path(options.file, options.upload_format, gzip=options.gzip)
        done = uploading.send(
            client, source, progress, dry_run=options.dry_run, options=options.upload, key=options.key
        )
    else:
        name, done = upload_id, uploading.fetch(client, upload_id)
    if options.detach:
        return done
    try:
        done = uploading.follow(client, done, progress, name)
    except (KeyboardInterrupt, Unreachable):
        progress.print(f"The service goes on with the upload. To follow it: --url {client.url} --watch {done['id']}")
        raise
    exports = {"problems.csv": options.problems, "refused.csv": options.refused, "receipts.csv": options.receipts}
    for export, path in exports.items():
        if path:
            uploading.save(client, done["id"], export, path)
    return done


def _report(client: ServiceClient, done: Any) -> ExitCode:
    """Print an upload's result as one line of JSON on standard output, and in words on standard error."""
    typer.echo(json.dumps({"id": done["id"], "status": done["status"], **done["counts"]}))
    _say("\n".join(reports.notes(done)))
    if done["status"] == UploadStatus.FAILED:
        problem = done["problem"]
        errors = [f"  {each['pointer']}: {each['detail']}" for each in problem.get("errors") or []]
        _say("\n".join([problem["detail"], *errors]))
        return ExitCode.FILE_REFUSED
    if done["status"] != UploadStatus.COMPLETED:
        return ExitCode.COMPLETED  # with --detach
    if done["counts"]["refused"]:
        _say("\n".join(reports.refusals(done, *uploading.first_problems(client, done["id"], reports.PROBLEMS_SHOWN))))
        return ExitCode.ROWS_REFUSED
    if not done["counts"]["total"]:
        _say("The file has a header and no rows: nothing was registered.")
        return ExitCode.ROWS_REFUSED
    return ExitCode.COMPLETED


def _say(message: str) -> None:
    if message:
        console.print(message, markup=False, highlight=False)
