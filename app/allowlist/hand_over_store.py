"""SQL of hand-overs: entries that change hands, and those that leave when a hand-over ends."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Interval,
    Text,
    Uuid,
    cast,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.allowlist import store
from app.allowlist.hand_over import plan
from app.allowlist.models import Entry, Holding
from app.allowlist.store import GRANTED, Cause
from app.core.database.base import NOW
from app.core.database.batches import Rows, any_of, json_rows, lateral_lookup
from app.core.database.transaction import Transaction
from app.core.validation.networks import overlapping

SUPERSEDED = "superseded"
IS_LEAVING = Entry.leaves_at.is_not(None)


class HeldEntry(NamedTuple):
    """An entry not gone, and the case that holds it; ``is_granted`` unless it is withdrawn and still published.

    ``is_leaving`` if an earlier hand-over ends with it.
    """

    id: int
    registration_id: UUID
    network: str
    is_granted: bool
    is_leaving: bool


async def change_hands(tx: Transaction, successors: Mapping[UUID, UUID]) -> list[HeldEntry]:
    """Give the entries of cases to their ``successors``, by the predecessor's id, and record the past holdings.

    Returns the entries. Their serials stay.
    """
    rows = [{"predecessor": one, "successor": other} for one, other in successors.items()]
    given = json_rows("given", {"predecessor": Uuid, "successor": Uuid}, rows)
    columns = (Entry.id, Entry.registration_id, func.coalesce(Entry.held_from, Entry.granted_at).label("held_from"))
    own = select(*columns).where(Entry.registration_id == given.c.predecessor, Entry.removed_serial.is_(None))
    found = lateral_lookup(own, "found")
    held = select(*found.c, given.c.successor).select_from(given).join(found, true()).cte("held")
    past = insert(Holding).from_select(
        ["entry_id", "registration_id", "held_from", "held_until"],
        select(held.c.id, held.c.registration_id, held.c.held_from, NOW),
    )
    moved = (
        update(Entry)
        .where(Entry.id == held.c.id)
        .values(registration_id=held.c.successor, held_from=NOW)
        .returning(Entry.id, Entry.registration_id, cast(Entry.network, Text), GRANTED, IS_LEAVING)
        .add_cte(past.cte("past"))
    )
    rows_moved = await tx.execute(moved.execution_options(synchronize_session=False))
    return [HeldEntry(*row) for row in rows_moved]


async def wanted_networks(tx: Transaction, wanted: Rows) -> list[tuple[UUID, str]]:
    """Return registration id and network of the rows of a statement (network, registration id, holder)."""
    network, registration_id, _ = wanted.subquery().c
    return [(id_, text) for id_, text in await tx.execute(select(registration_id, cast(network, Text)))]


@dataclass(frozen=True, slots=True)
class EntryChanges:
    """Changes of entries by hand-overs, by the ids of the entries; ``leaving`` has the hours until they leave.

    ``returning`` ones are granted again before their removal was published. ``not_held`` ones are withdrawn, and their
    removal is judged again, together with the additions of the same addresses.
    """

    withdrawn: list[int] = field(default_factory=list)
    returning: list[int] = field(default_factory=list)
    not_held: list[int] = field(default_factory=list)
    leaving: dict[int, int] = field(default_factory=dict)
    staying: list[int] = field(default_factory=list)

    def add(self, entries: Sequence[HeldEntry], wanted: Sequence[str], hours: int) -> bool:
        """Plan the hand-over of the entries of one case; return True if it has a network still to be granted."""
        granted = {each.network: each.id for each in entries if each.is_granted}
        withdrawn = {each.network: each.id for each in entries if not each.is_granted}
        planned = plan(granted, wanted, hours)
        returning = withdrawn.keys() & set(planned.granted)
        self.withdrawn.extend(granted[each] for each in planned.withdrawn)
        self.leaving.update((granted[each], hours) for each in planned.leaving)
        kept = set(planned.kept)
        self.staying.extend(each.id for each in entries if each.is_leaving and each.network in kept)
        self.returning.extend(withdrawn[each] for each in returning)
        others = withdrawn.keys() - returning
        self.not_held.extend(withdrawn[each] for each in (overlapping(others, wanted) if others else ()))
        return len(planned.granted) > len(returning)


async def apply(tx: Transaction, changes: EntryChanges, cause: Cause) -> None:
    """Make the changes of hand-overs, in an order in which granted networks never overlap."""
    if changes.withdrawn:
        await store.withdraw_where(tx, any_of(Entry.id, changes.withdrawn), SUPERSEDED, cause)
    if changes.returning:
        returning = func.unnest(literal(changes.returning, ARRAY(BigInteger))).column_valued("id")
        await store.undo_withdrawals(tx, select(returning.label("id")))
    if changes.not_held:
        await _update(tx, any_of(Entry.id, changes.not_held), held_id=None)
    if changes.staying:
        await _update(tx, any_of(Entry.id, changes.staying), leaves_at=None)
    if changes.leaving:
        rows = [{"id": id_, "hours": hours} for id_, hours in changes.leaving.items()]
        given = json_rows("given", {"id": BigInteger, "hours": Integer}, rows)
        end = NOW + given.c.hours * literal(timedelta(hours=1), Interval)
        await _update(tx, Entry.id == given.c.id, leaves_at=func.least(Entry.leaves_at, end))


async def _update(tx: Transaction, condition: ColumnElement[bool], **values: Any) -> None:
    statement = update(Entry).where(condition).values(**values)
    await tx.execute(statement.execution_options(synchronize_session=False))


async def holders_of_leaving(tx: Transaction, limit: int) -> Sequence[UUID]:
    """Return up to ``limit`` cases that hold an entry whose time to leave has come."""
    due = select(Entry.registration_id).where(GRANTED, Entry.leaves_at <= NOW).distinct()
    return (await tx.scalars(due.limit(limit))).all()


async def withdraw_leaving(tx: Transaction, registration_ids: Collection[UUID], cause: Cause) -> None:
    """Withdraw the entries of cases whose time to leave has come."""
    due = any_of(Entry.registration_id, registration_ids) & (Entry.leaves_at <= NOW)
    await store.withdraw_where(tx, due, SUPERSEDED, cause)
