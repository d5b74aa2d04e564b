"""The SQL of taking registrations in: what is there already, and what goes in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CTE, Integer, Text, Uuid, and_, case, delete, func, literal, not_, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, JSONB, insert
from sqlalchemy.exc import IntegrityError

from app.applicants.store import Identity
from app.core.db import ReadSession, WriteSession
from app.core.errors import Invalid
from app.core.orm import INSTANT, Rows, among, column_text, columnar, looked_up, recordset
from app.core.principal import Principal
from app.events import store as events
from app.registrations.batch import LOCK_STRIPES, Batch
from app.registrations.errors import ReferenceDuplicate
from app.registrations.models import IS_OPEN, Registration, RegistrationNetwork
from app.registrations.rules import Flag, Status

LOCK_CLASS = 0x52454749
COLUMNS: dict[str, Any] = {
    "id": Uuid, "applicant_id": Uuid, "subject": Text, "track": Text, "purpose": Text, "protocol": Text,
    "operator": Text, "subscriber_id": Text, "reference": Text, "description": Text, "flags": ARRAY(Text),
    "due_at": INSTANT,
}  # fmt: skip
# what the texts of a batch hold; the rest of a case is its applicant's, its submitter's or the track's
GIVEN: dict[str, Any] = {
    "id": Uuid, "applicant": Integer, "track": Text, "purpose": Text, "protocol": Text, "operator": Text,
    "subscriber_id": Text, "reference": Text, "description": Text, "flags": ARRAY(Text),
    "networks": JSONB,
}  # fmt: skip
LISTED: dict[str, Any] = {"registration_id": Uuid, "position": Integer, "network": CIDR}
CORRECTED = ("track", "purpose", "protocol", "operator", "subscriber_id", "reference", "description", "flags")


@dataclass(frozen=True, slots=True)
class OpenOverlap:
    """An open case with a network that shares addresses with the network at ``place``."""

    place: int
    subject: str
    registration_id: UUID


class NewCases(NamedTuple):
    """Who hands a batch in and what is made of its items: which stay out, which are contested, when each track is due.

    ``left_out`` and ``contested`` are places in the batch; ``applicants`` are those that its items name by number.
    """

    submitter: Principal
    bulk_upload_id: UUID | None
    applicants: Sequence[Identity | None]
    left_out: Collection[int]
    contested: Collection[int]
    due_at: Mapping[str, datetime]


async def take_turns(session: WriteSession, subjects: Collection[str], stripes: Collection[int]) -> None:
    """Take turns with every other intake of these applicants or of these stripes until the transaction ends."""
    numbers = sorted({int(subject[:8], 16) % LOCK_STRIPES for subject in subjects} | set(stripes))
    batch = columnar({"number": Integer}, {"number": column_text(map(str, numbers))}).subquery("stripe")
    await session.execute(select(func.pg_advisory_xact_lock(LOCK_CLASS, batch.c.number)))


async def by_reference(session: ReadSession, partner_id: UUID, batch: Batch) -> dict[str, Registration]:
    """The partner's cases of the references of a batch, by reference."""
    asked = columnar({"reference": Text}, batch.columns).subquery("asked")
    same = and_(Registration.partner_id == partner_id, Registration.reference == asked.c.reference)
    met = looked_up(select(Registration.id).where(same), "met")
    known = list(await session.scalars(select(met.c.id).select_from(asked).join(met, true())))
    if not known:
        return {}
    statement = select(Registration).where(among(Registration.id, known))
    found = await session.scalars(statement.execution_options(populate_existing=True))
    return {each.reference: each for each in found if each.reference}


async def open_overlaps(session: ReadSession, batch: Batch) -> list[OpenOverlap]:
    """The open cases that overlap any of the networks of a batch."""
    asked = columnar({"network": CIDR}, batch.listed).subquery("asked")
    overlapping = RegistrationNetwork.network.op("&&")(asked.c.network)
    met = looked_up(select(RegistrationNetwork.registration_id).where(overlapping), "met")
    of_it = and_(Registration.id == met.c.registration_id, IS_OPEN)
    case_ = looked_up(select(Registration.subject, Registration.id).where(of_it), "case_")
    found = select(asked.c.place, case_.c.subject, case_.c.id).select_from(asked)
    statement = found.join(met, true()).join(case_, true())
    return [OpenOverlap(*row) for row in await session.execute(statement)]


async def add(session: WriteSession, batch: Batch, new: NewCases) -> int:
    """Insert the items of a batch as cases, with the events that tell it; give how many are in.

    Those whose reference another transaction has just taken are left out.
    """
    given = columnar(GIVEN, batch.columns).cte("given")
    applicant = columnar({"id": Uuid, "subject": Text}, _applicants(new.applicants)).subquery("applicant")
    due_at = case(*((given.c.track == track, literal(due, INSTANT)) for track, due in new.due_at.items()))
    flags = case(
        (among(given.c.place, new.contested), func.array_append(given.c.flags, Flag.CONTESTED.value)),
        else_=given.c.flags,
    )
    values: dict[str, Any] = {
        **{name: given.c[name] for name in GIVEN if name not in ("applicant", "flags", "networks")},
        "flags": flags,
        "due_at": due_at,
        "applicant_id": applicant.c.id,
        "subject": applicant.c.subject,
        "partner_id": literal(new.submitter.partner_id, Uuid),
        "client_id": literal(new.submitter.client_id, Uuid),
        "bulk_upload_id": literal(new.bulk_upload_id, Uuid),
    }
    rows = (
        select(*values.values())
        .join(applicant, applicant.c.place == given.c.applicant)
        .where(not_(among(given.c.place, new.left_out)))
    )
    added = (
        insert(Registration)
        .from_select(list(values), rows)
        .on_conflict_do_nothing(index_elements=["partner_id", "reference"])
        .returning(Registration.id, Registration.partner_id, Registration.operator)
        .cte("added")
    )
    told = events.recording(new.submitter, "registration.submitted", _submitted(added, given)).cte("told")
    return await session.scalar(select(func.count()).select_from(added).add_cte(told)) or 0


def _applicants(applicants: Sequence[Identity | None]) -> dict[str, str]:
    return {
        "id": column_text(str(each.id) if each else None for each in applicants),
        "subject": column_text(each.subject if each else None for each in applicants),
    }


def _submitted(added: CTE, given: CTE) -> Rows:
    details = func.jsonb_build_object(
        "status", Status.SUBMITTED.value, "networks", given.c.networks, "reference", given.c.reference
    )
    return (
        select(added.c.id, added.c.partner_id, added.c.operator, details.label("details"))
        .join(given, given.c.id == added.c.id)
        .order_by(given.c.place)
    )


async def those_in(session: ReadSession, ids: Collection[UUID]) -> set[UUID]:
    """Which of these cases there are."""
    return set(await session.scalars(select(Registration.id).where(among(Registration.id, ids))))


async def correct(session: WriteSession, rows: Sequence[dict[str, Any]], hand_in: dict[str, Any]) -> None:
    """Write corrected details to cases, each as its next version.

    ``hand_in`` holds the values of handing in again, or none. Raises ``Invalid`` when a reference was just taken.
    """
    batch = recordset("corrected", COLUMNS, rows)
    values = {name: batch.c[name] for name in CORRECTED}
    if hand_in:
        values |= {**hand_in, "due_at": batch.c.due_at}
    statement = (
        update(Registration)
        .where(Registration.id == batch.c.id)
        .values(version=Registration.version + 1, updated_at=func.now(), **values)
        .execution_options(synchronize_session=False)
    )
    try:
        await session.execute(statement)
    except IntegrityError as taken:
        raise Invalid.of([ReferenceDuplicate.at("/reference")]) from taken


async def put_networks(session: WriteSession, listed: Mapping[str, str], left_out: Collection[UUID] = ()) -> None:
    """Give registrations their networks (the columns of ``batch.networks_listed``), but not those ``left_out``."""
    batch = columnar(LISTED, listed).subquery("listed")
    rows = select(*(batch.c[name] for name in LISTED)).where(not_(among(batch.c.registration_id, left_out)))
    await session.execute(insert(RegistrationNetwork).from_select(list(LISTED), rows))


async def take_networks(session: WriteSession, ids: Collection[UUID]) -> None:
    """Take the networks of registrations away, before they get others."""
    owner = RegistrationNetwork.registration_id
    await session.execute(delete(RegistrationNetwork).where(among(owner, ids)))
