"""The event log, for partners that poll it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.core.auth.bearer import require
from app.core.errors import Forbidden, Unauthenticated
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.problems import problem_responses
from app.core.http.responses import page_response
from app.core.principal import Principal
from app.events import store
from app.events.schemas import EventPage, EventsQuery

router = APIRouter(prefix="/events", tags=["events"], route_class=AuthenticatedRoute)


@router.get(
    "",
    summary="Read the event log",
    response_model=EventPage,
    responses=problem_responses(Unauthenticated, Forbidden),
)
async def list_events(
    request: Request,
    query: Annotated[EventsQuery, Query()],
    database: Db,
    principal: Annotated[Principal, require("events:read")],
) -> Response:
    """Returns the events that concern the caller, oldest first. Poll with `after` = the last `id` you have.

    `next_cursor` is always the position to read on from, also when there is nothing new yet. No event ever appears
    before a position that was returned, however late its transaction commits.
    """
    async with database.transaction(principal, read_only=True) as tx:
        after = query.after or query.cursor
        items = await store.read(tx, principal, after=after, limit=query.limit)
        last = items[-1].id if items else after
        return page_response(request, EventPage, items, str(last) if last else None)
