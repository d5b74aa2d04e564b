"""The endpoint that erases an applicant's personal data on request."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.applicants import schemas, store
from app.applicants.router import to_schema
from app.core.auth.bearer import require
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import database_of
from app.core.http.problems import CHANGES, problem_responses
from app.core.http.responses import Precondition, resource_response
from app.core.principal import Principal
from app.erasure import service
from app.erasure.errors import ApplicantInUse

router = APIRouter(prefix="/applicants", tags=["applicants"], route_class=AuthenticatedRoute)
Eraser = Annotated[Principal, require("applicants:erase")]


@router.post(
    "/{applicant_id}/erasure",
    summary="Erase an applicant's personal data",
    response_model=schemas.Applicant,
    responses=problem_responses(*CHANGES, ApplicantInUse),
)
async def erase_applicant(request: Request, applicant_id: UUID, principal: Eraser, if_match: Precondition) -> Response:
    """Erases the applicant's personal data, and the references and texts of all its cases, irreversibly.

    For the partner whose record it is, and the regulator. Refused while a case is open or in force; the 409 names those
    cases. Decisions, their times and reasons stay, under a random number. A later application gets a new record. The
    request may be repeated with the same result.
    """
    database = database_of(request)
    async with database.transaction(principal, read_only=True) as tx:
        await store.get(tx, principal, applicant_id)
    # as the service, since row-level security lets no partner change the event log and the allowlist
    async with database.transaction() as tx:
        await service.erase_on_request(tx, principal, applicant_id, if_match)
        applicant = await store.get(tx, principal, applicant_id)
        await tx.refresh(applicant)
        return resource_response(to_schema(tx, principal, applicant))
