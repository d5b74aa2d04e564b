"""Existing cases and allowlist entries that items conflict with, by reference or by network."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid, and_, bindparam, case, cast, null, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY, CIDR

from app.allowlist import store as allowlist
from app.core.database.batches import Rows, any_of, column_text, lateral_lookup, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.registrations.models import IS_OPEN, Registration, RegistrationNetwork
from app.registrations.rules import RegistrationRequest


class ExistingCase(NamedTuple):
    """A case of the submitter's with its present content."""

    id: UUID
    status: str
    request: RegistrationRequest


class Overlap(NamedTuple):
    """An overlap of the item's network at ``position`` with an open case of the submitter's, or an allowlist entry.

    An entry has no ``registration_id``, and a subject only if it is the submitter's own: a response that
    depended on another partner's subject would tell where somebody's addresses are.
    """

    position: int
    subject: str | None
    registration_id: UUID | None


class Conflicts(NamedTuple):
    """Existing cases by their references, and overlaps by the position of the item."""

    by_reference: Mapping[str, ExistingCase]
    overlaps: Mapping[int, Sequence[Overlap]]


# A subquery, so that the value is unknown when the statement is planned: for a partner without statistics PostgreSQL
# would look through all its cases for each reference.
_SUBMITTER = select(bindparam("partner_id", type_=Uuid)).scalar_subquery()


def _cases_of_references() -> Rows:
    given = text_columns({"reference": Text}).subquery("given")
    same = and_(Registration.partner_id == _SUBMITTER, Registration.reference == given.c.reference)
    found = lateral_lookup(select(Registration.id).where(same), "found")
    return select(cast(null(), BigInteger), cast(null(), Text), found.c.id).select_from(given).join(found, true())


# Looked up by id alone: with the partner among the conditions, PostgreSQL may look through all its cases for each.
_CASE = (Registration.id, Registration.subject, Registration.partner_id)


def _overlapping_entries() -> Rows:
    granted = allowlist.OVERLAPS.subquery("granted")
    case_ = lateral_lookup(select(*_CASE).where(Registration.id == granted.c.registration_id), "case_")
    own_subject = case((case_.c.partner_id == _SUBMITTER, case_.c.subject))
    return select(granted.c.place, own_subject, cast(null(), Uuid)).select_from(granted).outerjoin(case_, true())


def _overlapping_open_cases() -> Rows:
    given = text_columns({"network": CIDR}).subquery("given")
    shares_addresses = RegistrationNetwork.network.op("&&")(given.c.network)
    found = lateral_lookup(select(RegistrationNetwork.registration_id).where(shares_addresses), "found")
    case_ = lateral_lookup(select(*_CASE).where(Registration.id == found.c.registration_id, IS_OPEN), "case_")
    rows = select(given.c.place, case_.c.subject, case_.c.id).select_from(given)
    return rows.join(found, true()).join(case_, case_.c.partner_id == _SUBMITTER)


_FIND = Statement(union_all(_cases_of_references(), _overlapping_entries(), _overlapping_open_cases()))

_NETWORKS = cast(Registration.networks, ARRAY(Text))  # the driver would make objects of CIDR
_CONTENT = (_NETWORKS if name == "networks" else getattr(Registration, name) for name in RegistrationRequest._fields)
_READ_CASES = Statement(
    select(Registration.id, Registration.status, *_CONTENT).where(any_of(Registration.id, bindparam("ids")))
)


async def find_conflicts(tx: Transaction, partner_id: UUID, items: Sequence[RegistrationRequest]) -> Conflicts:
    """Find what a partner's items conflict with. Their locks must be held: then nobody else changes the result."""
    found = await tx.fetch(
        _FIND,
        partner_id=partner_id,
        reference=column_text(item.reference for item in items if item.reference),
        network=column_text(network for item in items for network in item.networks),
    )
    existing = await _read_cases(tx, [id_ for place, _, id_ in found if place is None])
    overlaps = defaultdict[int, list[Overlap]](list)
    if len(found) > len(existing):
        places = [(i, position) for i, item in enumerate(items) for position in range(len(item.networks))]
        for place, subject, id_ in found:
            if place is not None:
                i, position = places[place]
                overlaps[i].append(Overlap(position, subject, id_))
    return Conflicts({each.request.reference: each for each in existing if each.request.reference}, overlaps)


async def _read_cases(tx: Transaction, ids: Sequence[UUID]) -> list[ExistingCase]:
    rows = await tx.fetch(_READ_CASES, ids=ids) if ids else []
    return [ExistingCase(id_, status, RegistrationRequest(*content)) for id_, status, *content in rows]
