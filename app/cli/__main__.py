"""What an operator of the service types."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console

from app.allowlist.formats import FormatName
from app.allowlist.manifest import ManifestRefused
from app.audit.checkpoint import signer_of
from app.audit.errors import Difference
from app.audit.schemas import Checkpoint
from app.audit.tree import Frontier
from app.audit.verification import verify
from app.core import data_keys
from app.core.connection_limits import limited_protocol
from app.core.db import Database, WriteSession
from app.core.errors import DomainError, NotFound
from app.core.outbound import Outbound
from app.core.preconditions import ANY_VERSION
from app.core.schemas import validated
from app.core.settings import Settings
from app.demo.stack import run_stack
from app.follower import FeedRefused, Follower
from app.main import create_app
from app.migrating import migrate as migrate_database
from app.partners import service, store
from app.partners.errors import KeyUnusable
from app.partners.models import Client
from app.partners.rules import AuthMethod, PartnerKind
from app.partners.schemas import LONGEST_OVERLAP_SECONDS, OVERLAP_SECONDS, ClientKeys, NewClient, NewPartner
from app.partners.service import Issued
from app.uploader.command import upload
from app.worker import run_worker

Result = TypeVar("Result")
DEFAULT_FORMAT = FormatName("text")
cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
client_commands = typer.Typer(no_args_is_help=True, help="Partners' API clients.")
key_commands = typer.Typer(no_args_is_help=True, help="Keys that sign and keys that seal.")
audit_commands = typer.Typer(no_args_is_help=True, help="The event log's proof.")
cli.add_typer(client_commands, name="client")
cli.add_typer(key_commands, name="key")
cli.add_typer(audit_commands, name="audit")
cli.command()(upload)
errors = Console(stderr=True, soft_wrap=True)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as wrong:
        for error in wrong.errors():
            errors.print(f"{str(error['loc'][0]).upper()}: {error['msg']}", markup=False)
        raise typer.Exit(2) from None


@cli.command()
def serve() -> None:
    """Serve the API until SIGTERM."""
    settings = _settings()
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
    run_worker(_settings())


@cli.command()
def migrate() -> None:
    """Bring the database to this code: migrations, reference data, the first signing key."""
    asyncio.run(migrate_database(_settings()))


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
    """Keep a local file in step with the allowlist; the last good one stays whatever happens."""
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


def _in_transaction(work: Callable[[WriteSession], Awaitable[Result]]) -> Result:
    async def transact() -> Result:
        settings = _settings()
        database = Database(settings)
        try:
            async with database.write() as session:
                return await work(session)
        finally:
            await database.close()

    try:
        return asyncio.run(transact())
    except DomainError as refused:
        for error in refused.errors:
            errors.print(f"{error.pointer}: {error.detail}", markup=False)
        errors.print(refused.detail, markup=False)
        raise typer.Exit(1) from None


def _show(issued: Issued) -> None:
    typer.echo(json.dumps({"client_id": issued.client.client_id, "client_secret": issued.client_secret}))
    errors.print("The secret is shown this once.")


async def _client(session: WriteSession, client_id: str) -> Client:
    client = await store.find_client(session, client_id)
    if client is None:
        raise NotFound(f"There is no client {client_id}.")
    return client


@client_commands.command()
def create(
    partner: Annotated[str, typer.Argument(help="The partner's name; it is made when --kind is given")],
    name: Annotated[str, typer.Argument(help="The client's name")],
    kind: Annotated[PartnerKind | None, typer.Option(help="Make the partner, of this kind")] = None,
    operator: Annotated[str | None, typer.Option(help="The operator's code, for a partner of that kind")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="Repeat it; without, all that the kind may hold")] = None,
) -> None:
    """Make a client and print its id and secret as JSON."""

    async def work(session: WriteSession) -> Issued:
        found = await store.find_partner(session, partner)
        if found is None:
            if kind is None:
                raise NotFound(f"There is no partner {partner}; give --kind to make it.")
            details = {"name": partner, "kind": kind, "operator": operator}
            found = await service.create_partner(session, None, validated(NewPartner, details))
        return await service.create_client(session, None, found, validated(NewClient, {"name": name, "scopes": scope}))

    _show(_in_transaction(work))


@client_commands.command()
def rotate(
    client_id: str,
    overlap_seconds: Annotated[
        int, typer.Option(min=0, max=LONGEST_OVERLAP_SECONDS, help="How long the old secret goes on working")
    ] = OVERLAP_SECONDS,
) -> None:
    """Give a client a new secret; the old one goes on working for a day, or as long as asked for."""

    async def work(session: WriteSession) -> Issued:
        client = await _client(session, client_id)
        return await service.rotate_secret(session, None, client, ANY_VERSION, overlap_seconds)

    _show(_in_transaction(work))


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError:
        raise KeyUnusable(f"{file} is not JSON.") from None


@client_commands.command()
def keys(
    client_id: str,
    jwks: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A file of public keys (JWKS)")] = None,
    jwks_uri: Annotated[str | None, typer.Option(help="Where the client publishes its keys, by https")] = None,
    only: Annotated[bool, typer.Option("--only", help="Hold the client to its keys; its secret stops")] = False,
) -> None:
    """Put public keys in place of those that a client has; without --jwks and --jwks-uri it has none then."""

    async def work(session: WriteSession) -> Client:
        method = AuthMethod.PRIVATE_KEY_JWT if only else None
        given = {"jwks": jwks and _json(jwks), "jwks_uri": jwks_uri, "token_endpoint_auth_method": method}
        body = validated(ClientKeys, given)
        if body.jwks_uri:
            Outbound(_settings()).check(body.jwks_uri)
        return await service.set_keys(session, None, await _client(session, client_id), ANY_VERSION, body)

    typer.echo(f"{_in_transaction(work).client_id} has new keys.")


@client_commands.command()
def disable(client_id: str) -> None:
    """Stop a client from getting tokens."""

    async def work(session: WriteSession) -> Client:
        return await service.disable_client(session, None, await _client(session, client_id), ANY_VERSION)

    typer.echo(f"{_in_transaction(work).client_id} is disabled.")


@key_commands.command("rotate")
def rotate_key() -> None:
    """Sign tokens and manifests with a new key; the old one stays in the JWKS for a week."""

    async def work(session: WriteSession) -> str:
        return await service.rotate_signing_key(session)

    typer.echo(f"Signing with {_in_transaction(work)}, from ten seconds on.")


@key_commands.command("revoke", context_settings={"ignore_unknown_options": True})  # a kid may begin with a dash
def revoke_key(kid: Annotated[str, typer.Argument(help="Its id in /.well-known/jwks.json")]) -> None:
    """End a signing key that has leaked, everywhere and within seconds. There is no way back."""

    async def work(session: WriteSession) -> str:
        return await service.revoke_signing_key(session, kid)

    signing = _in_transaction(work)
    typer.echo(
        f"{kid} is revoked. It has left the key set. Within seconds no process takes a token that it signed: clients "
        f"get new ones. Manifests and the newest checkpoint are signed anew. Signing with {signing}."
    )


@key_commands.command("rotate-sealing")
def rotate_sealing() -> None:
    """Seal personal data with a new key; workers seal again what older ones had sealed."""

    async def work(session: WriteSession) -> int:
        return await data_keys.rotate(session, session.keyring)

    typer.echo(f"Sealing with key {_in_transaction(work)}, from ten seconds on.")


@audit_commands.command("verify")
def verify_log(
    copy: Annotated[
        Path | None,
        typer.Option("--checkpoint", exists=True, dir_okay=False, help="An answer of GET /v1/audit/checkpoint, kept"),
    ] = None,
) -> None:
    """Make the tree over the event log again and compare. Prints the first difference and exits 1."""

    async def work(session: WriteSession) -> tuple[Frontier, frozenset[str]]:
        return await verify(session, kept), await store.revoked_keys(session)

    try:
        kept = Checkpoint.model_validate_json(copy.read_bytes()) if copy else None
        tree, revoked = _in_transaction(work)
    except ValidationError:
        errors.print(f"{copy} is not an answer of GET /v1/audit/checkpoint.", markup=False)
        raise typer.Exit(2) from None
    except Difference as found:
        errors.print(str(found), markup=False)
        raise typer.Exit(1) from None
    if kept and (signer := signer_of(kept.signed)) in revoked:
        errors.print(f"{copy} is signed by {signer}, which was revoked: rely on who kept it, not on its signature.")
    typer.echo(json.dumps({"size": tree.size, "root": tree.root().hex()}))


if __name__ == "__main__":
    cli()
