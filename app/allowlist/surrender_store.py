"""SQL of surrenders: counting those of a partner within an hour, and holding those beyond its bound."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from uuid_utils.compat import uuid7

from app.allowlist import store
from app.allowlist.guards import HeldKind
from app.allowlist.models import Entry, HeldChange
from app.allowlist.store import GRANTED, WITHDRAWN, Cause
from app.core.database.base import NOW
from app.core.database.batches import Rows, any_of
from app.core.database.transaction import Transaction

SURRENDERED = "surrendered"
WINDOW = timedelta(hours=1)


async def lock_surrenders(tx: Transaction, partner_id: UUID) -> None:
    """Wait for other surrenders of a partner, so that they are counted together."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"surrenders {partner_id}", 0))))


async def withdraw(tx: Transaction, registration_id: UUID, networks: Collection[str] | None, cause: Cause) -> None:
    """Withdraw networks of a registration, all of them for None, because it gives them back."""
    condition: ColumnElement[bool] = Entry.registration_id == registration_id
    if networks is not None:
        condition &= any_of(Entry.network, networks)
    await store.withdraw_where(tx, condition, SURRENDERED, cause)


async def count_recent(tx: Transaction, own: Rows) -> int:
    """Return how many entries were surrendered within the last hour by the registrations of a statement (id)."""
    recent = (Entry.withdrawn_reason == SURRENDERED, Entry.withdrawn_at > NOW - WINDOW)
    return await tx.scalar(select(func.count()).where(*recent, Entry.registration_id.in_(own))) or 0


async def count_granted(tx: Transaction, own: Rows) -> int:
    """Return how many entries the registrations of a statement (id) have."""
    return await tx.scalar(select(func.count()).where(GRANTED, Entry.registration_id.in_(own))) or 0


async def hold(
    tx: Transaction, partner_id: UUID, registration_id: UUID, in_force: int, in_window: int, bound: int
) -> int:
    """Let the removal of what a registration surrendered wait for an officer, with the partner's others that wait.

    ``in_force`` is the number of the partner's networks. Returns how many of this registration wait.
    """
    waiting = (HeldChange.partner_id == partner_id, HeldChange.released_at.is_(None))
    held = await tx.scalar(select(HeldChange.id).where(*waiting))
    if held is None:
        held = uuid7()
        change = HeldChange(id=held, kind=HeldKind.REMOVAL, count=0, in_force=in_force, partner_id=partner_id)
        tx.add(change)
        await tx.flush()
    own = (Entry.registration_id == registration_id, WITHDRAWN, Entry.withdrawn_reason == SURRENDERED)
    marked = update(Entry).where(*own, Entry.held_id.is_(None)).values(held_id=held).returning(Entry.id)
    ids = (await tx.scalars(marked.execution_options(synchronize_session=False))).all()
    counted = update(HeldChange).where(HeldChange.id == held)
    values = {"count": HeldChange.count + len(ids), "in_window": in_window, "bound": bound}
    await tx.execute(counted.values(**values).execution_options(synchronize_session=False))
    return len(ids)
