"""Every SQL statement about applicants."""

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Row,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    literal,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.applicants.models import Applicant
from app.applicants.rules import ApplicantKind, Particulars
from app.applicants.schemas import ApplicantsQuery
from app.core.database.base import INSTANT
from app.core.database.batches import any_of, json_rows
from app.core.database.pagination import fetch_page, matching
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.core.keyring import Keyring
from app.core.principal import Principal

SEALED = ("cnic", "email", "mobile")
KINDS: dict[str, Any] = {
    "legal_name": Text, "ntn": Text, "cnic_hash": Text, "email_hash": Text, "pseb_number": Text, "pasha_number": Text,
    "fingerprint": Text, **{f"sealed_{name}": LargeBinary for name in SEALED},
}  # fmt: skip
# ``erase`` adds a random subject, which looks like a keyed hash. No details have the empty fingerprint.
ERASED: dict[str, Any] = dict.fromkeys(KINDS) | {"legal_name": "(erased)", "fingerprint": ""}
SUBJECT_BYTES = 32
SEALED_AT_ONCE = 5_000


class Identity(NamedTuple):
    """The id, kind and subject of an applicant, which its registrations need."""

    id: UUID
    kind: str
    subject: str


class ErasedApplicant(NamedTuple):
    """An erased record and its new, random subject."""

    id: UUID
    partner_id: UUID
    subject: str


def blind_index(keyring: Keyring, name: str, value: str) -> str:
    """Return the keyed hash by which a sealed value is found; it reveals nothing without the key."""
    return keyring.keyed_hash("subject", f"{name}:{value}")


def details_of(keyring: Keyring, applicant: Applicant | Row[Any]) -> dict[str, Any]:
    """Return the details of a record, unsealed, None where missing or erased; only ``reveal`` may show the CNIC so."""
    plain = {name: getattr(applicant, name) for name in Particulars._fields if name not in SEALED}
    sealed = {name: getattr(applicant, f"sealed_{name}") for name in SEALED}
    return plain | {name: _unseal_value(keyring, name, value) for name, value in sealed.items()}


def unseal_email(keyring: Keyring, sealed: bytes) -> str:
    """Return the address of a sealed ``Applicant.sealed_email``. Raises ``SealBroken``."""
    return keyring.unseal_text("applicants.sealed_email", sealed)


def _unseal_value(keyring: Keyring, name: str, sealed: bytes | None) -> str | None:
    return None if sealed is None else keyring.unseal_text(f"applicants.sealed_{name}", sealed)


def _seal(keyring: Keyring, row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in SEALED}
    given = {name: row[name] for name in SEALED if row.get(name)}
    sealed = {f"sealed_{name}": keyring.seal_text(f"applicants.sealed_{name}", given[name]) for name in given}
    return kept | sealed


def visible_to(principal: Principal) -> ColumnElement[bool]:
    """The condition of the records that the caller may see: the regulator all, a partner its own."""
    return true() if principal.sees_all else Applicant.partner_id == principal.partner_id


async def get(tx: Transaction, principal: Principal, applicant_id: UUID, *, lock: bool = False) -> Applicant:
    """Return a record that the caller may see, locked when ``lock`` is true. Raises ``NotFound``."""
    statement = select(Applicant).where(Applicant.id == applicant_id, visible_to(principal))
    applicant = await tx.scalar(statement.with_for_update() if lock else statement)
    if applicant is None:
        raise NotFound
    return applicant


async def list_page(
    tx: Transaction, principal: Principal, query: ApplicantsQuery
) -> tuple[Sequence[Applicant], str | None]:
    """Return a page of the records that the caller may see, and the next cursor."""
    filters = query.filters()
    if email := filters.pop("email", None):
        filters["email_hash"] = blind_index(tx.keyring, "email", email)
    statement = select(Applicant).where(visible_to(principal), *matching(Applicant, filters))
    return await fetch_page(tx, statement, Applicant.id, query, list_name="applicants")


# The ``Identity`` of each record of the partner ``partner_id`` among ``ids``, locked as a foreign key locks it, so that
# no record is erased before a case that refers to it is inserted.
IDENTITIES = (
    select(Applicant.id, Applicant.kind, Applicant.subject)
    .where(
        any_of(Applicant.id, bindparam("ids")),
        Applicant.partner_id == bindparam("partner_id"),
        Applicant.erased_at.is_(None),
    )
    .with_for_update(read=True, key_share=True)
)


class Stored(NamedTuple):
    """The id of a record, and the fingerprint of its details."""

    id: UUID
    fingerprint: str


async def count_holders(
    tx: Transaction, partner_id: UUID, numbers: Mapping[tuple[str, str], Collection[str]]
) -> list[tuple[str, str, int]]:
    """Return ``(kind, number, records)`` for the numbers that the partner's records have.

    ``numbers`` are looked for by kind of record and column: ``ntn`` or ``cnic_hash``.
    """
    searches = [
        select(literal(kind.value), column, func.count())
        .where(
            Applicant.partner_id == partner_id,
            any_of(column, numbers.get((kind.value, column.key), ())),
            Applicant.kind == kind.value,
        )
        .group_by(column)
        for kind in ApplicantKind
        for column in (Applicant.ntn, Applicant.cnic_hash)
    ]
    return [(kind, str(number), records) for kind, number, records in await tx.execute(union_all(*searches))]


async def lock_existing(tx: Transaction, partner_id: UUID, subjects: Sequence[str]) -> dict[str, Stored]:
    """Return the partner's records, by subject; locks them as ``IDENTITIES`` does."""
    statement = (
        select(Applicant.subject, Applicant.id, Applicant.fingerprint)
        .where(Applicant.partner_id == partner_id, any_of(Applicant.subject, subjects))
        .with_for_update(read=True, key_share=True)
    )
    return {subject: Stored(id_, fingerprint) for subject, id_, fingerprint in await tx.execute(statement)}


async def lock_for_change(tx: Transaction, partner_id: UUID, subjects: Collection[str]) -> list[Particulars]:
    """Lock the partner's records in the order of their subjects, and return their details, unsealed."""
    names = [f"sealed_{name}" if name in SEALED else name for name in Particulars._fields]
    statement = select(*(Applicant.__table__.c[name] for name in names)).where(
        Applicant.partner_id == partner_id, any_of(Applicant.subject, subjects)
    )
    locked = await tx.execute(statement.order_by(Applicant.subject).with_for_update(key_share=True))
    return [Particulars(**details_of(tx.keyring, each)) for each in locked]


async def lock_not_erased(tx: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Return the ids of the records that are not erased; locks them as ``IDENTITIES`` does."""
    statement = select(Applicant.id).where(any_of(Applicant.id, ids), Applicant.erased_at.is_(None))
    return set(await tx.scalars(statement.with_for_update(read=True, key_share=True)))


async def add(tx: Transaction, rows: Sequence[dict[str, Any]]) -> dict[str, UUID]:
    """Insert records; return the id of each by subject.

    A record that a concurrent transaction has inserted keeps its details and its id, and is locked.
    """
    if not rows:
        return {}
    kinds = {"id": Uuid, "partner_id": Uuid, "subject": Text, "kind": Text} | KINDS
    batch = json_rows("applicant", kinds, [_seal(tx.keyring, row) for row in rows])
    statement = insert(Applicant).from_select(list(kinds), select(*batch.c))
    locking = statement.on_conflict_do_update(
        index_elements=["partner_id", "subject"], set_={"version": Applicant.version}
    ).returning(Applicant.subject, Applicant.id)
    return dict(iter(await tx.execute(locking)))


async def change(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Update the details of records, each as its next version; ``rows`` have their ids."""
    if not rows:
        return
    batch = json_rows("change", {"id": Uuid} | KINDS, [_seal(tx.keyring, row) for row in rows])
    details = {name: batch.c[name] for name in KINDS}
    await tx.execute(
        update(Applicant)
        .where(Applicant.id == batch.c.id)
        .values(version=Applicant.version + 1, updated_at=func.now(), erased_at=None, **details)
        .execution_options(synchronize_session=False)
    )


async def lock_for_erasure(tx: Transaction, ids: Collection[UUID]) -> list[UUID]:
    """Lock the records that are still to be erased, against new cases too, and return their ids."""
    statement = select(Applicant.id).where(any_of(Applicant.id, ids), Applicant.retention_check_at.is_not(None))
    return list(await tx.scalars(statement.order_by(Applicant.id).with_for_update()))


async def erase(tx: Transaction, ids: Collection[UUID]) -> list[ErasedApplicant]:
    """Erase personal data, with the subject that links records of one applicant; returns the new subjects."""
    rows = [{"id": id_, "subject": os.urandom(SUBJECT_BYTES).hex()} for id_ in ids]
    given = json_rows("given", {"id": Uuid, "subject": Text}, rows)
    erased = (
        update(Applicant)
        .where(Applicant.id == given.c.id)
        .values(version=Applicant.version + 1, updated_at=func.now(), erased_at=func.now(), retention_check_at=None)
        .values(ERASED | {"subject": given.c.subject})
        .returning(Applicant.id, Applicant.partner_id, Applicant.subject)
        .execution_options(synchronize_session=False)
    )
    return [ErasedApplicant(*each) for each in await tx.execute(erased)]


async def schedule_checks(tx: Transaction, checks: Mapping[UUID, datetime]) -> None:
    """Set the time of the next retention check of records."""
    rows = [{"id": id_, "instant": instant.isoformat()} for id_, instant in checks.items()]
    given = json_rows("given", {"id": Uuid, "instant": INSTANT}, rows)
    scheduled = update(Applicant).where(Applicant.id == given.c.id, Applicant.retention_check_at.is_not(None))
    statement = scheduled.values(retention_check_at=given.c.instant)
    await tx.execute(statement.execution_options(synchronize_session=False))


async def seal_plain_contacts(tx: Transaction) -> int:
    """Seal the contacts of up to 5,000 records that a migration moved from plain columns; returns their number."""
    plain = and_(Applicant.email_hash.is_(None), Applicant.sealed_email.is_not(None))
    columns = (Applicant.id, Applicant.sealed_email, Applicant.sealed_mobile)
    found = (await tx.execute(select(*columns).where(plain).limit(SEALED_AT_ONCE))).all()
    rows: list[dict[str, Any]] = []
    for id_, email, mobile in found:
        address = (email or b"").decode()
        contact = {"id": id_, "email": address, "mobile": mobile.decode() if mobile else None}
        rows.append(_seal(tx.keyring, contact) | {"email_hash": blind_index(tx.keyring, "email", address)})
    names = ("email_hash", "sealed_email", "sealed_mobile")
    batch = json_rows("contact", {"id": Uuid} | {name: KINDS[name] for name in names}, rows)
    written = update(Applicant).where(Applicant.id == batch.c.id).values({name: batch.c[name] for name in names})
    await tx.execute(written.execution_options(synchronize_session=False))
    return len(rows)
