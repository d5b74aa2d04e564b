"""Recording events in the transaction in which they happen, and reading them without skipping one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    case,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import aliased
from uuid_utils.compat import uuid7

from app.core.db import ReadSession, WriteSession
from app.core.errors import Invalid, InvalidValue
from app.core.orm import among, recordset
from app.core.security import Principal
from app.events.models import Event

# What an officer writes to the registrant is between the two of them.
KEPT_FROM_OPERATORS = ("note", "legal_basis")


@dataclass(frozen=True, slots=True)
class Happening:
    """An event before it is recorded. ``name`` is ``subject.action``; whose business it is as in ``Event``."""

    name: str
    subject_id: UUID | None = None
    partner_id: UUID | None = None
    operator: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


async def record(session: WriteSession, actor: Principal | None, happenings: Sequence[Happening]) -> list[UUID]:
    """Record what happened, in this order, by ``actor`` (None: the service itself); gives the events' ids."""
    if not happenings:
        return []
    ids = [uuid7() for _ in happenings]
    rows = [
        {
            "id": id_,
            "name": each.name,
            "subject_id": each.subject_id,
            "partner_id": each.partner_id,
            "operator": each.operator,
            "details": each.details,
            "actor_client_id": actor.client_id if actor else None,
            "actor_partner_id": actor.partner_id if actor else None,
        }
        for id_, each in zip(ids, happenings, strict=True)
    ]
    kinds = {"id": Uuid, "name": Text, "subject_id": Uuid, "partner_id": Uuid, "operator": Text, "details": JSONB,
             "actor_client_id": Uuid, "actor_partner_id": Uuid}  # fmt: skip
    batch = recordset("happening", kinds, rows)
    await session.execute(insert(Event).from_select(list(kinds), select(*batch.c)))
    return ids


def _visible_to(principal: Principal) -> ColumnElement[bool]:
    if principal.sees_all:
        return true()
    everybodys = and_(Event.partner_id.is_(None), Event.operator.is_(None))
    if principal.partner_kind == "operator":
        return or_(everybodys, Event.operator == principal.operator)
    return or_(everybodys, Event.partner_id == principal.partner_id)


def _shown_to(principal: Principal) -> Select[Any]:
    operators = principal.partner_kind == "operator"
    details = Event.details.op("-", return_type=JSONB)(literal(list(KEPT_FROM_OPERATORS), ARRAY(Text)))
    own_client = Event.actor_client_id
    if not principal.sees_all:
        own_client = case((Event.actor_partner_id == principal.partner_id, Event.actor_client_id), else_=null())  # type: ignore[assignment]  # a column expression either way
    return select(
        Event.id,
        Event.name,
        Event.occurred_at,
        Event.subject_id,
        Event.actor_partner_id,
        own_client.label("actor_client_id"),
        (details if operators else Event.details).label("details"),
    ).where(_visible_to(principal))


async def read(
    session: ReadSession, principal: Principal, *, after: UUID | None, limit: int, subject_id: UUID | None = None
) -> Sequence[Any]:
    """The events after ``after`` (None: from the first) that are the caller's business, in reading order.

    Of one subject, every committed row. Of the whole log, only rows of transactions older than every running
    one: rows are in the order of their transactions, so one that commits late is never behind a position that
    was already handed out. Raises ``Invalid`` when there is no event ``after``.
    """
    statement = _shown_to(principal)
    if subject_id is not None:
        statement = statement.where(Event.subject_id == subject_id)
    else:
        statement = statement.where(Event.transaction_id < func.pg_snapshot_xmin(func.pg_current_snapshot()))
    if after is not None:
        if await session.get(Event, after) is None:
            raise Invalid.of([InvalidValue.at("/query/after", "There is no event of that id.")])
        start = aliased(Event)
        statement = statement.join(start, start.id == after).where(
            tuple_(Event.transaction_id, Event.sequence) > tuple_(start.transaction_id, start.sequence)
        )
    ordered = statement.order_by(Event.transaction_id, Event.sequence)
    found: Sequence[Any] = (await session.execute(ordered.limit(limit))).all()
    return found


async def read_these(session: ReadSession, principal: Principal, ids: Sequence[UUID]) -> Sequence[Any]:
    """Those of the events of these ids that are the caller's business, in no order."""
    found: Sequence[Any] = (await session.execute(_shown_to(principal).where(among(Event.id, ids)))).all()
    return found


async def newest_settled(session: ReadSession, *, after: UUID) -> UUID | None:
    """The last event that ``read`` can give to anyone, None when that is not after ``after``."""
    start = aliased(Event)
    statement = (
        select(Event.id)
        .join(start, start.id == after)
        .where(
            Event.transaction_id < func.pg_snapshot_xmin(func.pg_current_snapshot()),
            tuple_(Event.transaction_id, Event.sequence) > tuple_(start.transaction_id, start.sequence),
        )
        .order_by(Event.transaction_id.desc(), Event.sequence.desc())
        .limit(1)
    )
    newest: UUID | None = await session.scalar(statement)
    return newest
