"""Request and response bodies of confirmations and of the board of enforcers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from app.allowlist.formats import DIGEST
from app.allowlist.schemas import MAX_SERIAL
from app.core.database.pagination import PageQuery
from app.core.errors import FieldError, InvalidValue
from app.core.validation.schemas import LINE, AnyOf, Body, Examples, Instant, Line100, Resource, Timestamp
from app.enforcers.rules import MAX_CONFIRMATIONS, EnforcerState, Grade

EXAMPLE: Examples = {
    "enforcer": "isb-edge-1",
    "session": "019b2f6e-0000-7000-8000-000000000001",
    "serial": 3,
    "digest": DIGEST,
    "applied_at": "2026-11-21T09:30:02Z",
}


class Confirmation(Body):
    """A list that an enforcer has applied."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    enforcer: Annotated[Line100, Field(description="A name of your choice, the same each time")]
    session: UUID
    serial: Annotated[int, Field(strict=True, ge=1, le=MAX_SERIAL)]
    digest: Annotated[str, LINE, Field(pattern=r"^[0-9a-f]{64}$", description="The digest of the list that it has")]
    applied_at: Instant


class Confirmations(Body):
    """Up to 1,000 lists that your enforcers have applied, one an enforcer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [EXAMPLE]}]})

    items: Annotated[list[Confirmation], Field(min_length=1, max_length=MAX_CONFIRMATIONS)]

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Refuse an enforcer that is named twice."""
        items, first = given.get("items"), dict[str, int]()
        for place, item in enumerate(items if isinstance(items, list) else ()):
            name = item.get("enforcer") if isinstance(item, dict) else None
            if isinstance(name, str) and first.setdefault(name.strip(), place) != place:
                detail = f"Item {first[name.strip()]} is of this enforcer too. Send the newest alone."
                yield InvalidValue.at(f"/items/{place}/enforcer", detail)


class ConfirmedList(Resource):
    """How an enforcer's newest confirmed list compares with the publications."""

    enforcer: str
    in_step: bool
    behind_serials: Annotated[int, Field(description="Publications that it lacks")]
    behind_seconds: Annotated[int, Field(description="Seconds since the first of them")]
    matches: Annotated[bool, Field(description="False: no list was published with this session, serial and digest")]


class ConfirmedLists(Resource):
    """One result per confirmation, in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "enforcer": "isb-edge-1",
                            "in_step": True,
                            "behind_serials": 0,
                            "behind_seconds": 0,
                            "matches": True,
                        }
                    ]
                }
            ]
        }
    )

    items: Sequence[ConfirmedList]


class Enforcer(Resource):
    """An enforcer with the newest list that is known of it."""

    id: UUID
    operator: str
    enforcer: Annotated[str, Field(description="Its name; of the grade `fetched`, the name of the client")]
    grade: Grade
    state: Annotated[EnforcerState, Field(description="As of the last check, which is every 30 seconds")]
    state_since: Timestamp
    session: UUID
    serial: int
    matches: bool
    behind_serials: int
    behind_seconds: int
    applied_at: Timestamp | None
    seen_at: Timestamp


class OperatorLine(Resource):
    """An operator's enforcers together, as associations see them: no names, no numbers, no lag."""

    operator: str
    grade: Grade
    state: EnforcerState


class EnforcerPage(Resource):
    """One page of the board; an association gets one line an operator."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"items": [{"operator": "nayatel", "grade": "applied", "state": "in_step"}], "next_cursor": None}
            ]
        }
    )

    items: Sequence[Enforcer | OperatorLine]
    next_cursor: str | None = None


class EnforcersQuery(PageQuery):
    """Filters of the board."""

    operator: AnyOf[Annotated[str, LINE, Field(max_length=100, examples=["nayatel"])]] = None
    grade: AnyOf[Grade] = None
    state: AnyOf[EnforcerState] = None
