"""Every SQL statement about the event log: recording, reading in log order, and erasing."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Insert,
    Text,
    Tuple,
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
    union_all,
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
# The names of the events of cases begin with it.
CASE_EVENTS = "registration."
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


class Wanted(NamedTuple):
    """The events that a reader wants: of these names (none: all), and about this subject."""

    names: Collection[str] = ()
    subject_id: UUID | None = None


ALL = Wanted()
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
    return actor_of(actor.client_id, actor.partner_id) if actor else actor_of(None, None)


def actor_of(client_id: UUID | None, partner_id: UUID | None) -> ActorColumns:
    """``actor_columns`` of a client that does not call now."""
    return {"actor_client_id": literal(client_id, Uuid), "actor_partner_id": literal(partner_id, Uuid)}


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


def _audiences(principal: Principal) -> list[ColumnElement[bool]]:
    """Return conditions whose events are disjoint and together those that the caller may read."""
    if principal.sees_all:
        return [true()]
    public = and_(Event.partner_id.is_(None), Event.operator.is_(None))
    own = Event.partner_id == principal.partner_id
    naming_operator = and_(
        Event.operator == principal.operator, Event.partner_id.is_distinct_from(principal.partner_id)
    )
    return [public, own, *([naming_operator] if principal.operator else [])]


def _visible_to(principal: Principal) -> ColumnElement[bool]:
    return or_(*_audiences(principal))


def restricted_fields(principal: Principal, event: Event) -> set[str]:
    """Return the restricted fields of a visible event that the caller may read.

    These are ``actor_client_id``, for the acting partner and the regulator, and ``remarks``, for all but operators.
    """
    reads_client = principal.sees_all or event.actor_partner_id == principal.partner_id
    reads_remarks = principal.partner_kind != "operator"
    return {name for name, may_read in (("actor_client_id", reads_client), ("remarks", reads_remarks)) if may_read}


def _visible_fields(principal: Principal) -> list[ColumnElement[Any]]:
    """Return the columns of ``schemas.Event`` without what ``restricted_fields`` leaves out.

    The details of every event of a case name its operator.
    """
    client_id: ColumnElement[Any] = Event.actor_client_id.expression
    if not principal.sees_all:
        client_id = case((Event.actor_partner_id == principal.partner_id, Event.actor_client_id), else_=null())
    names_operator = and_(Event.operator.is_not(None), Event.name.startswith(CASE_EVENTS, autoescape=True))
    operator = func.jsonb_build_object("operator", Event.operator)
    details: ColumnElement[Any] = case(
        (names_operator, operator.op("||", return_type=JSONB)(Event.details)), else_=Event.details
    )
    if principal.partner_kind == "operator":
        details = details.op("-", return_type=JSONB)(literal(list(REMARKS), ARRAY(Text)))
    unchanged = [Event.__table__.c[name] for name in ("id", "name", "occurred_at", "subject_id", "actor_partner_id")]
    return [*unchanged, Event.name.label("type"), client_id.label("actor_client_id"), details.label("details")]


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
    statement = select(*_RECORDED).where(SETTLED, await _beyond(tx, after))
    rows = await tx.execute(statement.order_by(*LOG_ORDER).limit(limit))
    return [RecordedEvent._make(row) for row in rows]


async def read_history(
    tx: Transaction, principal: Principal, subject_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[Any]:
    """Return visible events of a subject after the event ``after``, also unsettled ones, in the order of the log.

    Raises ``Invalid`` when ``after`` does not exist.
    """
    beyond = await _beyond(tx, after)
    statement = select(*_visible_fields(principal)).where(
        Event.subject_id == subject_id, beyond, _visible_to(principal)
    )
    rows: Sequence[Any] = (await tx.execute(statement.order_by(*LOG_ORDER).limit(limit))).all()
    return rows


async def read(
    tx: Transaction,
    principal: Principal,
    *,
    after: UUID | None,
    limit: int,
    wanted: Wanted = ALL,
    newest_first: bool = False,
) -> Sequence[Any]:
    """Return visible events after the event ``after`` (None: from the first), in the order of the log or its reverse.

    Only settled events are returned: transactions that are still running may insert events before newer ones, and a
    reader that had passed that place would miss them.

    Raises ``Invalid`` when ``after`` does not exist.
    """
    order = [each.desc() if newest_first else each for each in LOG_ORDER]
    beyond = await _beyond(tx, after, newest_first=newest_first)
    parts = [
        select(*LOG_ORDER).where(SETTLED, beyond, part).order_by(*order).limit(limit)
        for part in _parts(principal, wanted)
    ]
    found = (union_all(*parts) if len(parts) > 1 else parts[0]).subquery("found")
    statement = select(*_visible_fields(principal)).join(found, Event.id == found.c.id).order_by(*order).limit(limit)
    rows: Sequence[Any] = (await tx.execute(statement)).all()
    return rows


def _parts(principal: Principal, wanted: Wanted) -> list[ColumnElement[bool]]:
    """Return disjoint conditions of the events wanted, each of which one index has in the order of the log."""
    is_named = any_of(Event.name, wanted.names) if wanted.names else true()
    if wanted.subject_id is not None:
        return [and_(_visible_to(principal), Event.subject_id == wanted.subject_id, is_named)]
    if principal.sees_all and wanted.names:
        return [Event.name == name for name in wanted.names]
    return [and_(audience, is_named) for audience in _audiences(principal)]


async def _beyond(tx: Transaction, place: UUID | None, *, newest_first: bool = False) -> ColumnElement[bool]:
    """Return the condition of being after the event ``place``, or before it. Raises ``Invalid`` without such an event.

    It compares with values: a join with ``place`` would read the index from the first event of the log.
    """
    if place is None:
        return true()
    start = await tx.get(Event, place)
    if start is None:
        raise Invalid.of([InvalidValue.at("/query/after", "There is no event with this id.")])
    return tuple_(*LOG_ORDER) < _place_of(start) if newest_first else tuple_(*LOG_ORDER) > _place_of(start)


def _place_of(event: Event) -> Tuple:
    return tuple_(*(literal(getattr(event, each.key), each.type) for each in LOG_ORDER))


async def read_by_ids(tx: Transaction, principal: Principal, ids: Sequence[UUID]) -> Sequence[Any]:
    """Return the visible events among these ids, in no order."""
    statement = select(*_visible_fields(principal)).where(any_of(Event.id, ids), _visible_to(principal))
    rows: Sequence[Any] = (await tx.execute(statement)).all()
    return rows


async def newest_settled_id(tx: Transaction, *, after: UUID) -> UUID | None:
    """Return the id of the last settled event; None when it is not after the event ``after``."""
    start = await tx.get(Event, after)
    if start is None:
        return None
    newest_first = (
        select(Event.id)
        .where(SETTLED, tuple_(*LOG_ORDER) > _place_of(start))
        .order_by(*(each.desc() for each in LOG_ORDER))
    )
    newest: UUID | None = await tx.scalar(newest_first.limit(1))
    return newest
