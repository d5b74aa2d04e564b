"""Operations on clients, for ``partners:admin`` and, on those of the caller's own partner, for ``clients:manage``."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.core.auth.bearer import require_any
from app.core.database.roles import SERVICE
from app.core.database.transaction import Transaction
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
from app.partners import client_changes, managing, schemas, service, store
from app.partners.change_schemas import ClientChange, ClientChangeAsked
from app.partners.client_changes import PendingChange, RequestedChange
from app.partners.errors import AuthenticatesOtherwise, KeyUnusable, LastManager, NameTaken, PrivateKeySent
from app.partners.models import Client
from app.partners.rules import ADMIN, MANAGE, ChangeAction

router = APIRouter(prefix="/partners/{partner_id}/clients", tags=["partners"], route_class=AuthenticatedRoute)
Manager = Annotated[Principal, require_any(ADMIN, MANAGE)]
# in the OpenAPI document the other scope that is enough
OR_MANAGE = {"security": [{"OAuth2": [MANAGE]}]}
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


@router.get(
    "",
    summary="List a partner's clients",
    response_model=schemas.ClientPage,
    responses=problem_responses(*READS),
    openapi_extra=OR_MANAGE,
)
async def list_clients(
    request: Request,
    partner_id: UUID,
    query: Annotated[schemas.PartnersQuery, Query()],
    database: Db,
    principal: Manager,
) -> Response:
    """Lists a partner's clients without their secrets, oldest first."""
    managing.check_partner(principal, partner_id)
    async with database.transaction(principal, read_only=True) as tx:
        await store.get_partner(tx, partner_id)
        return page_response(request, schemas.ClientPage, *await store.list_clients(tx, partner_id, query))


async def _locked_client(tx: Transaction, principal: Principal, partner_id: UUID, client_id: UUID) -> Client:
    """Return a client that the caller may change, with its row locked. Raises ``NotFound`` or ``Forbidden``."""
    managing.check_partner(principal, partner_id)
    await store.lock_partner(tx, partner_id)
    client = await store.get_client(tx, partner_id, client_id, lock=True)
    managing.check_client(principal, client)
    return client


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
    "",
    status_code=201,
    summary="Create a client",
    response_model=schemas.ClientWithSecret,
    responses=problem_responses(*CREATES, NameTaken, PrivateKeySent, KeyUnusable, UrlRefused) | ACCEPTED,
    openapi_extra=OR_MANAGE,
)
async def create_client(
    request: Request,
    partner_id: UUID,
    body: schemas.NewClient,
    database: Db,
    principal: Manager,
    idempotency: Idempotency,
) -> Response:
    """Creates a client with a random secret of 256 bits, shown only once and stored as a keyed hash, or with keys.

    By `clients:manage` it gets only scopes that the token has. A client of the regulator is created when a second
    person confirms it; its secret is shown now and valid then.
    """
    managing.check_partner(principal, partner_id)
    async with database.transaction(principal, role=SERVICE) as tx:

        async def create() -> Response:
            _check_jwks_uri(request, body)
            partner = await store.get_partner(tx, partner_id)
            details = managing.limit_new_client(principal, partner, body).model_dump(exclude_none=True)
            requested = RequestedChange(ChangeAction.CREATE, None, ANY_VERSION, details)
            return _secret_response(await client_changes.apply_or_defer(tx, principal, partner, requested), 201)

        return await idempotency.respond(tx, principal, create)


@router.get(
    "/{client_id}",
    summary="Read a client",
    response_model=schemas.Client,
    responses=problem_responses(*READS) | NOT_MODIFIED,
    openapi_extra=OR_MANAGE,
)
async def get_client(request: Request, partner_id: UUID, client_id: UUID, database: Db, principal: Manager) -> Response:
    """Returns one client without its secret."""
    managing.check_partner(principal, partner_id)
    async with database.transaction(principal, read_only=True) as tx:
        client = await store.get_client(tx, partner_id, client_id)
        return not_modified(request, client) or resource_response(schemas.Client.model_validate(client))


@router.put(
    "/{client_id}/keys",
    summary="Replace a client's public keys",
    response_model=schemas.Client,
    responses=problem_responses(*CHANGES, *BODIES, PrivateKeySent, KeyUnusable, UrlRefused, AuthenticatesOtherwise)
    | ACCEPTED,
    openapi_extra=OR_MANAGE,
)
async def set_keys(
    request: Request,
    partner_id: UUID,
    client_id: UUID,
    body: schemas.ClientKeys,
    database: Db,
    principal: Manager,
    if_match: Precondition,
) -> Response:
    """Replaces the client's keys; `{}` removes them. A client with keys needs no secret.

    The access tokens of the client are revoked within seconds. A new key of a regulator's client takes effect when a
    second person confirms it; a removal takes effect at once.
    """
    async with database.transaction(principal, role=SERVICE) as tx:
        _check_jwks_uri(request, body)
        client = await _locked_client(tx, principal, partner_id, client_id)
        requested = RequestedChange(ChangeAction.KEYS, client, if_match, body.model_dump(exclude_none=True))
        return _client_response(await client_changes.apply_or_defer(tx, principal, client.partner, requested))


@router.patch(
    "/{client_id}",
    summary="Change a client's scopes or person",
    response_model=schemas.Client,
    responses=problem_responses(*CHANGES, *BODIES, AuthenticatesOtherwise, LastManager) | ACCEPTED,
    openapi_extra=OR_MANAGE,
)
async def change_client(
    partner_id: UUID,
    client_id: UUID,
    body: schemas.ClientPatch,
    database: Db,
    principal: Manager,
    if_match: Precondition,
) -> Response:
    """Applies a JSON merge patch (RFC 7396). When a scope is removed, access tokens are revoked within seconds.

    A new person or an additional scope of a regulator's client takes effect when a second person confirms it; a
    removal takes effect at once.
    """
    async with database.transaction(principal, role=SERVICE) as tx:
        client = await _locked_client(tx, principal, partner_id, client_id)
        await managing.check_change(tx, principal, client, body)
        requested = RequestedChange(ChangeAction.CHANGE, client, if_match, body.model_dump(exclude_unset=True))
        return _client_response(await client_changes.apply_or_defer(tx, principal, client.partner, requested))


@router.post(
    "/{client_id}/rotate",
    summary="Give a client a new secret",
    response_model=schemas.ClientWithSecret,
    responses=problem_responses(*CHANGES, AuthenticatesOtherwise) | ACCEPTED,
    openapi_extra=OR_MANAGE,
)
async def rotate_secret(
    partner_id: UUID,
    client_id: UUID,
    database: Db,
    principal: Manager,
    if_match: Precondition,
    overlap_seconds: Overlap = schemas.OVERLAP_SECONDS,
) -> Response:
    """Creates a secret, shown only once. The previous secret stays valid for `overlap_seconds`, by default a day.

    With `overlap_seconds=0` the access tokens of the client are revoked within seconds too. The new secret of a
    regulator's client is shown now and becomes valid when a second person confirms it.
    """
    async with database.transaction(principal, role=SERVICE) as tx:
        client = await _locked_client(tx, principal, partner_id, client_id)
        requested = RequestedChange(ChangeAction.ROTATE, client, if_match, {"overlap_seconds": overlap_seconds})
        return _secret_response(await client_changes.apply_or_defer(tx, principal, client.partner, requested), 200)


@router.post(
    "/{client_id}/disable",
    summary="Disable a client",
    response_model=schemas.Client,
    responses=problem_responses(*CHANGES, LastManager),
    openapi_extra=OR_MANAGE,
)
async def disable_client(
    partner_id: UUID, client_id: UUID, database: Db, principal: Manager, if_match: Precondition
) -> Response:
    """Refuses the client new tokens and revokes those it has within seconds. This is final.

    By `clients:manage`, the last client of its partner with that scope cannot be disabled.
    """
    async with database.transaction(principal, role=SERVICE) as tx:
        client = await _locked_client(tx, principal, partner_id, client_id)
        await managing.check_remains_managed(tx, principal, client)
        return resource_response(
            schemas.Client.model_validate(await service.disable_client(tx, principal, client, if_match))
        )
