"""Schemas of events, of the query for them, and of the catalogue of their types."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.database.pagination import PageQuery
from app.core.validation.schemas import LINE, AnyOf, Examples, Page, Resource, Timestamp, domain_validator
from app.events import catalogue
from app.events.catalogue import Reader

AN_ID = "019b2f6e-7a10-7c3e-9d55-0b8d7f3e2a11"


def example_of(described: catalogue.EventType) -> dict[str, Any]:
    """Return an event of a type as the partner that it belongs to reads it."""
    return {
        "id": AN_ID,
        "type": described.name,
        "name": described.name,
        "occurred_at": "2026-11-21T09:30:00.000000Z",
        "subject_id": "019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a" if described.subject else None,
        "actor_partner_id": "019b2f6e-5e00-7d2b-9a33-2e3d4c5b6a7f",
        "actor_client_id": None,
        "details": {each.name: each.example for each in described.details if not each.is_optional},
    }


_APPROVED = next(each for each in catalogue.CATALOGUE if each.name == "registration.approved")
EXAMPLE: Examples = example_of(_APPROVED)


class Event(Resource):
    """A recorded fact. ``actor_client_id`` is shown to the acting partner and to the regulator."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    type: Annotated[str, Field(description="One of `GET /v1/events/types`")]
    name: Annotated[str, Field(description="The same as `type`, by its former name", deprecated=True)]
    occurred_at: Timestamp
    subject_id: Annotated[UUID | None, Field(description="The resource that it is about")]
    actor_partner_id: UUID | None
    actor_client_id: UUID | None
    details: Annotated[dict[str, Any], Field(description="What `GET /v1/events/types` lists for the type")]


EventPage = Page[Event]

EventPattern = Annotated[
    str,
    LINE,
    domain_validator(catalogue.check_pattern),
    Field(
        description="A type such as `registration.approved`, all of a subject (`registration.*`), or `*`",
        examples=["registration.approved", "registration.*"],
        json_schema_extra={"pattern": r"^(\*|[a-z_]+\.(\*|[a-z_]+))$"},
    ),
]


class EventsQuery(PageQuery):
    """The events wanted, and the place to read on from: ``after`` and ``cursor`` are the id of the last event read."""

    after: Annotated[UUID | None, Field(description="The id of the last event read; absent: from the first")] = None
    cursor: Annotated[UUID | None, Field(description="`next_cursor` of the page before; as `after`")] = None  # type: ignore[assignment]  # an event's id is its cursor
    start: Annotated[
        Literal["now"] | None,
        Field(alias="from", description="`now`: no events yet, but the `next_cursor` to read the coming ones from"),
    ] = None
    order: Annotated[
        Literal["oldest", "newest"],
        Field(description="`oldest` first, to follow the log; or `newest` first, to look at it"),
    ] = "oldest"
    type: Annotated[
        AnyOf[EventPattern],
        Field(description="`registration.approved`, or `registration.*`; repeated: any of them"),
    ] = None
    name: Annotated[
        AnyOf[EventPattern],
        Field(description="The same as `type`, by its former name", deprecated=True),
    ] = None
    subject_id: Annotated[UUID | None, Field(description="The registration, applicant, … that it is about")] = None

    @property
    def names(self) -> list[str]:
        """The names of the events wanted; none means all."""
        patterns = (*(self.type or ()), *(self.__dict__["name"] or ()))
        if catalogue.EVERYTHING in patterns:
            return []
        return sorted({name for pattern in patterns for name in catalogue.names_of(pattern)})


class EventDetail(Resource):
    """A field of an event's `details`."""

    name: str
    description: str
    is_optional: Annotated[bool, Field(description="True when some events of the type lack it")]
    is_remark: Annotated[bool, Field(description="True when operators are not shown it")]


def _description(described: catalogue.EventType) -> dict[str, Any]:
    fields = EventDetail.model_fields
    return {
        "type": described.name,
        "description": described.description,
        "subject": described.subject,
        "seen_by": list(described.seen_by),
        "details": [{name: getattr(detail, name) for name in fields} for detail in described.details],
        "example": example_of(described),
    }


class EventType(Resource):
    """A type of event: who may read it, what its `details` hold, and an example."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [_description(_APPROVED)]},
    )

    type: str
    description: str
    subject: Annotated[str | None, Field(description="The kind of resource that `subject_id` names")]
    seen_by: Annotated[
        list[Reader],
        Field(description="`partner`: the one that it belongs to; `operator`: the one that it names"),
    ]
    details: list[EventDetail]
    example: Event


EventTypePage = Page[EventType]


def described_types() -> list[EventType]:
    """Return the catalogue as it is shown."""
    return [EventType.model_validate(_description(each)) for each in catalogue.CATALOGUE]
