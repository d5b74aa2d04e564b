"""Present states of cases, read together: their status, whether they are in force, and until when."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, func, select, true

from app.allowlist.models import Entry
from app.core.database.batches import any_of, lateral_lookup
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.registrations.models import Registration, RegistrationNetwork
from app.registrations.rules import LISTED


class CaseState(NamedTuple):
    """The state of a case. It is ``in_force`` while it is approved or lapsed and all its networks are published."""

    status: str
    in_force: bool
    expires_at: datetime | None


def _states() -> Statement:
    own = lateral_lookup(
        select(RegistrationNetwork.network).where(RegistrationNetwork.registration_id == Registration.id), "own"
    )
    # also a wider network: one that the case takes over in part stays on the list until its hand-over
    covers = and_(
        Entry.added_serial.is_not(None), Entry.removed_serial.is_(None), Entry.network.op(">>=")(own.c.network)
    )
    entry = lateral_lookup(select(Entry.id).where(covers), "entry")
    is_listed = any_of(Registration.status, sorted(LISTED))
    in_force = and_(is_listed, func.bool_and(entry.c.id.is_not(None)))
    return Statement(
        select(Registration.id, Registration.status, in_force, Registration.expires_at)
        .join(own, true())
        .outerjoin(entry, true())
        .where(any_of(Registration.id, bindparam("ids")))
        .group_by(Registration.id)
    )


_STATES = _states()


async def read_states(tx: Transaction, ids: Collection[UUID]) -> Mapping[UUID | None, CaseState]:
    """Return the states of those of the cases that the transaction may see, by id. One statement for all of them."""
    found = await tx.fetch(_STATES, ids=list(ids)) if ids else []
    return {id_: CaseState(*state) for id_, *state in found}
