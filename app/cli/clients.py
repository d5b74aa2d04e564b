"""Commands about partners' API clients. They act at once: whoever runs them has the database and its keys."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.transaction import errors, in_transaction, read_settings
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.core.outbound.client import Outbound
from app.core.validation.preconditions import ANY_VERSION
from app.core.validation.schemas import validated
from app.partners import rules, service, store
from app.partners.errors import KeyUnusable
from app.partners.models import Client
from app.partners.rules import AuthMethod, PartnerKind
from app.partners.schemas import (
    LONGEST_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    ClientKeys,
    ClientPatch,
    NewClient,
    NewPartner,
)
from app.partners.service import Issued

client_commands = typer.Typer(no_args_is_help=True, help="Partners' API clients.")


def _show(issued: Issued) -> None:
    typer.echo(json.dumps({"client_id": issued.client.client_id, "client_secret": issued.client_secret}))
    errors.print("The secret is shown this once.")


async def _client(tx: Transaction, client_id: str) -> Client:
    client = await store.find_client(tx, client_id)
    if client is None:
        raise NotFound(f"There is no client {client_id}.")
    return client


@client_commands.command()
def create(
    partner: Annotated[str, typer.Argument(help="The partner's name; it is made when --kind is given")],
    name: Annotated[str, typer.Argument(help="The client's name")],
    kind: Annotated[PartnerKind | None, typer.Option(help="Make the partner, of this kind")] = None,
    operator: Annotated[str | None, typer.Option(help="The operator's code, for a partner of that kind")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Repeat it: those scopes alone; without, all that the kind may hold but partners:admin"),
    ] = None,
    person: Annotated[str | None, typer.Option(help="Who uses the client: name it for each officer")] = None,
) -> None:
    """Make a client and print its id and secret as JSON."""

    async def work(tx: Transaction) -> Issued:
        found = await store.find_partner(tx, partner)
        if found is None:
            if kind is None:
                raise NotFound(f"There is no partner {partner}; give --kind to make it.")
            new = {"name": partner, "kind": kind, "operator": operator}
            found = await service.create_partner(tx, None, validated(NewPartner, new))
        details = {"name": name, "scopes": scope, "person": person}
        return await service.create_client(tx, None, found, validated(NewClient, details))

    _show(in_transaction(work))


@client_commands.command()
def rotate(
    client_id: str,
    overlap_seconds: Annotated[
        int, typer.Option(min=0, max=LONGEST_OVERLAP_SECONDS, help="How long the old secret goes on working")
    ] = OVERLAP_SECONDS,
) -> None:
    """Give a client a new secret; the old one goes on working for a day, or as long as asked for."""

    async def work(tx: Transaction) -> Issued:
        client = await _client(tx, client_id)
        return await service.rotate_secret(tx, None, client, ANY_VERSION, overlap_seconds)

    _show(in_transaction(work))


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

    async def work(tx: Transaction) -> Client:
        method = AuthMethod.PRIVATE_KEY_JWT if only else None
        given = {"jwks": jwks and _json(jwks), "jwks_uri": jwks_uri, "token_endpoint_auth_method": method}
        body = validated(ClientKeys, given)
        if body.jwks_uri:
            Outbound(read_settings()).check(body.jwks_uri)
        return await service.set_keys(tx, None, await _client(tx, client_id), ANY_VERSION, body)

    typer.echo(f"{in_transaction(work).client_id} has new keys.")


@client_commands.command("person")
def name_person(
    client_id: str,
    person: Annotated[str, typer.Argument(help="Who uses the client")],
) -> None:
    """Name who uses a client. Clients of the regulator that name the same person, or none, count as one person's."""
    typer.echo(f"{_patched(client_id, ClientPatch(person=person)).client_id} is used by {person.strip()}.")


@client_commands.command("scopes")
def set_scopes(
    client_id: str,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Repeat it: those scopes alone; without, all that the kind may hold but partners:admin"),
    ] = None,
) -> None:
    """Put scopes in place of those that a client holds."""
    client = _patched(client_id, ClientPatch(scopes=scope) if scope else None)
    typer.echo(f"{client.client_id} holds {' '.join(client.scopes)}.")


def _patched(client_id: str, patch: ClientPatch | None) -> Client:
    """A client after a patch, without one after it got the scopes that its kind has when none are named."""

    async def work(tx: Transaction) -> Client:
        client = await _client(tx, client_id)
        wanted = patch or ClientPatch(scopes=rules.default_scopes(client.partner.kind))
        return await service.change_client(tx, None, client, ANY_VERSION, wanted)

    return in_transaction(work)


@client_commands.command()
def disable(client_id: str) -> None:
    """Stop a client from getting tokens."""

    async def work(tx: Transaction) -> Client:
        return await service.disable_client(tx, None, await _client(tx, client_id), ANY_VERSION)

    typer.echo(f"{in_transaction(work).client_id} is disabled.")
