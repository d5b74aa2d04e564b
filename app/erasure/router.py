"""Erasure on request, beside the other routes of applicants."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.applicants import schemas, store
from app.applicants.router import shown
from app.core.auth.bearer import require
from app.core.http.dependencies import database_of
from app.core.http.problems import CHANGES, documented
from app.core.http.responses import Precondition, resource_answer
from app.core.principal import Principal
from app.erasure import service
from app.erasure.errors import ApplicantInUse

router = APIRouter(prefix="/applicants", tags=["applicants"])
Eraser = Annotated[Principal, require("applicants:erase")]


@router.post(
    "/{applicant_id}/erasure",
    summary="Erase an applicant's personal data",
    response_model=schemas.Applicant,
    responses=documented(*CHANGES, ApplicantInUse),
)
async def erase_applicant(request: Request, applicant_id: UUID, principal: Eraser, if_match: Precondition) -> Response:
    """Erases who the applicant is, and the references and texts of all its cases; it cannot be taken back.

    For the partner whose record it is, and the regulator. Only where no case is open or in force: the 409 names those
    that are. What was decided, when and why stays, under a number that leads to nobody; who applies again gets a new
    record. Asked again, the answer is the same.
    """
    database = database_of(request)
    async with database.transaction(principal, read_only=True) as tx:
        await store.get(tx, principal, applicant_id)
    # what a partner's own transaction may see it has seen; the log and the list are beyond what it may change
    async with database.transaction() as tx:
        await service.erase_on_request(tx, principal, applicant_id, if_match)
        applicant = await store.get(tx, principal, applicant_id)
        await tx.refresh(applicant)
        return resource_answer(shown(tx, principal, applicant))
