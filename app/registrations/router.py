"""Endpoints of registrations, from submission to withdrawal, and of tracks."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request, Response

from app.allowlist.errors import NetworkTaken
from app.core.auth.bearer import require
from app.core.database.pagination import PageQuery, decode_cursor, encode_cursor
from app.core.database.roles import INTAKE
from app.core.database.transaction import Transaction
from app.core.errors import MissingField, SelfReview, Unauthenticated
from app.core.http.all_errors import telling_all_errors
from app.core.http.conditional import NOT_MODIFIED, not_modified
from app.core.http.dependencies import Db, database_of
from app.core.http.fast_route import FastRoute
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CHANGES, CREATES, READS, problem_responses
from app.core.http.responses import JsonResource, Precondition, json_response, page_response, resource_response
from app.core.http.strict_route import Handler
from app.core.principal import Principal
from app.core.validation.networks import WIDEST, NetworkHostBits, NetworkMalformed, NetworkReserved, NetworkTooWide
from app.events import store as events
from app.events.schemas import EventPage
from app.operators import store as operators
from app.operators.errors import UnknownOperator
from app.registrations import rules, schemas, service, store, surrenders
from app.registrations.errors import (
    ClaimedByAnother,
    IllegalTransition,
    NetworkOverlap,
    ReferenceDuplicate,
    SuccessorExists,
)
from app.registrations.intake.malformed import find_all_errors
from app.registrations.intake.submissions import Submissions

router = APIRouter(tags=["registrations"], route_class=FastRoute)
Reader = Annotated[Principal, require("registrations:read")]
Writer = Annotated[Principal, require("registrations:write")]
Officer = Annotated[Principal, require("reviews:write")]
TRANSITIONS = (*CHANGES, IllegalTransition)
NETWORKS = (NetworkMalformed, NetworkHostBits, NetworkTooWide, NetworkReserved)
DETAILS = (MissingField, UnknownOperator, *NETWORKS, NetworkOverlap, NetworkTaken, ReferenceDuplicate)


async def _answer(
    tx: Transaction, principal: Principal, registration_id: UUID, *, location: str | None = None
) -> Response:
    documents = await store.read_many(tx, principal, [registration_id])
    return resource_response(JsonResource(*documents[registration_id]), location=location)


@router.get(
    "/tracks",
    summary="List tracks",
    response_model=schemas.TrackPage,
    responses=problem_responses(Unauthenticated),
)
async def list_tracks(request: Request, _: Annotated[Principal, require()]) -> Response:
    """Each track with the fields that it needs, its limits, and the hours within which a decision is due."""
    tracks = [
        schemas.TrackDescription(
            track=track,
            applicant_kinds=rule.applicant_kinds,
            required_fields=rule.required,
            max_networks=rules.MAX_NETWORKS,
            widest_ipv4=WIDEST[4],
            widest_ipv6=WIDEST[6],
            decision_due_hours=rule.decision_due_hours,
        )
        for track, rule in rules.TRACKS.items()
    ]
    return page_response(request, schemas.TrackPage, tracks, None)


class SubmissionRoute(FastRoute):
    """The route of submissions: a body that is refused for its form is told what the register refuses in it, too."""

    def get_route_handler(self) -> Handler:
        """Return the handler of ``FastRoute``, with the further errors."""
        return telling_all_errors(super().get_route_handler(), find_all_errors, INTAKE)


async def create_registration(
    request: Request, body: schemas.RegistrationDetails, principal: Writer, idempotency: Idempotency
) -> Response:
    """Submits a registration for one of your own applicants.

    A `reference` that you have used before names an existing case. The same content changes nothing. Other content
    corrects a case that was sent back and submits it again; in any other status it is refused.

    The answer of a new case has its `receipt`, which is shown only here: give it to the registrant.
    With `replaces` the registration renews, moves or corrects one that was approved. It supersedes that one when it is
    approved: networks of both stay on the list throughout.
    """
    submissions: Submissions = request.app.state.submissions
    return await submissions.submit(principal, body.request, idempotency)


router.add_api_route(
    "/registrations",
    create_registration,
    methods=["POST"],
    route_class_override=SubmissionRoute,
    status_code=201,
    summary="Submit a registration",
    response_model=schemas.NewRegistration,
    responses=problem_responses(*CREATES, *DETAILS, SuccessorExists, IllegalTransition)
    | {
        200: {
            "model": schemas.Registration,
            "description": "The reference is known: unchanged, or corrected and submitted again",
        }
    },
)


@router.get(
    "/registrations",
    summary="List registrations",
    response_model=schemas.RegistrationPage,
    responses=problem_responses(*READS, UnknownOperator),
)
async def list_registrations(
    request: Request, query: Annotated[schemas.RegistrationsQuery, Query()], principal: Reader
) -> Response:
    """Oldest first. An association sees its own, an operator those that name it, the regulator all."""
    async with database_of(request).transaction(principal, read_only=True) as tx:
        await operators.check_known(tx, query.operator or (), "/query/operator")
        return page_response(request, schemas.RegistrationPage, *await store.list_page(tx, principal, query))


@router.get(
    "/registrations/{registration_id}",
    summary="Read a registration",
    response_model=schemas.Registration,
    responses=problem_responses(*READS) | NOT_MODIFIED,
)
async def get_registration(request: Request, registration_id: UUID, principal: Reader) -> Response:
    """A case with its `status`, `reason_codes` and `note`, and `due_at` for the next decision."""
    async with database_of(request).transaction(principal, read_only=True) as tx:
        resource = JsonResource(*await store.read(tx, principal, registration_id))
    return not_modified(request, resource) or resource_response(resource)


@router.patch(
    "/registrations/{registration_id}",
    summary="Correct a registration",
    response_model=schemas.Registration,
    responses=problem_responses(*TRANSITIONS, *BODIES, *DETAILS, SuccessorExists),
)
async def correct_registration(
    registration_id: UUID,
    body: schemas.RegistrationChange,
    database: Db,
    principal: Writer,
    if_match: Precondition,
) -> Response:
    """A JSON merge patch (RFC 7396), while the case is `information_requested` or `rejected`. Then submit it again."""
    async with database.transaction(principal, role=INTAKE) as tx:
        await service.correct(tx, principal, registration_id, if_match, body)
        return await _answer(tx, principal, registration_id)


@router.post(
    "/registrations/{registration_id}/submit",
    summary="Submit a corrected registration again",
    response_model=schemas.Registration,
    responses=problem_responses(*TRANSITIONS, *BODIES, *DETAILS, SuccessorExists),
)
async def hand_in_again(registration_id: UUID, database: Db, principal: Writer, if_match: Precondition) -> Response:
    """Back to `submitted`, with a new `due_at`. Its networks are checked again."""
    async with database.transaction(principal, role=INTAKE) as tx:
        await service.resubmit(tx, principal, registration_id, if_match)
        return await _answer(tx, principal, registration_id)


@router.post(
    "/registrations/{registration_id}/withdraw",
    summary="Withdraw a registration",
    response_model=schemas.Registration,
    responses=problem_responses(*TRANSITIONS),
)
async def withdraw_registration(
    registration_id: UUID, database: Db, principal: Writer, if_match: Precondition
) -> Response:
    """By its submitter, before it is approved. The case is kept as `withdrawn`."""
    async with database.transaction(principal, role=INTAKE) as tx:
        await service.withdraw(tx, principal, registration_id, if_match)
        return await _answer(tx, principal, registration_id)


@router.post(
    "/registrations/{registration_id}/receipt",
    status_code=201,
    summary="Make a new receipt",
    response_model=schemas.Receipt,
    responses=problem_responses(*CREATES, IllegalTransition),
)
async def make_receipt(registration_id: UUID, database: Db, principal: Writer, idempotency: Idempotency) -> Response:
    """Makes a receipt of one of your own cases, shown once; the former one ends. The case's version stays."""
    async with database.transaction(principal) as tx:

        async def make() -> Response:
            receipt = await service.make_receipt(tx, principal, registration_id)
            # the case's URL, so that the stored answer is deleted when the case is erased
            return json_response(schemas.Receipt(receipt=receipt), 201, location=f"/v1/registrations/{registration_id}")

        return await idempotency.respond(tx, principal, make)


@router.post(
    "/registrations/{registration_id}/surrender",
    summary="Give networks back",
    response_model=schemas.Registration,
    responses=problem_responses(*TRANSITIONS, *CREATES, *NETWORKS, SuccessorExists),
)
async def surrender_registration(
    registration_id: UUID,
    database: Db,
    principal: Writer,
    if_match: Precondition,
    idempotency: Idempotency,
    body: Annotated[schemas.Surrender | None, Body(openapi_examples=schemas.SURRENDER)] = None,
) -> Response:
    """By its submitter, once it is approved: the whole registration, or the networks that the body names.

    It needs no decision. Many within an hour are taken off the list only when an officer has released them.
    """
    async with database.transaction(principal, role=INTAKE) as tx:

        async def act() -> Response:
            await surrenders.surrender(tx, principal, registration_id, if_match, body.networks if body else None)
            # by its location a stored response is found when the case is erased
            return await _answer(tx, principal, registration_id, location=f"/v1/registrations/{registration_id}")

        return await idempotency.respond(tx, principal, act)


@router.post(
    "/registrations/{registration_id}/claim",
    summary="Claim a case",
    response_model=schemas.Registration,
    responses=problem_responses(*TRANSITIONS, SelfReview, ClaimedByAnother),
)
async def claim_case(
    request: Request, registration_id: UUID, database: Db, principal: Officer, if_match: Precondition
) -> Response:
    """An officer takes a submitted case into review; no other officer can decide it until `claim_ends_at`."""
    async with database.transaction(principal) as tx:
        hours: int = request.app.state.settings.claim_hours
        await service.claim(tx, principal, registration_id, if_match, hours)
        return await _answer(tx, principal, registration_id)


@router.delete(
    "/registrations/{registration_id}/claim",
    summary="Give a case back",
    response_model=schemas.Registration,
    responses=problem_responses(*TRANSITIONS, ClaimedByAnother),
)
async def give_case_back(
    registration_id: UUID,
    query: Annotated[schemas.ClaimEndQuery, Query()],
    database: Db,
    principal: Officer,
    if_match: Precondition,
) -> Response:
    """The case is `submitted` again. Another officer than the one who claimed it needs a `reason`.

    The reason is recorded in an event that only the regulator reads, `registration.claim_ended`.
    """
    async with database.transaction(principal) as tx:
        await service.give_back(tx, principal, registration_id, if_match, query.reason)
        return await _answer(tx, principal, registration_id)


@router.get(
    "/registrations/{registration_id}/history",
    summary="Read a registration's history",
    response_model=EventPage,
    responses=problem_responses(*READS),
)
async def read_history(
    request: Request, registration_id: UUID, query: Annotated[PageQuery, Query()], database: Db, principal: Reader
) -> Response:
    """Events of the case, oldest first: submissions, claims, decisions with their reasons."""
    async with database.transaction(principal, read_only=True) as tx:
        await store.get(tx, principal, registration_id)
        name = f"history {registration_id}"
        after = UUID(decode_cursor(tx.keyring, name, query.cursor)) if query.cursor else None
        found = await events.read_history(tx, principal, registration_id, after=after, limit=query.limit + 1)
        items = found[: query.limit]
        cursor = encode_cursor(tx.keyring, name, items[-1].id) if len(found) > query.limit else None
        return page_response(request, EventPage, items, cursor)
