"""Endpoints of applicants: create, list, read, change, reveal."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.applicants import rules, schemas, service, store
from app.applicants.errors import (
    ApplicantConflict,
    ApplicantErased,
    CnicMalformed,
    EmailMalformed,
    MobileMalformed,
    NtnMalformed,
)
from app.applicants.models import Applicant
from app.core.auth.bearer import require
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, MissingField
from app.core.http.all_errors import telling_all_errors
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.conditional import NOT_MODIFIED, not_modified
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CHANGES, CREATES, READS, problem_responses
from app.core.http.responses import Precondition, json_response, page_response, resource_response
from app.core.http.strict_route import Handler
from app.core.principal import Principal

router = APIRouter(prefix="/applicants", tags=["applicants"], route_class=AuthenticatedRoute)
Reader = Annotated[Principal, require("applicants:read")]
Writer = Annotated[Principal, require("applicants:write")]
Revealer = Annotated[Principal, require("applicants:reveal")]
DETAILS = (MissingField, EmailMalformed, MobileMalformed, CnicMalformed, NtnMalformed, ApplicantConflict)


def to_schema(tx: Transaction, principal: Principal, applicant: Applicant) -> schemas.Applicant:
    """Return a record as the caller may see it: with the CNIC masked, and ``subject`` for the regulator alone."""
    details = store.details_of(tx.keyring, applicant)
    details["cnic"] = rules.mask_cnic(details["cnic"]) if details["cnic"] else None
    others = {name: getattr(applicant, name) for name in schemas.Applicant.model_fields if name not in details}
    others["subject"] = applicant.subject if principal.sees_all else None
    return schemas.Applicant.model_validate(details | others)


class RecordingRoute(AuthenticatedRoute):
    """The route of new records: a body that is refused for its form is told what your records refuse in it, too."""

    def get_route_handler(self) -> Handler:
        """Return the handler of ``AuthenticatedRoute``, with the further errors."""
        return telling_all_errors(super().get_route_handler(), service.find_all_errors)


async def create_applicant(
    body: schemas.ApplicantDetails, database: Db, principal: Writer, idempotency: Idempotency
) -> Response:
    """Creates your record of a company (by NTN) or an individual (by CNIC).

    There is one record per partner and number. If it exists, it gets the new details, and the status is 200.
    """
    async with database.transaction(principal) as tx:

        async def create() -> Response:
            (outcome,) = await service.record(tx, principal, [body.particulars])
            if isinstance(outcome, Invalid):
                raise outcome
            applicant = await store.get(tx, principal, outcome.identity.id)
            await tx.refresh(applicant)
            body_ = to_schema(tx, principal, applicant)
            return resource_response(body_, 201 if outcome.created else 200, location=f"/v1/applicants/{applicant.id}")

        return await idempotency.respond(tx, principal, create)


router.add_api_route(
    "",
    create_applicant,
    methods=["POST"],
    route_class_override=RecordingRoute,
    status_code=201,
    summary="Record an applicant",
    response_model=schemas.Applicant,
    responses=problem_responses(*CREATES, *DETAILS)
    | {
        200: {
            "model": schemas.Applicant,
            "description": "Your record of this NTN or CNIC existed and has these details now",
        }
    },
)


@router.get("", summary="List applicants", response_model=schemas.ApplicantPage, responses=problem_responses(*READS))
async def list_applicants(
    request: Request, query: Annotated[schemas.ApplicantsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """Returns your records, oldest first; the regulator sees those of all partners."""
    async with database.transaction(principal, read_only=True) as tx:
        found, cursor = await store.list_page(tx, principal, query)
        return page_response(request, schemas.ApplicantPage, [to_schema(tx, principal, each) for each in found], cursor)


@router.get(
    "/{applicant_id}",
    summary="Read an applicant",
    response_model=schemas.Applicant,
    responses=problem_responses(*READS) | NOT_MODIFIED,
)
async def get_applicant(request: Request, applicant_id: UUID, database: Db, principal: Reader) -> Response:
    """Returns a record, with the CNIC masked."""
    async with database.transaction(principal, read_only=True) as tx:
        applicant = await store.get(tx, principal, applicant_id)
        return not_modified(request, applicant) or resource_response(to_schema(tx, principal, applicant))


@router.patch(
    "/{applicant_id}",
    summary="Change an applicant's details",
    response_model=schemas.Applicant,
    responses=problem_responses(*CHANGES, *BODIES, ApplicantErased, *DETAILS),
)
async def change_applicant(
    applicant_id: UUID, body: schemas.ApplicantChange, database: Db, principal: Writer, if_match: Precondition
) -> Response:
    """Applies a JSON merge patch (RFC 7396). The kind and the identifying number cannot change."""
    async with database.transaction(principal) as tx:
        await service.change(tx, principal, applicant_id, if_match, body)
        return resource_response(to_schema(tx, principal, await store.get(tx, principal, applicant_id)))


@router.post(
    "/{applicant_id}/reveal",
    summary="Show a CNIC in full",
    response_model=schemas.Revealed,
    responses=problem_responses(*READS, *BODIES, MissingField),
)
async def reveal_applicant(
    applicant_id: UUID, body: schemas.RevealRequest, database: Db, principal: Revealer
) -> Response:
    """Returns the whole CNIC, and records an event with caller, time and reason, which the applicant's partner sees."""
    async with database.transaction(principal) as tx:
        applicant = await service.reveal(tx, principal, applicant_id, body.reason)
        revealed = schemas.Revealed(id=applicant.id, cnic=store.details_of(tx.keyring, applicant)["cnic"])
        return json_response(revealed, Cache_Control="no-store")
