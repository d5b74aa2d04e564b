"""Endpoint of the operators: codes, names and AS numbers."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict

from app.core.auth.bearer import require
from app.core.errors import Unauthenticated
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.problems import problem_responses
from app.core.http.responses import page_response
from app.core.principal import Principal
from app.core.validation.schemas import Page, Resource
from app.operators import store

router = APIRouter(prefix="/operators", tags=["reference"], route_class=AuthenticatedRoute)


class Operator(Resource):
    """An internet operator."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [{"code": "nayatel", "name": "Nayatel (Pvt) Ltd", "asn": 23674}]},
    )

    code: str
    name: str
    asn: int


OperatorPage = Page[Operator]


@router.get("", summary="List operators", response_model=OperatorPage, responses=problem_responses(Unauthenticated))
async def list_operators(request: Request, database: Db, principal: Annotated[Principal, require()]) -> Response:
    """List the operators that a registration can name, by code, on one page."""
    async with database.transaction(principal, read_only=True) as tx:
        return page_response(request, OperatorPage, await store.list_operators(tx), None)
