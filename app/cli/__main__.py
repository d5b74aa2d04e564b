"""Operate the IP registration service."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError

from app.allowlist import service as allowlist
from app.audit.checkpoint import key_id
from app.audit.errors import VerificationFailed
from app.audit.schemas import Checkpoint
from app.audit.verification import VerificationResult, verify
from app.cli.clients import client_commands
from app.cli.follow import follow
from app.cli.listen import event_commands, webhook_commands
from app.cli.transaction import fail_by, find_settings, read_settings, run_in_transaction, stderr
from app.core.database import data_keys
from app.core.database.transaction import Transaction
from app.core.http.server_limits import allow_open_files, limited_protocol
from app.core.settings import Settings
from app.demo.settings_file import data_dir
from app.demo.stack import run_stack
from app.main import create_app
from app.migrating import migrate as migrate_database
from app.partners import service, store
from app.uploader.command import upload
from app.worker import run_worker

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
key_commands = typer.Typer(no_args_is_help=True, help="Signing keys and data keys.")
feed_commands = typer.Typer(no_args_is_help=True, help="The feed of the allowlist.")
audit_commands = typer.Typer(no_args_is_help=True, help="Verification of the event log.")
cli.add_typer(client_commands, name="client")
cli.add_typer(key_commands, name="key")
cli.add_typer(audit_commands, name="audit")
cli.add_typer(feed_commands, name="feed")
cli.add_typer(event_commands, name="events")
cli.add_typer(webhook_commands, name="webhooks")
cli.command()(upload)
cli.command()(follow)


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
    """Run a worker (publications, uploads, webhooks, expiry) until SIGTERM."""
    run_worker(read_settings())


@cli.command()
def migrate() -> None:
    """Migrate the database, load reference data, and create the first signing key."""
    settings = read_settings()
    try:
        asyncio.run(migrate_database(settings))
    except Exception as fault:
        fail_by(fault)
        raise


@cli.command()
def run() -> None:
    """Run the whole service on this machine, with an embedded PostgreSQL unless DATABASE_URL is set (`make run`)."""
    run_stack(
        data_dir(),
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


@key_commands.command("rotate")
def rotate_key() -> None:
    """Sign tokens and manifests with a new key; the previous one stays in the JWKS for a week."""

    async def work(tx: Transaction) -> str:
        return await service.rotate_signing_key(tx, find_settings().signing_algorithm)

    typer.echo(f"Signing with {run_in_transaction(work)} in ten seconds.")


@key_commands.command("revoke", context_settings={"ignore_unknown_options": True})  # a kid may begin with a dash
def revoke_key(kid: Annotated[str, typer.Argument(help="The key's id in /.well-known/jwks.json")]) -> None:
    """Revoke a leaked signing key in every process within seconds. This is final."""

    async def work(tx: Transaction) -> str:
        return await service.revoke_signing_key(tx, kid, find_settings().signing_algorithm)

    signing = run_in_transaction(work)
    typer.echo(
        f"{kid} is revoked and removed from the key set. Within seconds no process accepts a token that it signed, and "
        f"clients must get new ones. Manifests and the newest checkpoint are signed again. Signing with {signing}."
    )


@key_commands.command("rotate-sealing")
def rotate_sealing() -> None:
    """Seal personal data with a new data key; workers seal again what older keys sealed."""

    async def work(tx: Transaction) -> int:
        return await data_keys.rotate(tx, tx.keyring)

    typer.echo(f"Sealing with data key {run_in_transaction(work)} in ten seconds.")


@feed_commands.command("new-session")
def begin_session() -> None:
    """Give the feed a new session after a failover or a restore that lost publications, while everything runs."""
    session = run_in_transaction(allowlist.begin_session)
    typer.echo(f"The feed has the session {session}. Every reader fetches the whole list.")


@audit_commands.command("verify")
def verify_log(
    saved: Annotated[
        Path | None,
        typer.Option("--checkpoint", exists=True, dir_okay=False, help="A saved response of GET /v1/audit/checkpoint"),
    ] = None,
) -> None:
    """Recompute the Merkle tree over the event log and compare; exit with 1 and the first difference, if any."""

    async def work(tx: Transaction) -> tuple[VerificationResult, frozenset[str]]:
        return await verify(tx, checkpoint), await store.revoked_keys(tx)

    try:
        checkpoint = Checkpoint.model_validate_json(saved.read_bytes()) if saved else None
        found, revoked = run_in_transaction(work)
    except ValidationError:
        stderr.print(f"{saved} is not a response of GET /v1/audit/checkpoint.", markup=False)
        raise typer.Exit(2) from None
    except VerificationFailed as difference:
        stderr.print(str(difference), markup=False)
        raise typer.Exit(1) from None
    if checkpoint and (signer := key_id(checkpoint.signed)) in revoked:
        stderr.print(f"{saved} is signed by the revoked key {signer}: rely on it only if it was stored safely.")
    tree = found.tree
    summary = {"size": tree.size, "root": tree.root().hex(), "erased": found.erased, "on_trust": found.on_trust}
    typer.echo(json.dumps(summary))


if __name__ == "__main__":
    cli()
