"""Contested cases: open ones that share addresses with another open one, found when a case is read.

Nothing is kept of it: what one partner does neither changes a case of another's nor waits for it.
"""

from sqlalchemy import ColumnElement, and_, select, true
from sqlalchemy.orm import aliased

from app.core.database.batches import any_of, lateral_lookup
from app.registrations.models import IS_OPEN, Registration, RegistrationNetwork
from app.registrations.rules import OPEN


def _shares_addresses() -> ColumnElement[bool]:
    mine, theirs, other = aliased(RegistrationNetwork), aliased(RegistrationNetwork), aliased(Registration)
    met = lateral_lookup(select(theirs.registration_id).where(theirs.network.op("&&")(mine.network)), "met")
    of_it = and_(other.id == met.c.registration_id, any_of(other.status, sorted(OPEN)))
    is_open = lateral_lookup(select(other.id).where(of_it), "is_open")
    found = select(mine.position).join(met, met.c.registration_id != mine.registration_id).join(is_open, true())
    return found.where(mine.registration_id == Registration.id).correlate(Registration).exists()


IS_CONTESTED = and_(IS_OPEN, _shares_addresses())
