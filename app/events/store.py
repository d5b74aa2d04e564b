"""Every SQL statement about the event log: recording, reading in log order, and erasing."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Insert,
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
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from uuid_utils.compat import uuid7

from app.core.database.batches import UUID7, Rows, any_of, json_rows
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, InvalidValue, NotFound
from app.core.principal import Principal
from app.events.models import Event

# An officer's remarks to the registrant, which operators are not shown.
REMARKS = ("note", "legal_basis")
# The erasable names of an event's details, and the name that lists them once erased; a trigger allows no other change.
ERASABLE, ERASED = ("reference",), "erased"
# Events that no transaction still running can precede in the log (PostgreSQL docs, 9.28.9).
SETTLED = Event.transaction_id < func.pg_snapshot_xmin(func.pg_current_snapshot())
# The order of the log. The id decides only between rows that someone inserted by hand with equal numbers.
LOG_ORDER = (Event.transaction_id, Event.sequence, Event.id)

ActorColumns = Mapping[str, ColumnElement[Any]]


class NewEvent(NamedTuple):
    """An event to record. ``name`` is ``subject.action``; ``partner_id`` and ``operator`` are as in ``Event``."""

    name: str
    subject_id: UUID | None = None
    partner_id: UUID | None = None
    operator: str | None = None
    details: dict[str, Any] | None = None


class RecordedEvent(NamedTuple):
    """A row of ``Event`` without its place in the log."""

    id: UUID
    occurred_at: datetime
    name: str
    subject_id: UUID | None
    partner_id: UUID | None
    operator: str | None
    actor_client_id: UUID | None
    actor_partner_id: UUID | None
    details: dict[str, Any]


_RECORDED = [Event.__table__.c[name] for name in RecordedEvent._fields]


async def record(tx: Transaction, actor: Principal | None, new_events: Sequence[NewEvent]) -> list[UUID]:
    """Record events in this order and return their ids; ``actor`` is None for the service itself."""
    ids = [uuid7() for _ in new_events]
    rows = [
        {**event._asdict(), "id": id_, "details": event.details or {}}
        for id_, event in zip(ids, new_events, strict=True)
    ]
    if rows:
        kinds = {"id": Uuid, "name": Text, "subject_id": Uuid, "partner_id": Uuid, "operator": Text, "details": JSONB}
        batch, by = json_rows("new_event", kinds, rows), actor_columns(actor)
        await tx.execute(insert(Event).from_select([*kinds, *by], select(*batch.c, *by.values())))
    return ids


def insert_events(name: str, rows: Rows, actor: ActorColumns) -> Insert:
    """Insert an event ``name`` for each row of a statement, in its order.

    The columns of ``rows`` are the subject's id, the partner's id, the operator and the details. ``actor`` has the
    columns of ``actor_columns``.
    """
    columns = ["id", "name", "subject_id", "partner_id", "operator", "details", *actor]
    values = select(UUID7, literal(name, Text), *rows.subquery().c, *actor.values())
    return insert(Event).from_select(columns, values)


def actor_columns(actor: Principal | None) -> ActorColumns:
    """Return the values of ``actor_client_id`` and ``actor_partner_id``; null for the service itself."""
    return {
        "actor_client_id": literal(actor.client_id if actor else None, Uuid),
        "actor_partner_id": literal(actor.partner_id if actor else None, Uuid),
    }


def erasable_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an event's details that can be erased."""
    return {name: details[name] for name in ERASABLE if details.get(name) is not None}


def without_erasable(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's details as they are after erasure."""
    return {name: each for name, each in details.items() if name not in ERASABLE} | {ERASED: list(ERASABLE)}


async def with_erasable(tx: Transaction, subject_ids: Collection[UUID]) -> list[RecordedEvent]:
    """Return the events of these subjects that have erasable details."""
    is_erasable = or_(*(Event.details[name].astext.is_not(None) for name in ERASABLE))
    statement = select(*_RECORDED).where(any_of(Event.subject_id, subject_ids), is_erasable)
    return [RecordedEvent._make(row) for row in await tx.execute(statement)]


async def erase(tx: Transaction, event_ids: Collection[UUID]) -> None:
    """Erase the erasable details of events, with the result of ``without_erasable``."""
    kept = Event.details.op("-", return_type=JSONB)(literal(list(ERASABLE), ARRAY(Text)))
    marked = kept.op("||", return_type=JSONB)(literal({ERASED: list(ERASABLE)}, JSONB))
    erased = update(Event).where(any_of(Event.id, event_ids)).values(details=marked)
    await tx.execute(erased.execution_options(synchronize_session=False))


async def of_subjects(tx: Transaction, name: str, subject_ids: Collection[UUID]) -> list[RecordedEvent]:
    """Return the events ``name`` of these subjects, in no order."""
    statement = select(*_RECORDED).where(any_of(Event.subject_id, subject_ids), Event.name == name)
    return [RecordedEvent._make(row) for row in await tx.execute(statement)]


def _visible_to(principal: Principal) -> ColumnElement[bool]:
    if principal.sees_all:
        return true()
    is_public = and_(Event.partner_id.is_(None), Event.operator.is_(None))
    own = Event.partner_id == principal.partner_id
    of_operator = [Event.operator == principal.operator] if principal.operator else []
    return or_(is_public, own, *of_operator)


def restricted_fields(principal: Principal, event: Event) -> set[str]:
    """Return the restricted fields of a visible event that the caller may read.

    These are ``actor_client_id``, for the acting partner and the regulator, and ``remarks``, for all but operators.
    """
    reads_client = principal.sees_all or event.actor_partner_id == principal.partner_id
    reads_remarks = principal.partner_kind != "operator"
    return {name for name, may_read in (("actor_client_id", reads_client), ("remarks", reads_remarks)) if may_read}


def _visible_events(principal: Principal) -> Select[Any]:
    """Select the events that the caller may read, without the fields that ``restricted_fields`` leaves out."""
    details = Event.details.op("-", return_type=JSONB)(literal(list(REMARKS), ARRAY(Text)))
    client_id = Event.actor_client_id
    if not principal.sees_all:
        client_id = case((Event.actor_partner_id == principal.partner_id, Event.actor_client_id), else_=null())  # type: ignore[assignment]  # a column expression either way
    return select(
        Event.id,
        Event.name,
        Event.occurred_at,
        Event.subject_id,
        Event.actor_partner_id,
        client_id.label("actor_client_id"),
        (details if principal.partner_kind == "operator" else Event.details).label("details"),
    ).where(_visible_to(principal))


async def get(tx: Transaction, principal: Principal, event_id: UUID) -> Event:
    """Return a visible event with all its fields (see ``restricted_fields``). Raises ``NotFound``."""
    event: Event | None = await tx.scalar(select(Event).where(Event.id == event_id, _visible_to(principal)))
    if event is None:
        raise NotFound
    return event


async def read_settled(tx: Transaction, *, after: UUID | None, limit: int) -> list[RecordedEvent]:
    """Return settled events of everyone after the event ``after``, in the order of the log.

    Raises ``Invalid`` when ``after`` does not exist.
    """
    rows = await tx.execute(await _in_log_order(tx, select(*_RECORDED).where(SETTLED), after, limit))
    return [RecordedEvent._make(row) for row in rows]


async def read(
    tx: Transaction, principal: Principal, *, after: UUID | None, limit: int, subject_id: UUID | None = None
) -> Sequence[Any]:
    """Return visible events after the event ``after`` (None: from the first), in the order of the log.

    With ``subject_id``, all its committed events. Without it, only settled events: transactions that are still running
    may insert events before newer ones, and a reader that had passed that place would miss them.

    Raises ``Invalid`` when ``after`` does not exist.
    """
    condition = SETTLED if subject_id is None else Event.subject_id == subject_id
    statement = await _in_log_order(tx, _visible_events(principal).where(condition), after, limit)
    rows: Sequence[Any] = (await tx.execute(statement)).all()
    return rows


async def _in_log_order(tx: Transaction, statement: Select[Any], after: UUID | None, limit: int) -> Select[Any]:
    if after is not None:
        start = await tx.get(Event, after)
        if start is None:
            raise Invalid.of([InvalidValue.at("/query/after", "There is no event with this id.")])
        statement = statement.where(_is_after(start))
    return statement.order_by(*LOG_ORDER).limit(limit)


def _is_after(start: Event) -> ColumnElement[bool]:
    # compares with values: a join with ``start`` would read the index from the first event of the log
    return tuple_(*LOG_ORDER) > tuple_(*(literal(getattr(start, each.key), each.type) for each in LOG_ORDER))


async def read_by_ids(tx: Transaction, principal: Principal, ids: Sequence[UUID]) -> Sequence[Any]:
    """Return the visible events among these ids, in no order."""
    rows: Sequence[Any] = (await tx.execute(_visible_events(principal).where(any_of(Event.id, ids)))).all()
    return rows


async def newest_settled_id(tx: Transaction, *, after: UUID) -> UUID | None:
    """Return the id of the last settled event; None when it is not after the event ``after``."""
    start = await tx.get(Event, after)
    if start is None:
        return None
    newest_first = select(Event.id).where(SETTLED, _is_after(start)).order_by(*(each.desc() for each in LOG_ORDER))
    newest: UUID | None = await tx.scalar(newest_first.limit(1))
    return newest
