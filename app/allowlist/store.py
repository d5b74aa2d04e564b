"""Every SQL statement about entries and publications."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Text, Uuid, and_, case, exists, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import CIDR, insert
from sqlalchemy.orm import InstrumentedAttribute

from app.allowlist.models import Entry
from app.core.database.batches import Rows, any_of, json_rows, lateral_lookup, text_columns
from app.core.database.transaction import Transaction

NOT_SYNCHRONIZED = {"synchronize_session": False}


@dataclass(frozen=True, slots=True)
class Cause:
    """Whose decision a change is (None: the service's own sweep), and whether it came with others."""

    client_id: UUID | None
    in_mass: bool


def _overlapping() -> Rows:
    asked = text_columns({"network": CIDR}).subquery("asked")
    in_force = and_(Entry.removed_serial.is_(None), Entry.network.op("&&")(asked.c.network))
    met = lateral_lookup(select(Entry.registration_id).where(in_force), "met")
    return select(asked.c.place, met.c.registration_id).join(met, true())


# Of each network of the parameter ``network`` (an ``orm.column_text``) its place, and the case whose grant overlaps it.
OVERLAPS = _overlapping()


async def revive(tx: Transaction, registration_ids: Collection[UUID]) -> None:
    """Take back withdrawals that were not published yet."""
    await tx.execute(
        update(Entry)
        .where(
            any_of(Entry.registration_id, registration_ids),
            Entry.withdrawn_at.is_not(None),
            Entry.removed_serial.is_(None),
        )
        .values(withdrawn_at=None, withdrawn_reason=None, held_id=None)
        .execution_options(**NOT_SYNCHRONIZED)
    )


async def grant(tx: Transaction, wanted: Rows, cause: Cause) -> None:
    """Insert an entry for each row of a statement (network, registration id, holder), in its order.

    Those that overlap one that is there are left out.
    """
    by = {"granted_by": literal(cause.client_id, Uuid), "granted_in_mass": literal(cause.in_mass, Boolean)}
    rows = select(*wanted.subquery().c, *by.values())
    names = ["network", "registration_id", "holder", *by]
    await tx.execute(insert(Entry).from_select(names, rows).on_conflict_do_nothing())


async def not_granted(tx: Transaction, wanted: Rows) -> set[UUID]:
    """The registrations among the rows of a statement (network, registration id, holder) that lack a network."""
    network, registration_id, _ = wanted.subquery().c
    here = select(Entry.id).where(
        Entry.registration_id == registration_id,
        Entry.network == network,
        Entry.removed_serial.is_(None),
        Entry.withdrawn_at.is_(None),
    )
    has_it = lateral_lookup(here, "has_it")
    lacking = select(registration_id).outerjoin(has_it, true()).where(has_it.c.id.is_(None))
    return set(await tx.scalars(lacking))


def is_listed(registration_id: InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
    """Whether a network of a registration is granted, or is still to be taken off the list."""
    return exists().where(Entry.registration_id == registration_id, Entry.removed_serial.is_(None))


async def rename_holders(tx: Transaction, subjects: Mapping[UUID, str]) -> None:
    """Give the entries of these registrations another holder."""
    rows = [{"registration_id": id_, "subject": subject} for id_, subject in subjects.items()]
    given = json_rows("given", {"registration_id": Uuid, "subject": Text}, rows)
    renamed = update(Entry).where(Entry.registration_id == given.c.registration_id).values(holder=given.c.subject)
    await tx.execute(renamed.execution_options(**NOT_SYNCHRONIZED))


async def withdraw(tx: Transaction, registration_ids: Collection[UUID], reason: str, cause: Cause) -> None:
    """Withdraw the entries of registrations; the next publication removes those that were published."""
    await tx.execute(
        update(Entry)
        .where(
            any_of(Entry.registration_id, registration_ids),
            Entry.withdrawn_at.is_(None),
            Entry.removed_serial.is_(None),
        )
        .values(
            withdrawn_at=func.now(),
            withdrawn_reason=reason,
            withdrawn_by=cause.client_id,
            withdrawn_in_mass=cause.in_mass,
            held_id=None,
            added_serial=func.coalesce(Entry.added_serial, 0),
            removed_serial=case((Entry.added_serial.is_(None), 0)),
        )
        .execution_options(**NOT_SYNCHRONIZED)
    )
