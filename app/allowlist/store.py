"""SQL of the allowlist's entries: granting and withdrawing networks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Text,
    Uuid,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import CIDR, insert
from sqlalchemy.orm import InstrumentedAttribute

from app.allowlist.models import Entry
from app.core.database.base import NOW
from app.core.database.batches import Rows, any_of, json_rows, lateral_lookup, text_columns
from app.core.database.transaction import Transaction

GRANTED = Entry.withdrawn_at.is_(None)
# Withdrawn, and still on the list until the next serial, or until a held change is released.
WITHDRAWN = and_(Entry.withdrawn_at.is_not(None), Entry.removed_serial.is_(None))


@dataclass(frozen=True, slots=True)
class Cause:
    """The client that decided a change (None: a periodic job of the service), and whether it is part of a mass."""

    client_id: UUID | None
    in_mass: bool


def _overlaps() -> Rows:
    submitted = text_columns({"network": CIDR}).subquery("submitted")
    # each has its own partial index, of which the second is nearly empty
    either = (
        select(Entry.registration_id).where(condition, Entry.network.op("&&")(submitted.c.network)).offset(0)
        for condition in (GRANTED, WITHDRAWN)
    )
    entry = union_all(*(each.correlate(submitted) for each in either)).lateral("entry")
    return select(submitted.c.place, entry.c.registration_id).join(entry, true())


# The place of each network of the parameter ``network`` (a ``column_text``), and the case with an overlapping entry.
OVERLAPS = _overlaps()


async def take_back(tx: Transaction, wanted: Rows) -> None:
    """Undo the withdrawals, of entries of the rows of a statement (network, registration id, holder), not published."""
    network, registration_id, _ = wanted.subquery().c
    own = select(Entry.id).where(Entry.registration_id == registration_id, Entry.network == network, WITHDRAWN)
    found = lateral_lookup(own, "found")
    await undo_withdrawals(tx, select(found.c.id).select_from(registration_id.table).join(found, true()))


async def undo_withdrawals(tx: Transaction, entry_ids: Rows) -> None:
    """Grant entries again that are withdrawn, and whose removal is not published."""
    given = entry_ids.subquery("given")
    values = {"withdrawn_at": None, "withdrawn_reason": None, "held_id": None, "leaves_at": None}
    undone = update(Entry).where(Entry.id == given.c.id).values(**values)
    await tx.execute(undone.execution_options(synchronize_session=False))


async def grant(tx: Transaction, wanted: Rows, cause: Cause) -> None:
    """Insert an entry for each row of a statement (network, registration id, holder), in its order.

    Skips networks that overlap a granted one. One that overlaps a network that is withdrawn and still published waits
    for its removal, if both are of one case; if not, ``incomplete_grants`` has the case.
    """
    by = {"granted_by": literal(cause.client_id, Uuid), "granted_in_mass": literal(cause.in_mass, Boolean)}
    rows = select(*wanted.subquery().c, *by.values())
    names = ["network", "registration_id", "holder", *by]
    await tx.execute(insert(Entry).from_select(names, rows).on_conflict_do_nothing())


async def incomplete_grants(tx: Transaction, wanted: Rows) -> set[UUID]:
    """The registrations of a statement (network, registration id, holder) that lack an entry for a network.

    The entry may be of a wider network, which stays until a hand-over ends. A network that another case has, also one
    whose removal is not published yet, is lacking.
    """
    network, registration_id, _ = wanted.subquery().c
    own = select(Entry.id).where(Entry.registration_id == registration_id, Entry.network.op(">>=")(network), GRANTED)
    others = select(Entry.id).where(
        Entry.registration_id != registration_id, Entry.network.op("&&")(network), WITHDRAWN
    )
    granted, withdrawn = lateral_lookup(own, "granted"), lateral_lookup(others, "withdrawn")
    joined = select(registration_id).outerjoin(granted, true()).outerjoin(withdrawn, true())
    return set(await tx.scalars(joined.where(or_(granted.c.id.is_(None), withdrawn.c.id.is_not(None)))))


def is_listed(registration_id: InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
    """Condition: a network of the registration is granted, or its removal is not published yet."""
    own = select(Entry.id).where(Entry.registration_id == registration_id, Entry.removed_serial.is_(None))
    return own.offset(0).exists()  # looked up for each registration, by an index (ADR 0002)


async def rename_holders(tx: Transaction, subjects: Mapping[UUID, str]) -> None:
    """Set the holder of the entries of registrations, from a mapping of registration ids to subjects."""
    rows = [{"registration_id": id_, "subject": subject} for id_, subject in subjects.items()]
    given = json_rows("given", {"registration_id": Uuid, "subject": Text}, rows)
    renamed = update(Entry).where(Entry.registration_id == given.c.registration_id).values(holder=given.c.subject)
    await tx.execute(renamed.execution_options(synchronize_session=False))


async def withdraw(tx: Transaction, registration_ids: Collection[UUID], reason: str, cause: Cause) -> None:
    """Withdraw the entries of registrations: the next publication removes those that were published."""
    await withdraw_where(tx, any_of(Entry.registration_id, registration_ids), reason, cause)


async def withdraw_where(tx: Transaction, condition: ColumnElement[bool], reason: str, cause: Cause) -> None:
    """Withdraw the granted entries that meet a condition."""
    await tx.execute(
        update(Entry)
        .where(condition, GRANTED)
        .values(
            withdrawn_at=NOW,
            withdrawn_reason=reason,
            withdrawn_by=cause.client_id,
            withdrawn_in_mass=cause.in_mass,
            held_id=None,
            added_serial=func.coalesce(Entry.added_serial, 0),
            removed_serial=case((Entry.added_serial.is_(None), 0)),
        )
        .execution_options(synchronize_session=False)
    )
