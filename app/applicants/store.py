"""Every SQL statement about applicants."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, func, literal, select, true, union_all, update
from sqlalchemy.dialects.postgresql import insert

from app.applicants.models import Applicant
from app.applicants.rules import ApplicantKind
from app.applicants.schemas import ApplicantsQuery
from app.core.db import ReadSession, WriteSession
from app.core.errors import NotFound
from app.core.orm import among, recordset
from app.core.pagination import fetch_page
from app.core.security import Principal

DETAILS = ("legal_name", "ntn", "sealed_cnic", "cnic_hash", "email", "mobile", "pseb_number", "pasha_number",
           "fingerprint")  # fmt: skip


class Identity(NamedTuple):
    """What a registration needs to know of its applicant."""

    id: UUID
    kind: str
    subject: str


def visible_to(principal: Principal) -> ColumnElement[bool]:
    """The regulator sees every record, a partner its own."""
    return true() if principal.sees_all else Applicant.partner_id == principal.partner_id


async def get(session: ReadSession, principal: Principal, applicant_id: UUID, *, lock: bool = False) -> Applicant:
    """One record that the caller may see, locked for a change when ``lock``. Raises ``NotFound``."""
    statement = select(Applicant).where(Applicant.id == applicant_id, visible_to(principal))
    applicant = await session.scalar(statement.with_for_update() if lock else statement)
    if applicant is None:
        raise NotFound
    return applicant


async def list_page(
    session: ReadSession, principal: Principal, query: ApplicantsQuery
) -> tuple[Sequence[Applicant], str | None]:
    """A page of the records that the caller may see."""
    statement = select(Applicant).where(visible_to(principal)).filter_by(**query.filters())
    return await fetch_page(session, statement, Applicant.id, query, list_name="applicants")


async def identities(session: ReadSession, principal: Principal, ids: Sequence[UUID]) -> dict[UUID, Identity]:
    """The records among ``ids`` that are the caller's own, for its registrations."""
    statement = select(Applicant.id, Applicant.kind, Applicant.subject).where(
        among(Applicant.id, ids), Applicant.partner_id == principal.partner_id
    )
    return {row.id: Identity(row.id, row.kind, row.subject) for row in await session.execute(statement)}


async def known_as_other_kind(
    session: ReadSession, partner_id: UUID, items: Sequence[dict[str, Any]]
) -> set[tuple[str, str]]:
    """Which ``(kind, number)`` of the items, by NTN or CNIC hash, the partner's records know as another kind's."""
    of_kind = {kind.value: [each for each in items if each["kind"] == kind.value] for kind in ApplicantKind}
    searches = [
        select(literal(kind), numbered).where(
            Applicant.partner_id == partner_id,
            among(numbered, [each[numbered.key] for each in given if each[numbered.key]]),
            Applicant.kind != kind,
        )
        for kind, given in of_kind.items()
        for numbered in (Applicant.ntn, Applicant.cnic_hash)
    ]
    return {(kind, str(number)) for kind, number in await session.execute(union_all(*searches))}


async def current(session: ReadSession, partner_id: UUID, subjects: Sequence[str]) -> dict[str, tuple[UUID, str]]:
    """Id and fingerprint of the partner's records of these subjects, by subject."""
    statement = select(Applicant.subject, Applicant.id, Applicant.fingerprint).where(
        Applicant.partner_id == partner_id, among(Applicant.subject, subjects)
    )
    return {subject: (id_, fingerprint) for subject, id_, fingerprint in await session.execute(statement)}


async def add(session: WriteSession, rows: Sequence[dict[str, Any]]) -> list[tuple[str, UUID, bool]]:
    """Insert records; one that another transaction has just made gets the row's details as its next version.

    Gives ``(subject, id, whether it was made here)`` of each.
    """
    if not rows:
        return []
    kinds = {"id": Uuid, "partner_id": Uuid, "subject": Text, "kind": Text} | dict.fromkeys(DETAILS, Text)
    batch = recordset("applicant", kinds, rows)
    statement = insert(Applicant).from_select(list(kinds), select(*batch.c))
    given = {name: statement.excluded[name] for name in DETAILS}
    settled = statement.on_conflict_do_update(
        index_elements=["partner_id", "subject"],
        set_={**given, "version": Applicant.version + 1, "updated_at": func.now()},
    ).returning(Applicant.subject, Applicant.id, Applicant.version == 1)
    return [(subject, id_, made) for subject, id_, made in await session.execute(settled)]


async def change(session: WriteSession, rows: Sequence[dict[str, Any]]) -> None:
    """Write new details to the records of these ids, each as its next version."""
    if not rows:
        return
    batch = recordset("change", {"id": Uuid} | dict.fromkeys(DETAILS, Text), rows)
    await session.execute(
        update(Applicant)
        .where(Applicant.id == batch.c.id)
        .values(version=Applicant.version + 1, updated_at=func.now(), **{name: batch.c[name] for name in DETAILS})
        .execution_options(synchronize_session=False)
    )
