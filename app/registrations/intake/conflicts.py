"""Existing rows that a submission may conflict with: cases of its reference, and networks that share addresses."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid, and_, bindparam, case, cast, null, select, true, union_all
from sqlalchemy.dialects.postgresql import CIDR

from app.allowlist import store as allowlist
from app.core.database.batches import Rows, lateral_lookup, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.registrations.intake.batch import Batch
from app.registrations.models import IS_OPEN, Registration, RegistrationNetwork


class Overlap(NamedTuple):
    """An overlap with the network at ``place``: an open case of the submitter's, or a granted entry, which has no id.

    An entry has a subject only where the submitter itself holds it. Another partner's subject is not to be read here:
    an answer that depends on it tells where somebody's addresses are.
    """

    place: int
    subject: str | None
    registration_id: UUID | None


# Not known when the statement is planned: of a partner that had no case yet, PostgreSQL would look through all for each
# reference.
_SUBMITTER = select(bindparam("partner_id", type_=Uuid)).scalar_subquery()


def _known() -> Rows:
    asked = text_columns({"reference": Text}).subquery("asked")
    same = and_(Registration.partner_id == _SUBMITTER, Registration.reference == asked.c.reference)
    met = lateral_lookup(select(Registration.id).where(same), "met")
    return select(cast(null(), BigInteger), cast(null(), Text), met.c.id).select_from(asked).join(met, true())


# By id alone: with the partner among the conditions, PostgreSQL may look through all its cases for each.
_CASE = (Registration.id, Registration.subject, Registration.partner_id)


def _granted_overlaps() -> Rows:
    granted = allowlist.OVERLAPS.subquery("granted")
    case_ = lateral_lookup(select(*_CASE).where(Registration.id == granted.c.registration_id), "case_")
    own = case((case_.c.partner_id == _SUBMITTER, case_.c.subject))
    return select(granted.c.place, own, cast(null(), Uuid)).select_from(granted).outerjoin(case_, true())


def _open_overlaps() -> Rows:
    asked = text_columns({"network": CIDR}).subquery("asked")
    shared = RegistrationNetwork.network.op("&&")(asked.c.network)
    met = lateral_lookup(select(RegistrationNetwork.registration_id).where(shared), "met")
    case_ = lateral_lookup(select(*_CASE).where(Registration.id == met.c.registration_id, IS_OPEN), "case_")
    found = select(asked.c.place, case_.c.subject, case_.c.id).select_from(asked)
    return found.join(met, true()).join(case_, case_.c.partner_id == _SUBMITTER)


_MEETING = Statement(union_all(_known(), _granted_overlaps(), _open_overlaps()))


class Conflicts(NamedTuple):
    """Existing rows that a batch meets: its submitter's cases of its references, and overlaps with its networks."""

    known: Sequence[UUID]
    overlaps: Sequence[Overlap]


async def find_conflicts(tx: Transaction, partner_id: UUID, batch: Batch) -> Conflicts:
    """Look up what a batch of a partner meets, once its locks are taken."""
    asked = {"reference": batch.columns["reference"], "network": batch.listed["network"], "partner_id": partner_id}
    found = await tx.fetch(_MEETING, **asked)
    known = [id_ for place, _, id_ in found if place is None]
    return Conflicts(known, [Overlap(*row) for row in found if row[0] is not None])
