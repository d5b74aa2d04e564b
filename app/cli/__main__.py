"""What an operator of the service types."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import httpx
import typer
import uvicorn
from pydantic import ValidationError

from app.allowlist.formats import FormatName
from app.allowlist.serving.manifest import ManifestRefused
from app.audit.checkpoint import key_id
from app.audit.errors import VerificationFailed
from app.audit.schemas import Checkpoint
from app.audit.verification import VerificationResult, verify
from app.cli.clients import client_commands
from app.cli.transaction import errors, in_transaction, read_settings
from app.core.database import data_keys
from app.core.database.transaction import Transaction
from app.core.http.server_limits import allow_open_files, limited_protocol
from app.core.settings import Settings
from app.demo.stack import run_stack
from app.follower import FeedRefused, Follower
from app.main import create_app
from app.migrating import migrate as migrate_database
from app.partners import service, store
from app.uploader.command import upload
from app.worker import run_worker

CHECKPOINTS_DO_NOT_FIT = 3
DEFAULT_FORMAT = FormatName("text")
cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
key_commands = typer.Typer(no_args_is_help=True, help="Keys that sign and keys that seal.")
audit_commands = typer.Typer(no_args_is_help=True, help="The event log's proof.")
cli.add_typer(client_commands, name="client")
cli.add_typer(key_commands, name="key")
cli.add_typer(audit_commands, name="audit")
cli.command()(upload)


@cli.command()
def serve() -> None:
    """Serve the API until SIGTERM."""
    settings = read_settings()
    allow_open_files(settings)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        timeout_keep_alive=settings.keep_alive_seconds,
        http=limited_protocol(settings),
        ws="none",
    )


@cli.command()
def worker() -> None:
    """Publish, ingest uploads and expire approvals until SIGTERM."""
    run_worker(read_settings())


@cli.command()
def migrate() -> None:
    """Bring the database to this code: migrations, reference data, the first signing key."""
    asyncio.run(migrate_database(read_settings()))


@cli.command()
def run() -> None:
    """Everything on this machine, with an embedded PostgreSQL unless DATABASE_URL is set (`make run`)."""
    run_stack(
        Path(os.environ.get("DATA_DIR") or ".data"),
        os.environ.get("HOST") or "127.0.0.1",
        int(os.environ.get("PORT") or 8000),
        os.environ.get("DATABASE_URL") or None,
        sample=os.environ.get("SAMPLE", "1") != "0",
    )


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    settings = Settings(database_url="postgresql://unused", secret_key="unused" * 8)
    typer.echo(json.dumps(create_app(settings).openapi(), indent=2, ensure_ascii=False))


@cli.command()
def follow(
    out: Annotated[Path, typer.Option(help="The file to keep in step")],
    url: Annotated[str, typer.Option(envvar="PUBLIC_URL", help="Where the service is")] = "http://127.0.0.1:8000",
    client_id: Annotated[str, typer.Option(envvar="CLIENT_ID", help="Your client's id")] = "",
    client_secret: Annotated[str, typer.Option(envvar="CLIENT_SECRET", help="Better given by the environment")] = "",
    format_: Annotated[FormatName, typer.Option("--format", help="How the file is written")] = DEFAULT_FORMAT,
    command: Annotated[str | None, typer.Option("--exec", help="Run after each change")] = None,
    once: Annotated[bool, typer.Option("--once", help="Come into step and exit; 1 when it failed")] = False,
) -> None:
    """Keep a local file in step with the allowlist; the last good one stays whatever happens.

    With --once, 3 says that the event log's checkpoints do not fit: somebody rewrote the log, or forked it.
    """
    follower = Follower(url, (client_id, client_secret), out, format_.value, command)
    try:
        if once:
            follower.step()
        else:
            follower.run()
    except KeyboardInterrupt:
        return
    except (FeedRefused, ManifestRefused, httpx.HTTPError, OSError) as failure:
        errors.print(f"The last good list stays: {failure}", markup=False)
        raise typer.Exit(1) from None
    if follower.inconsistency:
        errors.print(f"The list is in step, but {follower.inconsistency}", markup=False)
        raise typer.Exit(CHECKPOINTS_DO_NOT_FIT)


@key_commands.command("rotate")
def rotate_key() -> None:
    """Sign tokens and manifests with a new key; the old one stays in the JWKS for a week."""

    async def work(tx: Transaction) -> str:
        return await service.rotate_signing_key(tx)

    typer.echo(f"Signing with {in_transaction(work)}, from ten seconds on.")


@key_commands.command("revoke", context_settings={"ignore_unknown_options": True})  # a kid may begin with a dash
def revoke_key(kid: Annotated[str, typer.Argument(help="Its id in /.well-known/jwks.json")]) -> None:
    """End a signing key that has leaked, everywhere and within seconds. There is no way back."""

    async def work(tx: Transaction) -> str:
        return await service.revoke_signing_key(tx, kid)

    signing = in_transaction(work)
    typer.echo(
        f"{kid} is revoked. It has left the key set. Within seconds no process takes a token that it signed: clients "
        f"get new ones. Manifests and the newest checkpoint are signed anew. Signing with {signing}."
    )


@key_commands.command("rotate-sealing")
def rotate_sealing() -> None:
    """Seal personal data with a new key; workers seal again what older ones had sealed."""

    async def work(tx: Transaction) -> int:
        return await data_keys.rotate(tx, tx.keyring)

    typer.echo(f"Sealing with key {in_transaction(work)}, from ten seconds on.")


@audit_commands.command("verify")
def verify_log(
    copy: Annotated[
        Path | None,
        typer.Option("--checkpoint", exists=True, dir_okay=False, help="An answer of GET /v1/audit/checkpoint, kept"),
    ] = None,
) -> None:
    """Make the tree over the event log again and compare. Prints the first difference and exits 1."""

    async def work(tx: Transaction) -> tuple[VerificationResult, frozenset[str]]:
        return await verify(tx, kept), await store.revoked_keys(tx)

    try:
        kept = Checkpoint.model_validate_json(copy.read_bytes()) if copy else None
        found, revoked = in_transaction(work)
    except ValidationError:
        errors.print(f"{copy} is not an answer of GET /v1/audit/checkpoint.", markup=False)
        raise typer.Exit(2) from None
    except VerificationFailed as difference:
        errors.print(str(difference), markup=False)
        raise typer.Exit(1) from None
    if kept and (signer := key_id(kept.signed)) in revoked:
        errors.print(f"{copy} is signed by {signer}, which was revoked: rely on who kept it, not on its signature.")
    told = {"erased": found.erased, "on_trust": found.on_trust}
    typer.echo(json.dumps({"size": found.tree.size, "root": found.tree.root().hex(), **told}))


if __name__ == "__main__":
    cli()
