"""The event log, for partners that poll it and people who look at it, and the catalogue of its types."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.core.auth.bearer import require
from app.core.errors import Forbidden, Invalid, InvalidValue, Unauthenticated
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.problems import problem_responses
from app.core.http.responses import json_response, page_response
from app.core.principal import Principal
from app.events import service
from app.events.schemas import EventPage, EventsQuery, EventTypePage, described_types

router = APIRouter(prefix="/events", tags=["events"], route_class=AuthenticatedRoute)
TYPES = EventTypePage(items=described_types())


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
    before a position that was returned, however late its transaction commits. Begin with `from=now` if you do not need
    the events so far. With `order=newest`, pages lead back to the first event, where `next_cursor` is null.
    """
    _check_place(query)
    async with database.transaction(principal, read_only=True) as tx:
        items, cursor = await service.read_page(tx, principal, query)
        return page_response(request, EventPage, items, cursor)


def _check_place(query: EventsQuery) -> None:
    """Raise ``Invalid`` for parameters that name several places to read from."""
    place = query.after or query.cursor
    if query.start and (place or query.order == "newest"):
        detail = "from=now begins at the end of the log. Send it without after, cursor and order=newest."
        raise Invalid.of([InvalidValue.at("/query/from", detail)])
    if query.after and query.order == "newest":
        detail = "after is for order=oldest. For the next page of order=newest send its next_cursor as cursor."
        raise Invalid.of([InvalidValue.at("/query/after", detail)])


@router.get(
    "/types",
    summary="List the types of events",
    response_model=EventTypePage,
    responses=problem_responses(Unauthenticated, Forbidden),
)
async def list_event_types(_: Annotated[Principal, require("events:read")]) -> Response:
    """Returns every type with who may read it, what its `details` hold, and an example; all in one page.

    Webhooks (`event_types`) and `GET /v1/events?type=` take these types, `registration.*` for all whose type begins
    with `registration.`, and `*` for all.
    """
    return json_response(TYPES)
