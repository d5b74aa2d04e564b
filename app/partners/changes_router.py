"""Operations on changes of regulator's clients that need a second person, for ``partners:admin``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.core.auth.bearer import require
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.problems import READS, problem_responses
from app.core.http.responses import json_response, page_response
from app.core.principal import Principal
from app.partners import client_changes, store
from app.partners.change_schemas import ClientChange, ClientChangePage, ClientChangesQuery
from app.partners.errors import AuthenticatesOtherwise, ChangeNotPending, NameTaken, SecondPersonRequired

router = APIRouter(prefix="/partners/{partner_id}/client-changes", tags=["partners"], route_class=AuthenticatedRoute)
Admin = Annotated[Principal, require("partners:admin")]


@router.get(
    "",
    summary="List changes of clients that need a second person",
    response_model=ClientChangePage,
    responses=problem_responses(*READS),
)
async def list_client_changes(
    request: Request,
    partner_id: UUID,
    query: Annotated[ClientChangesQuery, Query()],
    database: Db,
    principal: Admin,
) -> Response:
    """Lists the requested changes of the regulator's clients with their status, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        await store.get_partner(tx, partner_id)
        found = await store.list_changes(tx, partner_id, query)
        return page_response(request, ClientChangePage, *found)


@router.get(
    "/{change_id}",
    summary="Read a change of a client",
    response_model=ClientChange,
    responses=problem_responses(*READS),
)
async def get_client_change(partner_id: UUID, change_id: UUID, database: Db, principal: Admin) -> Response:
    """Returns one change: the request, its requester and its status. A secret is not shown again."""
    async with database.transaction(principal, read_only=True) as tx:
        return json_response(ClientChange.model_validate(await store.get_change(tx, partner_id, change_id)))


@router.post(
    "/{change_id}/confirm",
    summary="Confirm a change of a client",
    response_model=ClientChange,
    responses=problem_responses(*READS, SecondPersonRequired, ChangeNotPending, NameTaken, AuthenticatesOtherwise),
)
async def confirm_client_change(partner_id: UUID, change_id: UUID, database: Db, principal: Admin) -> Response:
    """Applies the change. The caller must be a person who neither requested it nor uses the changed client."""
    async with database.transaction(principal) as tx:
        change = await client_changes.confirm(tx, principal, partner_id, change_id)
        return json_response(ClientChange.model_validate(change))


@router.delete(
    "/{change_id}",
    summary="Withdraw a change of a client",
    response_model=ClientChange,
    responses=problem_responses(*READS, ChangeNotPending),
)
async def withdraw_client_change(partner_id: UUID, change_id: UUID, database: Db, principal: Admin) -> Response:
    """Ends the change without applying it. Any administrator may withdraw it, also its requester."""
    async with database.transaction(principal) as tx:
        change = await client_changes.withdraw(tx, principal, partner_id, change_id)
        return json_response(ClientChange.model_validate(change))
