"""Endpoints of decisions by the regulator's officers."""

from collections import Counter
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.allowlist.errors import NetworkTaken
from app.core.auth.bearer import require
from app.core.errors import MissingField, PreconditionRequired, SelfReview, Unauthenticated, VersionMismatch
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import CREATES, READS, problem_of, problem_responses
from app.core.http.responses import Precondition, json_response, page_response
from app.core.principal import Principal
from app.operators.errors import UnknownOperator
from app.registrations.errors import ClaimedByAnother, IllegalTransition
from app.reviews import notices, rules, schemas, service, store
from app.reviews.errors import DecisionNotPending, NoticeShortened, ValidityShortened

router = APIRouter(prefix="/review-decisions", tags=["reviews"], route_class=AuthenticatedRoute)
Reader = Annotated[Principal, require("reviews:read")]
Officer = Annotated[Principal, require("reviews:write")]
DECIDES = (*CREATES, MissingField)


@router.get(
    "/reason-codes",
    summary="List reason codes",
    response_model=schemas.ReasonCodePage,
    responses=problem_responses(Unauthenticated),
)
async def list_reason_codes(request: Request, _: Annotated[Principal, require()]) -> Response:
    """Every reason code with a hint for the submitter."""
    hints = [schemas.ReasonCodeDescription(code=code, hint=hint) for code, hint in rules.HINTS.items()]
    return page_response(request, schemas.ReasonCodePage, hints, None)


@router.post(
    "",
    status_code=201,
    summary="Decide a case",
    response_model=schemas.ReviewDecision,
    responses=problem_responses(
        *DECIDES,
        PreconditionRequired,
        VersionMismatch,
        IllegalTransition,
        ClaimedByAnother,
        SelfReview,
        NetworkTaken,
        NoticeShortened,
        ValidityShortened,
    ),
)
async def decide(
    body: schemas.NewDecision, database: Db, officer: Officer, if_match: Precondition, idempotency: Idempotency
) -> Response:
    """One decision, with `If-Match` of the registration, so that an officer decides what the officer has read.

    Approving grants the networks; suspending and revoking withdraw them. The feed follows within 2 seconds. With
    `effective_at` a suspension or revocation is announced: the registration has it as its `notice`, and nothing else
    changes until then. `extend` sets a later `expires_at` of an approval, also of a lapsed one, and takes back a
    removal by expiry that is held.
    """
    async with database.transaction(officer) as tx:

        async def act() -> Response:
            batch_id = await service.decide_one(tx, officer, body.registration_id, if_match, body)
            decision = schemas.ReviewDecision.model_validate(await store.of_batch(tx, batch_id))
            return json_response(decision, 201, Location=f"/v1/review-decisions/{decision.id}")

        return await idempotency.respond(tx, officer, act)


@router.post(
    "/batch",
    summary="Decide many cases",
    response_model=schemas.BatchOutcome,
    responses=problem_responses(*DECIDES, UnknownOperator),
)
async def decide_batch(
    body: schemas.BatchDecision, database: Db, officer: Officer, idempotency: Idempotency
) -> Response:
    """The same decision on many cases: by id, by upload and status, or by the filters of the list of registrations.

    Cases that cannot be decided are listed. Approvals without `expires_at` end after 365 to 395 days, spread evenly.

    A batch grants (`approve`, `reinstate`) cases flagged `outside_country` or `operator_prefix_mismatch` only when
    `including_flags` names their flags. Otherwise each is refused as `flagged`, and the rest is granted. `flagged`
    in the response counts the cases by flag, `statuses` by the status before, `reasons` by the code of the refusal.

    With `dry_run` the response is the same, and nothing changes.
    """
    async with database.transaction(officer) as tx:

        async def act() -> Response:
            outcome = await service.decide_many(tx, officer, body)
            refused = [
                schemas.RefusedItem(registration_id=id_, problem=problem_of(why, f"/v1/registrations/{id_}"))
                for id_, why in outcome.refused.items()
            ]
            counts = schemas.BatchCounts(selected=outcome.selected, decided=outcome.decided, refused=len(refused))
            flagged = schemas.FlaggedCounts(**{flag: outcome.flagged[flag] for flag in rules.AddressFlag})
            answer = schemas.BatchOutcome(
                batch_id=None if body.dry_run else outcome.batch_id,
                dry_run=body.dry_run,
                counts=counts,
                statuses=outcome.statuses,
                flagged=flagged,
                reasons=Counter(why.code for why in outcome.refused.values()),
                refused=refused,
            )
            return json_response(answer)

        return await idempotency.respond(tx, officer, act)


@router.get(
    "", summary="List decisions", response_model=schemas.ReviewDecisionPage, responses=problem_responses(*READS)
)
async def list_decisions(
    request: Request, query: Annotated[schemas.ReviewDecisionsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """Decisions, oldest first, by registration, action, officer, batch or time."""
    async with database.transaction(principal, read_only=True) as tx:
        return page_response(request, schemas.ReviewDecisionPage, *await store.list_page(tx, query))


@router.get(
    "/{decision_id}",
    summary="Read a decision",
    response_model=schemas.ReviewDecision,
    responses=problem_responses(*READS),
)
async def get_decision(decision_id: UUID, database: Db, principal: Reader) -> Response:
    """A decision with its officer, time and reasons."""
    async with database.transaction(principal, read_only=True) as tx:
        return json_response(schemas.ReviewDecision.model_validate(await store.get(tx, decision_id)))


@router.post(
    "/{decision_id}/cancel",
    summary="Cancel an announced decision",
    response_model=schemas.ReviewDecision,
    responses=problem_responses(*CREATES, SelfReview, DecisionNotPending),
)
async def cancel_decision(decision_id: UUID, database: Db, officer: Officer, idempotency: Idempotency) -> Response:
    """Before it is in effect. The registration loses its `notice`; cancelling again changes nothing.

    To put it off, decide again with a later `effective_at`.
    """
    async with database.transaction(officer) as tx:

        async def act() -> Response:
            return json_response(schemas.ReviewDecision.model_validate(await notices.cancel(tx, officer, decision_id)))

        return await idempotency.respond(tx, officer, act)
