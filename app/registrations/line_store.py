"""SQL of lines: locking the cases that replace one another, and noting which case replaces which."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Text,
    Uuid,
    all_,
    and_,
    any_,
    bindparam,
    case,
    column,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by, array
from sqlalchemy.orm import aliased

from app.core.database.batches import Rows, any_of
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.events import store as events
from app.registrations.lines import ReplacedCase
from app.registrations.models import Registration, RegistrationNetwork
from app.registrations.rules import Status

_UUIDS: ARRAY[UUID] = ARRAY(Uuid)
_KINDS: dict[str, Any] = {"status": Text, "subject": Text, "code_hash": Text, "is_listed": Boolean}
_REPLACED = func.lock_replaced(bindparam("ids", type_=_UUIDS), bindparam("hashes", type_=ARRAY(Text))).table_valued(
    *(column(name, _KINDS.get(name, Uuid)) for name in ReplacedCase._fields)
)
_LOCK_REPLACED = Statement(select(*_REPLACED.c))
_SET_REPLACED_BY = Statement(
    select(func.set_replaced_by(*(bindparam(name, type_=_UUIDS) for name in ("ids", "before", "after"))))
)


async def lock_lines(tx: Transaction, condition: ColumnElement[bool]) -> None:
    """Lock the lines of the cases that meet a condition, in order of their ids; nothing for cases without a line.

    What a case replaces never changes, so the cases before it are locked for certain. One that is to replace it may be
    submitted meanwhile, which changes the earlier case and waits for its lock.
    """
    columns = (Registration.id, Registration.replaces, Registration.replaced_by)
    has_line = or_(Registration.replaces.is_not(None), Registration.replaced_by.is_not(None))
    line = select(*columns).where(condition, has_line).cte("line", recursive=True)
    neighbours = array([line.c.replaces, line.c.replaced_by])
    next_ = select(*columns).join(line, Registration.id == any_(neighbours))
    line = line.union(next_)
    found = select(Registration.id).where(Registration.id.in_(select(line.c.id)))
    locked = found.order_by(Registration.id).with_for_update(of=Registration).subquery("locked")
    await tx.execute(select(func.count()).select_from(locked))


async def lock_replaced(
    tx: Transaction, ids: Collection[UUID], hashes: Collection[str] = ()
) -> dict[UUID, ReplacedCase]:
    """Lock cases to be replaced, in order of their ids: by id, or by the hashes of valid transfer codes.

    A partner gets its own cases, those of the codes, and those that its own cases replace already.
    """
    found = await tx.fetch(_LOCK_REPLACED, ids=sorted(ids), hashes=list(hashes))
    return {row["id"]: ReplacedCase(*row) for row in found}


async def set_replaced_by(
    tx: Transaction, cases: Sequence[UUID], before: Sequence[UUID | None], after: Sequence[UUID | None]
) -> None:
    """Change by which case each of ``cases``, which are locked, is replaced, where it is as ``before``."""
    if cases:
        await tx.fetch(_SET_REPLACED_BY, ids=cases, before=before, after=after)


async def remove_networks(tx: Transaction, registration_id: UUID, networks: Collection[str]) -> None:
    """Take networks away from a case, which keeps others."""
    own = (RegistrationNetwork.registration_id == registration_id, any_of(RegistrationNetwork.network, networks))
    await tx.execute(delete(RegistrationNetwork).where(*own))


async def free_replaced(tx: Transaction, successors: Mapping[UUID, UUID]) -> None:
    """Note that ``successors``, with the case that each was to replace, replace nothing for now."""
    ids = sorted(successors)
    await set_replaced_by(tx, [successors[id_] for id_ in ids], ids, [None] * len(ids))


def is_unchanged_renewal(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition of meeting another and replacing a case of the same operator and networks, in any order."""
    replaced, own, others = aliased(Registration), aliased(RegistrationNetwork), aliased(RegistrationNetwork)
    networks = [
        select(func.array_agg(aggregate_order_by(each.network, each.network))).where(each.registration_id == id_)
        for each, id_ in ((own, Registration.id), (others, replaced.id))
    ]
    one, other = (each.correlate(Registration, replaced).scalar_subquery() for each in networks)
    same = and_(replaced.id == Registration.replaces, replaced.operator == Registration.operator, one == other)
    return and_(
        condition, Registration.replaces.is_not(None), exists(select(replaced.id).where(same).correlate(Registration))
    )


def with_replaces(details: ColumnElement[Any], replaces: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the details of an event with ``replaces``, where the case replaces another."""
    named = func.jsonb_build_object("replaces", replaces)
    return case((replaces.is_not(None), details.op("||", return_type=JSONB)(named)), else_=details)


async def record_superseded(tx: Transaction, actor: Principal, ids: Sequence[UUID]) -> None:
    """Record that cases were superseded, by which, and which networks both, only the new and only the old one have."""
    if ids:
        rows = _handed_over(ids, ("by", "kept", "added", "removed"))
        await tx.execute(events.insert_events("registration.superseded", rows, events.actor_columns(actor)))


async def record_transferred(tx: Transaction, actor: Principal, ids: Sequence[UUID]) -> None:
    """Record that another partner took cases over, which networks it kept, and not which partner."""
    if ids:
        rows = _handed_over(ids, ("kept", "removed"))
        await tx.execute(events.insert_events("registration.transferred", rows, events.actor_columns(actor)))


def _handed_over(ids: Sequence[UUID], names: Collection[str]) -> Rows:
    """Select the rows of ``events.insert_events`` of superseded cases, with these details."""
    successor = aliased(Registration)
    arrays = (Registration.networks.label("old"), _networks_of(successor).label("new"), successor.id.label("by"))
    columns = (Registration.id, Registration.partner_id, Registration.operator, Registration.reference)
    pairs = select(*columns, *arrays).join(successor, Registration.replaced_by == successor.id)
    both = pairs.where(any_of(Registration.id, ids)).order_by(Registration.id).offset(0).subquery("both")
    old, new = both.c.old, both.c.new
    told: dict[str, ColumnElement[Any]] = {
        "by": both.c.by,
        "kept": case((old == new, func.to_jsonb(old)), else_=_in_both(old, new)),
        "added": case((old == new, _NONE), else_=_in_one(new, old)),
        "removed": case((old == new, _NONE), else_=_in_one(old, new)),
    }
    given = {"status": literal(Status.SUPERSEDED.value, Text), "networks": old, "reference": both.c.reference}
    pairs_of_details = ((literal(name, Text), each) for name, each in {**given, **{n: told[n] for n in names}}.items())
    details = func.jsonb_build_object(*(part for pair in pairs_of_details for part in pair))
    return select(both.c.id, both.c.partner_id, both.c.operator, details.label("details"))


_NONE = literal_column("'[]'::jsonb", JSONB)


def _networks_of(case_: Any) -> ColumnElement[Any]:
    rows = select(func.array_agg(aggregate_order_by(RegistrationNetwork.network, RegistrationNetwork.position)))
    return rows.where(RegistrationNetwork.registration_id == case_.id).correlate(case_).scalar_subquery()


def _in_both(some: ColumnElement[Any], others: ColumnElement[Any]) -> ColumnElement[Any]:
    network = func.unnest(some).column_valued("network")
    return func.coalesce(select(func.jsonb_agg(network)).where(network == any_(others)).scalar_subquery(), _NONE)


def _in_one(some: ColumnElement[Any], others: ColumnElement[Any]) -> ColumnElement[Any]:
    network = func.unnest(some).column_valued("network")
    return func.coalesce(select(func.jsonb_agg(network)).where(network != all_(others)).scalar_subquery(), _NONE)
