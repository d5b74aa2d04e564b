"""Operations on partners, for ``partners:admin``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.core.auth.bearer import require
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.conditional import NOT_MODIFIED, not_modified
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CHANGES, CREATES, READS, problem_responses
from app.core.http.responses import Precondition, page_response, resource_response
from app.core.principal import Principal
from app.core.settings import Settings
from app.partners import schemas, service, store
from app.partners.errors import NameTaken

router = APIRouter(prefix="/partners", tags=["partners"], route_class=AuthenticatedRoute)
Admin = Annotated[Principal, require("partners:admin")]


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


@router.patch(
    "/{partner_id}",
    summary="Rename, disable or enable a partner",
    response_model=schemas.Partner,
    responses=problem_responses(*CHANGES, *BODIES, NameTaken),
)
async def change_partner(
    request: Request,
    partner_id: UUID,
    body: schemas.PartnerPatch,
    database: Db,
    principal: Admin,
    if_match: Precondition,
) -> Response:
    """Applies a JSON merge patch (RFC 7396). While a partner is disabled, none of its clients has access.

    Their access tokens are revoked within seconds, and its webhooks get nothing. Its cases, grants and entries of the
    list stay as they are. A partner of kind `regulator` cannot be disabled.
    """
    settings: Settings = request.app.state.settings
    configured = {each.partner for each in settings.external_issuers}
    async with database.transaction(principal) as tx:
        partner = await store.lock_partner(tx, partner_id)
        partner = await service.change_partner(tx, principal, partner, if_match, body, configured)
        return resource_response(schemas.Partner.model_validate(partner))
