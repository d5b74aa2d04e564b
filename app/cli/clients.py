"""Commands for partners' API clients. Changes take effect without a second person's confirmation."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.transaction import find_settings, run_in_transaction, stderr
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.core.outbound.client import Outbound
from app.core.validation.preconditions import ANY_VERSION
from app.core.validation.schemas import validate
from app.partners import rules, service, store
from app.partners.errors import KeyUnusable
from app.partners.models import Client
from app.partners.rules import AuthMethod, PartnerKind
from app.partners.schemas import (
    MAX_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    ClientKeys,
    ClientPatch,
    NewClient,
    NewPartner,
)
from app.partners.service import Issued

client_commands = typer.Typer(no_args_is_help=True, help="Partners' API clients.")


def _print_secret(issued: Issued) -> None:
    typer.echo(json.dumps({"client_id": issued.client.client_id, "client_secret": issued.client_secret}))
    stderr.print("The secret is shown only once.")


async def _get_client(tx: Transaction, client_id: str) -> Client:
    client = await store.find_client(tx, client_id)
    if client is None:
        raise NotFound(f"There is no client {client_id}.")
    return client


@client_commands.command()
def create(
    partner: Annotated[str, typer.Argument(help="The partner's name; it is created if --kind is given")],
    name: Annotated[str, typer.Argument(help="The client's name")],
    kind: Annotated[PartnerKind | None, typer.Option(help="Create the partner with this kind")] = None,
    operator: Annotated[str | None, typer.Option(help="The operator's code, for a partner of that kind")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Repeatable. Default: all scopes of the kind except partners:admin and clients:manage"),
    ] = None,
    person: Annotated[str | None, typer.Option(help="Name of the client's user; needed for officers")] = None,
) -> None:
    """Create a client and print its id and secret as JSON."""

    async def work(tx: Transaction) -> Issued:
        found = await store.find_partner(tx, partner)
        if found is None:
            if kind is None:
                raise NotFound(f"There is no partner {partner}; create it with --kind.")
            new = {"name": partner, "kind": kind, "operator": operator}
            found = await service.create_partner(tx, None, validate(NewPartner, new))
        details = {"name": name, "scopes": scope, "person": person}
        return await service.create_client(tx, None, found, validate(NewClient, details))

    _print_secret(run_in_transaction(work))


@client_commands.command()
def rotate(
    client_id: str,
    overlap_seconds: Annotated[
        int, typer.Option(min=0, max=MAX_OVERLAP_SECONDS, help="Seconds for which the previous secret stays valid")
    ] = OVERLAP_SECONDS,
) -> None:
    """Give a client a new secret; by default the previous one stays valid for a day."""

    async def work(tx: Transaction) -> Issued:
        client = await _get_client(tx, client_id)
        return await service.rotate_secret(tx, None, client, ANY_VERSION, overlap_seconds)

    _print_secret(run_in_transaction(work))


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError:
        raise KeyUnusable(f"{file} is not JSON.") from None


@client_commands.command()
def keys(
    client_id: str,
    jwks: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A file of public keys (JWKS)")] = None,
    jwks_uri: Annotated[str | None, typer.Option(help="The https URL where the client publishes its keys")] = None,
    only: Annotated[bool, typer.Option("--only", help="Limit the client to its keys; its secret ends")] = False,
) -> None:
    """Replace a client's public keys; without --jwks and --jwks-uri, remove them."""

    async def work(tx: Transaction) -> Client:
        method = AuthMethod.PRIVATE_KEY_JWT if only else None
        given = {"jwks": jwks and _read_json(jwks), "jwks_uri": jwks_uri, "token_endpoint_auth_method": method}
        body = validate(ClientKeys, given)
        if body.jwks_uri:
            Outbound(find_settings()).check(body.jwks_uri)
        return await service.set_keys(tx, None, await _get_client(tx, client_id), ANY_VERSION, body)

    typer.echo(f"{run_in_transaction(work).client_id} has new keys.")


@client_commands.command("person")
def set_person(
    client_id: str,
    person: Annotated[str, typer.Argument(help="Name of the client's user")],
) -> None:
    """Set the user of a client. Clients of the regulator with the same person, or with none, count as one person."""
    typer.echo(f"{_change(client_id, ClientPatch(person=person)).client_id} is used by {person.strip()}.")


@client_commands.command("scopes")
def set_scopes(
    client_id: str,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Repeatable. Default: all scopes of the kind except partners:admin and clients:manage"),
    ] = None,
) -> None:
    """Replace the scopes of a client."""
    client = _change(client_id, ClientPatch(scopes=scope) if scope else None)
    typer.echo(f"{client.client_id} has {' '.join(client.scopes)}.")


def _change(client_id: str, patch: ClientPatch | None) -> Client:
    """Change a client by a patch, or without one to the default scopes of its partner's kind."""

    async def work(tx: Transaction) -> Client:
        client = await _get_client(tx, client_id)
        patch_or_default = patch or ClientPatch(scopes=rules.default_scopes(client.partner.kind))
        return await service.change_client(tx, None, client, ANY_VERSION, patch_or_default)

    return run_in_transaction(work)


@client_commands.command()
def disable(client_id: str) -> None:
    """Disable a client: it gets no more tokens, and those it has are revoked."""

    async def work(tx: Transaction) -> Client:
        return await service.disable_client(tx, None, await _get_client(tx, client_id), ANY_VERSION)

    typer.echo(f"{run_in_transaction(work).client_id} is disabled.")
