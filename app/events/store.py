"""Recording events in the transaction in which they happen, and reading them without skipping one."""

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

# What an officer writes to the registrant is between the two of them.
KEPT_FROM_OPERATORS = ("note", "legal_basis")
# What can be erased of an event's details, and under which name they say so. A trigger holds changes to that.
ERASABLE, ERASED = ("reference",), "erased"
# Nothing that is still to commit can come before these.
SETTLED = Event.transaction_id < func.pg_snapshot_xmin(func.pg_current_snapshot())


# The order of the log; the id decides between rows that only a hand could have given the same place.
PLACE = (Event.transaction_id, Event.sequence, Event.id)


class Happening(NamedTuple):
    """An event before it is recorded. ``name`` is ``subject.action``; whose business it is as in ``Event``."""

    name: str
    subject_id: UUID | None = None
    partner_id: UUID | None = None
    operator: str | None = None
    details: dict[str, Any] | None = None


class Recorded(NamedTuple):
    """An event as it is recorded, but for its place in the log; the names are those of ``Event``."""

    id: UUID
    occurred_at: datetime
    name: str
    subject_id: UUID | None
    partner_id: UUID | None
    operator: str | None
    actor_client_id: UUID | None
    actor_partner_id: UUID | None
    details: dict[str, Any]


_RECORDED = [Event.__table__.c[name] for name in Recorded._fields]


async def record(tx: Transaction, actor: Principal | None, happenings: Sequence[Happening]) -> list[UUID]:
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
            "details": each.details or {},
        }
        for id_, each in zip(ids, happenings, strict=True)
    ]
    kinds = {"id": Uuid, "name": Text, "subject_id": Uuid, "partner_id": Uuid, "operator": Text, "details": JSONB}
    batch = json_rows("happening", kinds, rows)
    await tx.execute(insert(Event).from_select([*kinds, *_by(actor)], select(*batch.c, *_by(actor).values())))
    return ids


async def record_each(tx: Transaction, actor: Principal | None, name: str, happened: Rows) -> None:
    """Record an event ``name`` for each row of a statement, in its order: its subject, partner, operator, details."""
    await tx.execute(recording(name, happened, _by(actor)))


def recording(name: str, happened: Rows, by: Mapping[str, ColumnElement[Any]]) -> Insert:
    """The statement of ``record_each``, for one that does what happened and tells it at once.

    ``by`` gives ``actor_client_id`` and ``actor_partner_id``.
    """
    each = happened.subquery()
    columns = ["id", "name", "subject_id", "partner_id", "operator", "details", *by]
    rows = select(UUID7, literal(name, Text), *each.c, *by.values())
    return insert(Event).from_select(columns, rows)


def erasable_of(details: Mapping[str, Any]) -> dict[str, Any]:
    """What can be erased of an event's details."""
    return {name: details[name] for name in ERASABLE if details.get(name) is not None}


def without_erasable(details: Mapping[str, Any]) -> dict[str, Any]:
    """An event's details after its erasure."""
    return {name: each for name, each in details.items() if name not in ERASABLE} | {ERASED: list(ERASABLE)}


async def with_erasable(tx: Transaction, subject_ids: Collection[UUID]) -> list[Recorded]:
    """The events of these subjects that hold something erasable."""
    holds = or_(*(Event.details[name].astext.is_not(None) for name in ERASABLE))
    statement = select(*_RECORDED).where(any_of(Event.subject_id, subject_ids), holds)
    return [Recorded._make(each) for each in await tx.execute(statement)]


async def erase(tx: Transaction, event_ids: Collection[UUID]) -> None:
    """Take out of the details of events what can be erased, as ``without_erasable``."""
    kept = Event.details.op("-", return_type=JSONB)(literal(list(ERASABLE), ARRAY(Text)))
    marked = kept.op("||", return_type=JSONB)(literal({ERASED: list(ERASABLE)}, JSONB))
    erased = update(Event).where(any_of(Event.id, event_ids)).values(details=marked)
    await tx.execute(erased.execution_options(synchronize_session=False))


async def of_subjects(tx: Transaction, name: str, subject_ids: Collection[UUID]) -> list[Recorded]:
    """The events of a name and of these subjects."""
    statement = select(*_RECORDED).where(any_of(Event.subject_id, subject_ids), Event.name == name)
    return [Recorded._make(each) for each in await tx.execute(statement)]


def _by(actor: Principal | None) -> dict[str, ColumnElement[Any]]:
    return {
        "actor_client_id": literal(actor.client_id if actor else None, Uuid),
        "actor_partner_id": literal(actor.partner_id if actor else None, Uuid),
    }


def _visible_to(principal: Principal) -> ColumnElement[bool]:
    if principal.sees_all:
        return true()
    everybodys = and_(Event.partner_id.is_(None), Event.operator.is_(None))
    own = Event.partner_id == principal.partner_id
    named = [Event.operator == principal.operator] if principal.operator else []
    return or_(everybodys, own, *named)


def shown_of(principal: Principal, event: Event) -> set[str]:
    """Which of ``actor_client_id`` and ``remarks``, what an officer wrote, the caller is shown of its event."""
    client = principal.sees_all or event.actor_partner_id == principal.partner_id
    remarks = principal.partner_kind != "operator"
    return {name for name, shown in (("actor_client_id", client), ("remarks", remarks)) if shown}


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


async def get(tx: Transaction, principal: Principal, event_id: UUID) -> Event:
    """An event that is the caller's business, as it is recorded (see ``shown_of``). Raises ``NotFound``."""
    event: Event | None = await tx.scalar(select(Event).where(Event.id == event_id, _visible_to(principal)))
    if event is None:
        raise NotFound
    return event


async def settled(tx: Transaction, *, after: UUID | None, limit: int) -> list[Recorded]:
    """The events of the whole log after ``after``, as they are recorded, in the order that can no longer change.

    Raises ``Invalid`` when there is no event ``after``.
    """
    found = await tx.execute(await _in_order(tx, select(*_RECORDED).where(SETTLED), after, limit))
    return [Recorded._make(each) for each in found]


async def read(
    tx: Transaction, principal: Principal, *, after: UUID | None, limit: int, subject_id: UUID | None = None
) -> Sequence[Any]:
    """The events after ``after`` (None: from the first) that are the caller's business, in reading order.

    Of one subject, every committed row. Of the whole log, only rows of transactions older than every running
    one: rows are in the order of their transactions, so one that commits late is never behind a position that
    was already handed out. Raises ``Invalid`` when there is no event ``after``.
    """
    concerned = SETTLED if subject_id is None else Event.subject_id == subject_id
    statement = await _in_order(tx, _shown_to(principal).where(concerned), after, limit)
    found: Sequence[Any] = (await tx.execute(statement)).all()
    return found


async def _in_order(tx: Transaction, statement: Select[Any], after: UUID | None, limit: int) -> Select[Any]:
    if after is not None:
        start = await tx.get(Event, after)
        if start is None:
            raise Invalid.of([InvalidValue.at("/query/after", "There is no event of that id.")])
        statement = statement.where(_comes_after(start))
    return statement.order_by(*PLACE).limit(limit)


def _comes_after(start: Event) -> ColumnElement[bool]:
    """By values, not by a join with ``start``: for that the index would be read from the log's first event on."""
    return tuple_(*PLACE) > tuple_(*(literal(getattr(start, each.key), each.type) for each in PLACE))


async def read_these(tx: Transaction, principal: Principal, ids: Sequence[UUID]) -> Sequence[Any]:
    """Those of the events of these ids that are the caller's business, in no order."""
    found: Sequence[Any] = (await tx.execute(_shown_to(principal).where(any_of(Event.id, ids)))).all()
    return found


async def newest_settled(tx: Transaction, *, after: UUID) -> UUID | None:
    """The last event that ``read`` can give to anyone, None when that is not after ``after``."""
    start = await tx.get(Event, after)
    if start is None:
        return None
    newest_first = select(Event.id).where(SETTLED, _comes_after(start)).order_by(*(each.desc() for each in PLACE))
    newest: UUID | None = await tx.scalar(newest_first.limit(1))
    return newest
