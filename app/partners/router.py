"""Partners and their clients, for ``partners:admin``."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.core.auth.bearer import require
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CHANGES, CREATES, READS, documented
from app.core.http.responses import Precondition, json_answer, page_answer, resource_answer
from app.core.outbound.client import Outbound
from app.core.outbound.url_policy import UrlRefused
from app.core.principal import Principal
from app.core.validation.preconditions import ANY_VERSION
from app.partners import client_changes, schemas, service, store
from app.partners.change_schemas import ClientChange, ClientChangeAsked
from app.partners.client_changes import Asked, Wanted
from app.partners.errors import AuthenticatesOtherwise, KeyUnusable, NameTaken, PrivateKeySent
from app.partners.rules import ChangeAction

router = APIRouter(prefix="/partners", tags=["partners"], route_class=AuthenticatedRoute)
Admin = Annotated[Principal, require("partners:admin")]
Overlap = Annotated[
    int,
    Query(
        ge=0,
        le=schemas.LONGEST_OVERLAP_SECONDS,
        description="How long the secret before goes on working; 0: it stops at once",
    ),
]


ASKED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": ClientChangeAsked,
        "description": "It gives a client of the regulator more, and takes effect when a second person confirms it",
    }
}


@router.get("", summary="List partners", response_model=schemas.PartnerPage, responses=documented(*READS))
async def list_partners(
    request: Request, query: Annotated[schemas.PartnersQuery, Query()], database: Db, principal: Admin
) -> Response:
    """All partners, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        return page_answer(request, schemas.PartnerPage, *await store.list_partners(tx, query))


@router.post(
    "",
    status_code=201,
    summary="Let a partner in",
    response_model=schemas.Partner,
    responses=documented(*CREATES, NameTaken),
)
async def create_partner(
    body: schemas.NewPartner, database: Db, principal: Admin, idempotency: Idempotency
) -> Response:
    """Makes a partner; its clients are made after."""
    async with database.transaction(principal) as tx:

        async def create() -> Response:
            partner = await service.create_partner(tx, principal, body)
            return resource_answer(schemas.Partner.model_validate(partner), 201, location=f"/v1/partners/{partner.id}")

        return await idempotency.respond(tx, principal, create)


@router.get("/{partner_id}", summary="Read a partner", response_model=schemas.Partner, responses=documented(*READS))
async def get_partner(partner_id: UUID, database: Db, principal: Admin) -> Response:
    """One partner: its name, its kind, and the operator that it is, if it is one."""
    async with database.transaction(principal, read_only=True) as tx:
        return resource_answer(schemas.Partner.model_validate(await store.get_partner(tx, partner_id)))


@router.get(
    "/{partner_id}/clients",
    summary="List a partner's clients",
    response_model=schemas.ClientPage,
    responses=documented(*READS),
)
async def list_clients(
    request: Request, partner_id: UUID, query: Annotated[schemas.PartnersQuery, Query()], database: Db, principal: Admin
) -> Response:
    """A partner's clients without their secrets, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        await store.get_partner(tx, partner_id)
        return page_answer(request, schemas.ClientPage, *await store.list_clients(tx, partner_id, query))


def _check_jwks_uri(request: Request, keys: schemas.ClientKeys) -> None:
    """Raises ``UrlRefused`` when the service would not fetch the keys from where they are said to be."""
    outbound: Outbound = request.app.state.outbound
    if keys.jwks_uri:
        outbound.check(keys.jwks_uri)


def _asked(asked: Asked) -> Response:
    shown = ClientChange.model_validate(asked.change)
    secret = {"oauth_client_id": asked.oauth_client_id, "client_secret": asked.client_secret}
    body = ClientChangeAsked(**shown.model_dump(), **secret)
    return json_answer(body, 202, Location=f"/v1/partners/{shown.partner_id}/client-changes/{shown.id}")


def _changed(made: service.Issued | Asked) -> Response:
    return _asked(made) if isinstance(made, Asked) else resource_answer(schemas.Client.model_validate(made.client))


def _with_secret(issued: service.Issued | Asked, status: int) -> Response:
    if isinstance(issued, Asked):
        return _asked(issued)
    shown = schemas.Client.model_validate(issued.client)
    body = schemas.ClientWithSecret(**shown.model_dump(), client_secret=issued.client_secret)
    location = f"/v1/partners/{shown.partner_id}/clients/{shown.id}" if status == 201 else None
    return resource_answer(body, status, location=location)


@router.post(
    "/{partner_id}/clients",
    status_code=201,
    summary="Make a client",
    response_model=schemas.ClientWithSecret,
    responses=documented(*CREATES, NameTaken, PrivateKeySent, KeyUnusable, UrlRefused) | ASKED,
)
async def create_client(
    request: Request,
    partner_id: UUID,
    body: schemas.NewClient,
    database: Db,
    principal: Admin,
    idempotency: Idempotency,
) -> Response:
    """Makes a client with a random secret of 256 bits, shown this once and kept as a keyed hash, or with keys.

    A client of the regulator is made when a second person confirms it; its secret is shown now and works then.
    """
    async with database.transaction(principal) as tx:

        async def create() -> Response:
            _check_jwks_uri(request, body)
            partner = await store.get_partner(tx, partner_id)
            details = body.model_dump(exclude_none=True)
            wanted = Wanted(ChangeAction.CREATE, None, ANY_VERSION, details)
            return _with_secret(await client_changes.make(tx, principal, partner, wanted), 201)

        return await idempotency.respond(tx, principal, create)


@router.get(
    "/{partner_id}/clients/{client_id}",
    summary="Read a client",
    response_model=schemas.Client,
    responses=documented(*READS),
)
async def get_client(partner_id: UUID, client_id: UUID, database: Db, principal: Admin) -> Response:
    """One client without its secret."""
    async with database.transaction(principal, read_only=True) as tx:
        return resource_answer(schemas.Client.model_validate(await store.get_client(tx, partner_id, client_id)))


@router.put(
    "/{partner_id}/clients/{client_id}/keys",
    summary="Give a client public keys",
    response_model=schemas.Client,
    responses=documented(*CHANGES, *BODIES, PrivateKeySent, KeyUnusable, UrlRefused, AuthenticatesOtherwise) | ASKED,
)
async def set_keys(
    request: Request,
    partner_id: UUID,
    client_id: UUID,
    body: schemas.ClientKeys,
    database: Db,
    principal: Admin,
    if_match: Precondition,
) -> Response:
    """Puts these keys in place of those that it has; `{}` takes them away. With keys it needs no secret.

    The access tokens of the client end within seconds. A client of the regulator gets a key that it has not yet when a
    second person confirms it; keys are taken away at once.
    """
    async with database.transaction(principal) as tx:
        _check_jwks_uri(request, body)
        client = await store.get_client(tx, partner_id, client_id, lock=True)
        wanted = Wanted(ChangeAction.KEYS, client, if_match, body.model_dump(exclude_none=True))
        return _changed(await client_changes.make(tx, principal, client.partner, wanted))


@router.patch(
    "/{partner_id}/clients/{client_id}",
    summary="Change a client's scopes or person",
    response_model=schemas.Client,
    responses=documented(*CHANGES, *BODIES, AuthenticatesOtherwise) | ASKED,
)
async def change_client(
    partner_id: UUID,
    client_id: UUID,
    body: schemas.ClientPatch,
    database: Db,
    principal: Admin,
    if_match: Precondition,
) -> Response:
    """A JSON merge patch (RFC 7396). Access tokens with a scope that is taken away end within seconds.

    A client of the regulator gets another person, or a scope that it has not, when a second person confirms it; scopes
    are taken away at once.
    """
    async with database.transaction(principal) as tx:
        client = await store.get_client(tx, partner_id, client_id, lock=True)
        wanted = Wanted(ChangeAction.CHANGE, client, if_match, body.model_dump(exclude_unset=True))
        return _changed(await client_changes.make(tx, principal, client.partner, wanted))


@router.post(
    "/{partner_id}/clients/{client_id}/rotate",
    summary="Give a client a new secret",
    response_model=schemas.ClientWithSecret,
    responses=documented(*CHANGES, AuthenticatesOtherwise) | ASKED,
)
async def rotate_secret(
    partner_id: UUID,
    client_id: UUID,
    database: Db,
    principal: Admin,
    if_match: Precondition,
    overlap_seconds: Overlap = schemas.OVERLAP_SECONDS,
) -> Response:
    """The new secret is shown this once. The one before goes on working for a day, or as long as asked for.

    With `overlap_seconds=0` the access tokens of the client end too, within seconds. The new secret of a client of the
    regulator is shown now, and takes the place of the one before when a second person confirms it.
    """
    async with database.transaction(principal) as tx:
        client = await store.get_client(tx, partner_id, client_id, lock=True)
        wanted = Wanted(ChangeAction.ROTATE, client, if_match, {"overlap_seconds": overlap_seconds})
        return _with_secret(await client_changes.make(tx, principal, client.partner, wanted), 200)


@router.post(
    "/{partner_id}/clients/{client_id}/disable",
    summary="Disable a client",
    response_model=schemas.Client,
    responses=documented(*CHANGES),
)
async def disable_client(
    partner_id: UUID, client_id: UUID, database: Db, principal: Admin, if_match: Precondition
) -> Response:
    """The client gets no more tokens; those it holds end within seconds."""
    async with database.transaction(principal) as tx:
        client = await store.get_client(tx, partner_id, client_id, lock=True)
        return resource_answer(
            schemas.Client.model_validate(await service.disable_client(tx, principal, client, if_match))
        )
