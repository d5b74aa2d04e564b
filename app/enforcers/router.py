"""Endpoints of confirmations and of the board of enforcers."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.allowlist.serving import access
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CREATES, READS, problem_responses
from app.core.http.responses import json_response, page_response
from app.enforcers import schemas, service, store
from app.enforcers.errors import EnforcerLimit
from app.enforcers.models import Enforcer
from app.enforcers.rules import EnforcerState, Grade, Position
from app.operators import store as operators
from app.operators.errors import UnknownOperator

router = APIRouter(prefix="/allowlist", tags=["allowlist"], route_class=AuthenticatedRoute)


def _line(enforcer: Enforcer, position: Position, now: datetime) -> schemas.Enforcer:
    return schemas.Enforcer(
        id=enforcer.id,
        operator=enforcer.operator,
        enforcer=enforcer.name,
        grade=Grade(enforcer.grade),
        state=EnforcerState(enforcer.state),
        state_since=enforcer.state_since,
        session=enforcer.session,
        serial=enforcer.serial,
        matches=position.matches,
        behind_serials=position.behind_serials,
        behind_seconds=position.behind_seconds(now),
        applied_at=enforcer.applied_at,
        seen_at=enforcer.seen_at,
    )


@router.post(
    "/confirmations",
    status_code=201,
    summary="Confirm loaded lists",
    response_model=schemas.ConfirmedLists,
    responses=problem_responses(*CREATES, *BODIES, EnforcerLimit),
    dependencies=[access.BASIC_SCHEME],
)
async def confirm_lists(
    body: schemas.Confirmations, database: Db, principal: access.Enforcer, idempotency: Idempotency
) -> Response:
    """Records which list each of your enforcers has applied, and returns how far behind it is.

    Confirm after each change, and at least every half hour: an enforcer that says nothing for an hour is `silent`.
    A list that was never published with this session, serial and digest is recorded too, with `matches` false. An
    `applied_at` earlier than the one known of the enforcer changes nothing.
    """
    async with database.transaction(principal) as tx:

        async def confirm() -> Response:
            return json_response(schemas.ConfirmedLists(items=await service.confirm(tx, principal, body.items)), 201)

        return await idempotency.respond(tx, principal, confirm)


@router.get(
    "/enforcers",
    summary="List enforcers",
    response_model=schemas.EnforcerPage,
    responses=problem_responses(*READS, UnknownOperator),
    dependencies=[access.BASIC_SCHEME],
)
async def list_enforcers(
    request: Request, query: Annotated[schemas.EnforcersQuery, Query()], database: Db, principal: access.FeedClient
) -> Response:
    """Lists the enforcers with the list that each has. The regulator sees all, an operator its own.

    An association gets one line an operator, without names and numbers: they would show where an attack passes.
    """
    is_association = principal.partner_kind == "association"
    # of other partners' enforcers an association gets what the service makes of them
    async with database.transaction(None if is_association else principal, read_only=True) as tx:
        await operators.check_known(tx, query.operator or (), "/query/operator")
        if is_association:
            states, cursor = await store.list_operators(tx, query)
            lines = [schemas.OperatorLine(operator=code, grade=each.grade, state=each.state) for code, each in states]
            return page_response(request, schemas.EnforcerPage, lines, cursor)
        found, cursor = await store.list_page(tx, principal, query)
        now = await tx.now()
        items = [_line(enforcer, position, now) for enforcer, position in found]
        return page_response(request, schemas.EnforcerPage, items, cursor)
