"""Schemas of events and of the query for them."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.database.pagination import PageQuery
from app.core.validation.schemas import Examples, Page, Resource, Timestamp

EXAMPLE: Examples = {
    "id": "019b2f6e-7a10-7c3e-9d55-0b8d7f3e2a11",
    "name": "registration.approved",
    "occurred_at": "2026-11-21T09:30:00.000000Z",
    "subject_id": "019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a",
    "actor_partner_id": "019b2f6e-5e00-7d2b-9a33-2e3d4c5b6a7f",
    "actor_client_id": None,
    "details": {"status": "approved", "reason_codes": [], "note": None},
}


class Event(Resource):
    """A recorded fact. ``actor_client_id`` is shown to the acting partner and to the regulator."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    name: str
    occurred_at: Timestamp
    subject_id: UUID | None
    actor_partner_id: UUID | None
    actor_client_id: UUID | None
    details: dict[str, Any]


EventPage = Page[Event]


class EventsQuery(PageQuery):
    """The place to read on from. ``after`` and ``cursor`` are the same: the id of the last event read."""

    after: Annotated[UUID | None, Field(description="The id of the last event read; absent: from the first")] = None
    cursor: Annotated[UUID | None, Field(description="The same as `after`")] = None  # type: ignore[assignment]  # an event's id is its cursor
