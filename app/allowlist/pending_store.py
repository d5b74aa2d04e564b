"""SQL of pending changes of the allowlist: giving them a serial, putting them off, and holding them."""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import ColumnElement, and_, exists, not_, or_, select, true, update
from sqlalchemy.orm import InstrumentedAttribute, aliased
from uuid_utils.compat import uuid7

from app.allowlist.guards import Change, Hold
from app.allowlist.models import Entry, HeldChange
from app.core.database.batches import any_of
from app.core.database.transaction import Transaction

ADDITION_PENDING = Entry.added_serial.is_(None)
REMOVAL_PENDING = and_(Entry.withdrawn_at.is_not(None), Entry.removed_serial.is_(None))
IS_RELEASED = Entry.held_id.in_(select(HeldChange.id).where(HeldChange.released_at.is_not(None)))


async def take_pending(tx: Transaction, serial: int) -> tuple[Sequence[Change], Sequence[Change]]:
    """Assign ``serial`` to the pending additions and removals that are not held, and return both.

    Removals come first, since published networks never overlap. A removal waits for a held addition of its addresses,
    and an addition for a held removal.
    """
    may_go = await _overlaps_no(tx, _is_held_addition)
    removed = await _take(tx, and_(REMOVAL_PENDING, may_go), Entry.withdrawn_in_mass, removed_serial=serial)
    may_come = await _overlaps_no(tx, _is_pending_removal)
    added = await _take(tx, and_(ADDITION_PENDING, may_come), Entry.granted_in_mass, added_serial=serial)
    return added, removed


def _is_held_addition(entry: type[Entry]) -> ColumnElement[bool]:
    released = select(HeldChange.id).where(HeldChange.released_at.is_not(None))
    return and_(entry.added_serial.is_(None), entry.held_id.is_not(None), entry.held_id.not_in(released))


def _is_pending_removal(entry: type[Entry]) -> ColumnElement[bool]:
    return and_(entry.withdrawn_at.is_not(None), entry.removed_serial.is_(None))


async def _overlaps_no(
    tx: Transaction, condition_of: Callable[[type[Entry]], ColumnElement[bool]]
) -> ColumnElement[bool]:
    """The condition of sharing addresses with no entry of a kind; true when there is none, as usual."""
    other = aliased(Entry)
    if not await tx.scalar(select(exists().where(condition_of(Entry)))):
        return true()
    return not_(exists().where(condition_of(other), other.network.op("&&")(Entry.network)).correlate(Entry))


async def _take(
    tx: Transaction, pending: ColumnElement[bool], in_mass: InstrumentedAttribute[bool], **serial: int
) -> list[Change]:
    taken = (
        update(Entry)
        .where(pending, or_(Entry.held_id.is_(None), IS_RELEASED))
        .values(**serial)
        .returning(Entry.id, Entry.network, in_mass, Entry.held_id.is_not(None))
    )
    return [Change(*row) for row in await tx.execute(taken.execution_options(synchronize_session=False))]


async def put_off(tx: Transaction, added: Collection[int], removed: Collection[int]) -> None:
    """Take the serial that they were just given from additions, and then from removals, by the ids of their entries."""
    for column, ids in (("added_serial", added), ("removed_serial", removed)):
        if ids:
            statement = update(Entry).where(any_of(Entry.id, ids)).values(**{column: None})
            await tx.execute(statement.execution_options(synchronize_session=False))


async def hold(tx: Transaction, excess: Hold, in_force: int) -> HeldChange:
    """Insert a held change, and assign its entries to it, whose serial was taken by ``put_off``."""
    numbers = {"count": len(excess.entry_ids), "in_window": excess.in_window, "bound": excess.bound}
    held = HeldChange(id=uuid7(), kind=excess.kind, in_force=in_force, **numbers)
    tx.add(held)
    await tx.flush()
    marked = update(Entry).where(any_of(Entry.id, excess.entry_ids)).values(held_id=held.id)
    await tx.execute(marked.execution_options(synchronize_session=False))
    return held
