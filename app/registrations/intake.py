"""The SQL of taking registrations in: what is there already, and what goes in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, delete, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, insert
from sqlalchemy.exc import IntegrityError

from app.core.db import ReadSession, WriteSession
from app.core.errors import Invalid
from app.core.networks import Network
from app.core.orm import INSTANT, among, looked_up, recordset
from app.core.principal import Principal
from app.registrations.errors import ReferenceDuplicate
from app.registrations.models import IS_OPEN, Registration, RegistrationNetwork
from app.registrations.rules import block_of

# Locks of one transaction have a fixed number, however many applicants and networks its batch names.
LOCK_STRIPES = 256
LOCK_CLASS = 0x52454749
COLUMNS: dict[str, Any] = {
    "id": Uuid, "applicant_id": Uuid, "subject": Text, "track": Text, "purpose": Text, "protocol": Text,
    "operator": Text, "subscriber_id": Text, "reference": Text, "description": Text, "flags": ARRAY(Text),
    "due_at": INSTANT,
}  # fmt: skip
CORRECTED = ("track", "purpose", "protocol", "operator", "subscriber_id", "reference", "description", "flags")


@dataclass(frozen=True, slots=True)
class OpenOverlap:
    """An open case whose network shares addresses with network ``index`` of item ``item``."""

    item: int
    index: int
    subject: str
    registration_id: UUID


async def take_turns(session: WriteSession, subjects: Collection[str], networks: Collection[Network]) -> None:
    """Take turns with every other intake of these applicants or of overlapping networks until the transaction ends."""
    stripes = {int(subject[:8], 16) % LOCK_STRIPES for subject in subjects}
    stripes |= {block_of(network) % LOCK_STRIPES for network in networks}
    batch = recordset("stripe", {"number": Integer}, [{"number": stripe} for stripe in stripes])
    ordered = select(batch.c.number).order_by(batch.c.number).subquery()
    await session.execute(select(func.pg_advisory_xact_lock(LOCK_CLASS, ordered.c.number)))


async def by_reference(session: ReadSession, partner_id: UUID, references: Collection[str]) -> dict[str, Registration]:
    """The partner's cases of these references, by reference."""
    statement = select(Registration).where(
        Registration.partner_id == partner_id, among(Registration.reference, references)
    )
    found = await session.scalars(statement.execution_options(populate_existing=True))
    return {each.reference: each for each in found if each.reference}


async def open_overlaps(session: ReadSession, networks: Sequence[dict[str, Any]]) -> list[OpenOverlap]:
    """The open cases that overlap any of ``networks`` (each with ``item``, ``index``, ``network``)."""
    batch = recordset("asked", {"item": Integer, "index": Integer, "network": CIDR}, networks)
    met = looked_up(
        select(Registration.subject, Registration.id)
        .join(RegistrationNetwork, RegistrationNetwork.registration_id == Registration.id)
        .where(RegistrationNetwork.network.op("&&")(batch.c.network), IS_OPEN),
        "met",
    )
    statement = select(batch.c.item, batch.c.index, met.c.subject, met.c.id).join(met, true())
    return [OpenOverlap(*row) for row in await session.execute(statement)]


async def add(
    session: WriteSession, principal: Principal, bulk_upload_id: UUID | None, rows: Sequence[dict[str, Any]]
) -> set[UUID]:
    """Insert the caller's cases; give the ids that are in.

    Those whose reference another transaction has just taken are left out.
    """
    given = recordset("given", COLUMNS, rows)
    ours = {"partner_id": principal.partner_id, "client_id": principal.client_id, "bulk_upload_id": bulk_upload_id}
    columns = [*given.c, *(literal(value, Uuid) for value in ours.values())]
    added = (
        insert(Registration)
        .from_select([*COLUMNS, *ours], select(*columns))
        .on_conflict_do_nothing(index_elements=["partner_id", "reference"])
    )
    return set(await session.scalars(added.returning(Registration.id)))


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


async def put_networks(session: WriteSession, networks: Sequence[dict[str, Any]]) -> None:
    """Give registrations their networks (each with ``registration_id``, ``position``, ``network``)."""
    kinds = {"registration_id": Uuid, "position": Integer, "network": CIDR}
    batch = recordset("network", kinds, networks)
    await session.execute(insert(RegistrationNetwork).from_select(list(kinds), select(*batch.c)))


async def take_networks(session: WriteSession, ids: Collection[UUID]) -> None:
    """Take the networks of registrations away, before they get others."""
    owner = RegistrationNetwork.registration_id
    await session.execute(delete(RegistrationNetwork).where(among(owner, ids)))
