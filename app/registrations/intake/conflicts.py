"""Existing cases and allowlist entries that items conflict with, by reference or by network, and cases they replace."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    literal,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR

from app.allowlist import store as allowlist
from app.core.database.batches import Rows, any_of, column_text, lateral_lookup, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.registrations import line_store, transfer_codes
from app.registrations.lines import NamedCase, ReplacedCase, find_named
from app.registrations.models import IS_OPEN, Registration, RegistrationNetwork
from app.registrations.rules import RegistrationRequest


class ExistingCase(NamedTuple):
    """A case of the submitter's with its present content."""

    id: UUID
    status: str
    request: RegistrationRequest


class Overlap(NamedTuple):
    """An overlap of the item's network at ``position`` with an open case of the submitter's, or an allowlist entry.

    An entry ``is_listed``: it is granted, or its removal is not published yet. It has a subject only if it is the
    submitter's own: a response that depended on another partner's subject would tell where somebody's addresses are.
    """

    position: int
    subject: str | None
    registration_id: UUID
    is_listed: bool


class Conflicts(NamedTuple):
    """Existing cases of a partner by their references; overlaps and cases that are replaced by the item's position."""

    partner_id: UUID
    by_reference: Mapping[str, ExistingCase]
    overlaps: Mapping[int, Sequence[Overlap]]
    replaced: Mapping[int, ReplacedCase]


# A subquery, so that the value is unknown when the statement is planned: for a partner without statistics PostgreSQL
# would look through all its cases for each reference.
_SUBMITTER = select(bindparam("partner_id", type_=Uuid)).scalar_subquery()


def _cases_of_references() -> Rows:
    given = text_columns({"reference": Text}).subquery("given")
    same = and_(Registration.partner_id == _SUBMITTER, Registration.reference == given.c.reference)
    named = [getattr(Registration, name) for name in NamedCase._fields if name != "reference"]
    found = lateral_lookup(select(*named).where(same), "found")
    columns = (found.c.id, found.c.status, found.c.replaces, found.c.replaced_by, given.c.reference)
    return select(cast(null(), BigInteger), cast(null(), Text), *columns).select_from(given).join(found, true())


# In place of a status, in rows of overlaps: the kind of what is overlapped.
LISTED, OPEN_CASE = "listed", "open"


def _nulls(kind: str) -> list[ColumnElement[Any]]:
    return [literal(kind, Text), cast(null(), Uuid), cast(null(), Uuid), cast(null(), Text)]


# Looked up by id alone: with the partner among the conditions, PostgreSQL may look through all its cases for each.
_CASE = (Registration.id, Registration.subject, Registration.partner_id)


def _overlapping_entries() -> Rows:
    granted = allowlist.OVERLAPS.subquery("granted")
    case_ = lateral_lookup(select(*_CASE).where(Registration.id == granted.c.registration_id), "case_")
    own_subject = case((case_.c.partner_id == _SUBMITTER, case_.c.subject))
    columns = (granted.c.place, own_subject, granted.c.registration_id, *_nulls(LISTED))
    return select(*columns).select_from(granted).outerjoin(case_, true())


def _overlapping_open_cases() -> Rows:
    given = text_columns({"network": CIDR}).subquery("given")
    shares_addresses = RegistrationNetwork.network.op("&&")(given.c.network)
    found = lateral_lookup(select(RegistrationNetwork.registration_id).where(shares_addresses), "found")
    case_ = lateral_lookup(select(*_CASE).where(Registration.id == found.c.registration_id, IS_OPEN), "case_")
    rows = select(given.c.place, case_.c.subject, case_.c.id, *_nulls(OPEN_CASE)).select_from(given)
    return rows.join(found, true()).join(case_, case_.c.partner_id == _SUBMITTER)


_FIND = Statement(union_all(_cases_of_references(), _overlapping_entries(), _overlapping_open_cases()))

_NETWORKS = cast(Registration.networks, ARRAY(Text))  # the driver would make objects of CIDR
_CONTENT = (
    _NETWORKS if name == "networks" else getattr(Registration, name)
    for name in RegistrationRequest._fields
    if name != "transfer_code"
)
_READ_CASES = Statement(
    select(Registration.id, Registration.status, *_CONTENT).where(any_of(Registration.id, bindparam("ids")))
)


async def find_conflicts(
    tx: Transaction, partner_id: UUID, items: Sequence[RegistrationRequest], corrected: ExistingCase | None = None
) -> Conflicts:
    """Find what a partner's items conflict with. Their locks must be held: then nobody else changes the result.

    Locks the cases that the items replace, in order of their ids. ``corrected`` is the case that a lone item corrects.
    """
    found = await tx.fetch(
        _FIND,
        partner_id=partner_id,
        reference=column_text(item.reference for item in items if item.reference),
        network=column_text(network for item in items for network in item.networks),
    )
    named = defaultdict[str, list[NamedCase]](list)
    overlaps = defaultdict[int, list[Overlap]](list)
    places = [(i, position) for i, item in enumerate(items) for position in range(len(item.networks))] if found else []
    for place, subject, id_, status, replaces, replaced_by, reference in found:
        if place is None:
            named[reference].append(NamedCase(id_, reference, status, replaces, replaced_by))
        else:
            i, position = places[place]
            overlaps[i].append(Overlap(position, subject, id_, is_listed=status == LISTED))
    existing = await _read_existing(tx, items, named) if named else {}
    current = [corrected or existing.get(item.reference or "") for item in items] if corrected or existing else ()
    return Conflicts(partner_id, existing, overlaps, await _find_replaced(tx, partner_id, items, current))


async def _read_existing(
    tx: Transaction, items: Sequence[RegistrationRequest], named: Mapping[str, Sequence[NamedCase]]
) -> dict[str, ExistingCase]:
    replaces = {item.reference: item.replaces for item in items if item.reference}
    about = (find_named(cases, replaces[reference]) for reference, cases in named.items())
    existing = await _read_cases(tx, [each.id for each in about if each])
    return {each.request.reference: each for each in existing if each.request.reference}


async def _find_replaced(
    tx: Transaction,
    partner_id: UUID,
    items: Sequence[RegistrationRequest],
    current: Sequence[ExistingCase | None],
) -> dict[int, ReplacedCase]:
    """Lock the cases that items replace and may replace: own ones, those of valid codes, those replaced already.

    ``current`` has the existing case of each item, or is empty.
    """
    known = {i: each.request.replaces for i, each in enumerate(current) if each and each.request.replaces}
    wanted = {i: item.replaces for i, item in enumerate(items) if item.replaces}
    codes = {i: item.transfer_code for i, item in enumerate(items) if item.transfer_code}
    if not (known or wanted or codes):
        return {}
    hashes = {i: transfer_codes.hash_of(tx.keyring, code) for i, code in codes.items()}
    found = await line_store.lock_replaced(tx, {*known.values(), *wanted.values()}, set(hashes.values()))
    own = {each.id: each for each in found.values() if each.partner_id == partner_id}
    offered = {each.code_hash: each for each in found.values() if each.code_hash}
    replaced: dict[int, ReplacedCase] = {}
    for i in known.keys() | wanted.keys() | codes.keys():
        asked = wanted.get(i)
        by_code, of_current = offered.get(hashes.get(i, "")), found.get(known[i]) if i in known else None
        choices = (of_current, by_code if i in hashes else own.get(asked) if asked else None)
        case = next((each for each in choices if each and asked in (None, each.id)), None)
        if case:
            replaced[i] = case
    return replaced


async def _read_cases(tx: Transaction, ids: Sequence[UUID]) -> list[ExistingCase]:
    rows = await tx.fetch(_READ_CASES, ids=ids) if ids else []
    return [ExistingCase(id_, status, RegistrationRequest(*content)) for id_, status, *content in rows]
