"""Operations on partners and their clients, for ``partners:admin``."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.core.auth.bearer import require
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.conditional import NOT_MODIFIED, not_modified
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CHANGES, CREATES, READS, problem_responses
from app.core.http.responses import Precondition, json_response, page_response, resource_response
from app.core.outbound.client import Outbound
from app.core.outbound.url_policy import UrlRefused
from app.core.principal import Principal
from app.core.validation.preconditions import ANY_VERSION
from app.partners import client_changes, schemas, service, store
from app.partners.change_schemas import ClientChange, ClientChangeAsked
from app.partners.client_changes import PendingChange, RequestedChange
from app.partners.errors import AuthenticatesOtherwise, KeyUnusable, NameTaken, PrivateKeySent
from app.partners.rules import ChangeAction

router = APIRouter(prefix="/partners", tags=["partners"], route_class=AuthenticatedRoute)
Admin = Annotated[Principal, require("partners:admin")]
Overlap = Annotated[
    int,
    Query(
        ge=0,
        le=schemas.MAX_OVERLAP_SECONDS,
        description="Seconds for which the previous secret stays valid; 0: it ends at once",
    ),
]
ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": ClientChangeAsked,
        "description": "A change that extends the access of a regulator's client awaits a second person's confirmation",
    }
}


@router.get("", summary="List partners", response_model=schemas.PartnerPage, responses=problem_responses(*READS))
async def list_partners(
    request: Request, query: Annotated[schemas.PartnersQuery, Query()], database: Db, principal: Admin
) -> Response:
    """Lists all partners, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        return page_response(request, schemas.PartnerPage, *await store.list_partners(tx, query))


@router.post(
    "",
    status_code=201,
    summary="Create a partner",
    response_model=schemas.Partner,
    responses=problem_responses(*CREATES, NameTaken),
)
async def create_partner(
    body: schemas.NewPartner, database: Db, principal: Admin, idempotency: Idempotency
) -> Response:
    """Creates a partner without clients."""
    async with database.transaction(principal) as tx:

        async def create() -> Response:
            partner = await service.create_partner(tx, principal, body)
            return resource_response(
                schemas.Partner.model_validate(partner), 201, location=f"/v1/partners/{partner.id}"
            )

        return await idempotency.respond(tx, principal, create)


@router.get(
    "/{partner_id}",
    summary="Read a partner",
    response_model=schemas.Partner,
    responses=problem_responses(*READS) | NOT_MODIFIED,
)
async def get_partner(request: Request, partner_id: UUID, database: Db, principal: Admin) -> Response:
    """Returns one partner: its name, its kind, and the operator's code if it is one."""
    async with database.transaction(principal, read_only=True) as tx:
        partner = await store.get_partner(tx, partner_id)
        return not_modified(request, partner) or resource_response(schemas.Partner.model_validate(partner))


@router.get(
    "/{partner_id}/clients",
    summary="List a partner's clients",
    response_model=schemas.ClientPage,
    responses=problem_responses(*READS),
)
async def list_clients(
    request: Request, partner_id: UUID, query: Annotated[schemas.PartnersQuery, Query()], database: Db, principal: Admin
) -> Response:
    """Lists a partner's clients without their secrets, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        await store.get_partner(tx, partner_id)
        return page_response(request, schemas.ClientPage, *await store.list_clients(tx, partner_id, query))


def _check_jwks_uri(request: Request, keys: schemas.ClientKeys) -> None:
    """Raise ``UrlRefused`` when the service may not fetch the keys from their URL."""
    outbound: Outbound = request.app.state.outbound
    if keys.jwks_uri:
        outbound.check(keys.jwks_uri)


def _accepted(pending: PendingChange) -> Response:
    change = ClientChange.model_validate(pending.change)
    credentials = {"oauth_client_id": pending.oauth_client_id, "client_secret": pending.client_secret}
    body = ClientChangeAsked(**change.model_dump(), **credentials)
    return json_response(body, 202, Location=f"/v1/partners/{change.partner_id}/client-changes/{change.id}")


def _client_response(result: service.Issued | PendingChange) -> Response:
    if isinstance(result, PendingChange):
        return _accepted(result)
    return resource_response(schemas.Client.model_validate(result.client))


def _secret_response(result: service.Issued | PendingChange, status: int) -> Response:
    if isinstance(result, PendingChange):
        return _accepted(result)
    client = schemas.Client.model_validate(result.client)
    body = schemas.ClientWithSecret(**client.model_dump(), client_secret=result.client_secret)
    location = f"/v1/partners/{client.partner_id}/clients/{client.id}" if status == 201 else None
    return resource_response(body, status, location=location)


@router.post(
    "/{partner_id}/clients",
    status_code=201,
    summary="Create a client",
    response_model=schemas.ClientWithSecret,
    responses=problem_responses(*CREATES, NameTaken, PrivateKeySent, KeyUnusable, UrlRefused) | ACCEPTED,
)
async def create_client(
    request: Request,
    partner_id: UUID,
    body: schemas.NewClient,
    database: Db,
    principal: Admin,
    idempotency: Idempotency,
) -> Response:
    """Creates a client with a random secret of 256 bits, shown only once and stored as a keyed hash, or with keys.

    A client of the regulator is created when a second person confirms it; its secret is shown now and valid then.
    """
    async with database.transaction(principal) as tx:

        async def create() -> Response:
            _check_jwks_uri(request, body)
            partner = await store.get_partner(tx, partner_id)
            details = body.model_dump(exclude_none=True)
            requested = RequestedChange(ChangeAction.CREATE, None, ANY_VERSION, details)
            return _secret_response(await client_changes.apply_or_defer(tx, principal, partner, requested), 201)

        return await idempotency.respond(tx, principal, create)


@router.get(
    "/{partner_id}/clients/{client_id}",
    summary="Read a client",
    response_model=schemas.Client,
    responses=problem_responses(*READS) | NOT_MODIFIED,
)
async def get_client(request: Request, partner_id: UUID, client_id: UUID, database: Db, principal: Admin) -> Response:
    """Returns one client without its secret."""
    async with database.transaction(principal, read_only=True) as tx:
        client = await store.get_client(tx, partner_id, client_id)
        return not_modified(request, client) or resource_response(schemas.Client.model_validate(client))


@router.put(
    "/{partner_id}/clients/{client_id}/keys",
    summary="Replace a client's public keys",
    response_model=schemas.Client,
    responses=problem_responses(*CHANGES, *BODIES, PrivateKeySent, KeyUnusable, UrlRefused, AuthenticatesOtherwise)
    | ACCEPTED,
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
    """Replaces the client's keys; `{}` removes them. A client with keys needs no secret.

    The access tokens of the client are revoked within seconds. A new key of a regulator's client takes effect when a
    second person confirms it; a removal takes effect at once.
    """
    async with database.transaction(principal) as tx:
        _check_jwks_uri(request, body)
        client = await store.get_client(tx, partner_id, client_id, lock=True)
        requested = RequestedChange(ChangeAction.KEYS, client, if_match, body.model_dump(exclude_none=True))
        return _client_response(await client_changes.apply_or_defer(tx, principal, client.partner, requested))


@router.patch(
    "/{partner_id}/clients/{client_id}",
    summary="Change a client's scopes or person",
    response_model=schemas.Client,
    responses=problem_responses(*CHANGES, *BODIES, AuthenticatesOtherwise) | ACCEPTED,
)
async def change_client(
    partner_id: UUID,
    client_id: UUID,
    body: schemas.ClientPatch,
    database: Db,
    principal: Admin,
    if_match: Precondition,
) -> Response:
    """Applies a JSON merge patch (RFC 7396). When a scope is removed, access tokens are revoked within seconds.

    A new person or an additional scope of a regulator's client takes effect when a second person confirms it; a
    removal takes effect at once.
    """
    async with database.transaction(principal) as tx:
        client = await store.get_client(tx, partner_id, client_id, lock=True)
        requested = RequestedChange(ChangeAction.CHANGE, client, if_match, body.model_dump(exclude_unset=True))
        return _client_response(await client_changes.apply_or_defer(tx, principal, client.partner, requested))


@router.post(
    "/{partner_id}/clients/{client_id}/rotate",
    summary="Give a client a new secret",
    response_model=schemas.ClientWithSecret,
    responses=problem_responses(*CHANGES, AuthenticatesOtherwise) | ACCEPTED,
)
async def rotate_secret(
    partner_id: UUID,
    client_id: UUID,
    database: Db,
    principal: Admin,
    if_match: Precondition,
    overlap_seconds: Overlap = schemas.OVERLAP_SECONDS,
) -> Response:
    """Creates a secret, shown only once. The previous secret stays valid for `overlap_seconds`, by default a day.

    With `overlap_seconds=0` the access tokens of the client are revoked within seconds too. The new secret of a
    regulator's client is shown now and becomes valid when a second person confirms it.
    """
    async with database.transaction(principal) as tx:
        client = await store.get_client(tx, partner_id, client_id, lock=True)
        requested = RequestedChange(ChangeAction.ROTATE, client, if_match, {"overlap_seconds": overlap_seconds})
        return _secret_response(await client_changes.apply_or_defer(tx, principal, client.partner, requested), 200)


@router.post(
    "/{partner_id}/clients/{client_id}/disable",
    summary="Disable a client",
    response_model=schemas.Client,
    responses=problem_responses(*CHANGES),
)
async def disable_client(
    partner_id: UUID, client_id: UUID, database: Db, principal: Admin, if_match: Precondition
) -> Response:
    """Refuses the client new tokens and revokes those it has within seconds."""
    async with database.transaction(principal) as tx:
        client = await store.get_client(tx, partner_id, client_id, lock=True)
        return resource_response(
            schemas.Client.model_validate(await service.disable_client(tx, principal, client, if_match))
        )
