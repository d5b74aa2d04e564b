"""Contested cases: open cases that share addresses with another open case.

This is computed when a case is read and not stored, so that no case is changed or locked because of another (ADR 0022).
"""

from sqlalchemy import ColumnElement, and_, select, true
from sqlalchemy.orm import aliased

from app.core.database.batches import any_of, lateral_lookup
from app.registrations.models import IS_OPEN, Registration, RegistrationNetwork
from app.registrations.rules import OPEN


def _shares_addresses() -> ColumnElement[bool]:
    own, overlapping, other = aliased(RegistrationNetwork), aliased(RegistrationNetwork), aliased(Registration)
    shared = overlapping.network.op("&&")(own.network)
    found = lateral_lookup(select(overlapping.registration_id).where(shared), "found")
    is_open = and_(other.id == found.c.registration_id, any_of(other.status, sorted(OPEN)))
    open_ = lateral_lookup(select(other.id).where(is_open), "open")
    rows = select(own.position).join(found, found.c.registration_id != own.registration_id).join(open_, true())
    return rows.where(own.registration_id == Registration.id).correlate(Registration).exists()


IS_CONTESTED = and_(IS_OPEN, _shares_addresses())
