"""The command ``follow``: its options, messages and exit codes."""

import shlex
import signal
import socket
from pathlib import Path
from typing import Annotated, Literal

import httpx
import typer

from app.allowlist.formats import FormatName
from app.cli.transaction import stderr
from app.follower.command import REFRESH_SECONDS, TIMEOUT_SECONDS, Command
from app.follower.follower import FAILURES, Follower

COMMAND_FAILED = 1
CHECKPOINT_MISMATCH = 3
DEFAULT_FORMAT = FormatName("text")
FAMILIES: dict[str, Literal[4, 6]] = {"4": 4, "6": 6}


def _check_command(command: str | None) -> str | None:
    """Refuse a command line that cannot be split into arguments."""
    try:
        if command is None or shlex.split(command):
            return command
    except ValueError:
        raise typer.BadParameter("A quotation mark is not closed.") from None
    raise typer.BadParameter("The command is empty. Leave --exec out to run none.")


def follow(
    out: Annotated[Path, typer.Option(help="The file to keep up to date")],
    url: Annotated[str, typer.Option(envvar="PUBLIC_URL", help="URL of the service")] = "http://127.0.0.1:8000",
    client_id: Annotated[str, typer.Option(envvar="CLIENT_ID", help="Your client's id")] = "",
    client_secret: Annotated[str, typer.Option(envvar="CLIENT_SECRET", help="Prefer the environment variable")] = "",
    format_: Annotated[FormatName, typer.Option("--format", help="Format of the file")] = DEFAULT_FORMAT,
    family: Annotated[Literal["4", "6"] | None, typer.Option(help="Write the networks of IPv4 or IPv6 alone")] = None,
    aggregate: Annotated[
        bool, typer.Option("--aggregate", help="Write the fewest networks that cover exactly the list's addresses")
    ] = False,
    command: Annotated[
        str | None,
        typer.Option(
            "--exec",
            callback=_check_command,
            help="Command to run at the start, after each change, and again until it succeeds; it runs without a shell",
        ),
    ] = None,
    exec_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which the command is killed, with all that it started")
    ] = TIMEOUT_SECONDS,
    refresh: Annotated[
        float, typer.Option(min=0, help="Seconds from a successful run of the command to the next; 0: only on changes")
    ] = REFRESH_SECONDS,
    enforcer: Annotated[
        str,
        typer.Option(
            help="Name under which lists are confirmed that the command has loaded; needs the scope allowlist:confirm"
        ),
    ] = socket.gethostname(),
    once: Annotated[bool, typer.Option("--once", help="Update the file, run the command, and exit")] = False,
) -> None:
    """Keep a local file up to date with the allowlist; on any failure the last good file stays.

    The command gets ALLOWLIST_FILE and ALLOWLIST_SERIAL in its environment. While it fails it is run again after 1, 2,
    5, 10, 30 and 60 seconds, also while the service is away.

    With --once, exit code 1 means that the file was not updated or the command failed, and 3 that checkpoints of the
    event log contradict each other: it was rewritten or forked.
    """
    loading = Command(shlex.split(command), exec_timeout, refresh) if command else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the command ends with this process
    try:
        follower = Follower(
            url,
            (client_id, client_secret),
            out,
            format_.value,
            family and FAMILIES[family],
            aggregate,
            loading,
            enforcer=enforcer,
        )
        if not once:
            follower.run()
        _report(follower, has_succeeded=follower.run_once())
    except KeyboardInterrupt:
        return
    except (*FAILURES, httpx.InvalidURL) as failure:
        stderr.print(f"The last good list stays: {failure}", markup=False)
        raise typer.Exit(1) from None


def _report(follower: Follower, *, has_succeeded: bool) -> None:
    """Print what is wrong although the list is up to date, and exit with its code."""
    if follower.inconsistency:
        stderr.print(f"The list is up to date, but {follower.inconsistency}", markup=False)
    if not has_succeeded:
        stderr.print("The list is up to date, but the command failed. It is run again at the next start.", markup=False)
        raise typer.Exit(COMMAND_FAILED)
    if follower.inconsistency:
        raise typer.Exit(CHECKPOINT_MISMATCH)
